import { describe, expect, test } from 'vitest';
import { askCanClone, canClone, couldClone } from './can-clone.ts';
import { type AccessReview, cloneNeeds } from './clone-authorization.ts';

const golden = { namespace: 'theirs', name: 'golden' };
const claim = cloneNeeds('claim', golden, 'mine');
const snapshot = cloneNeeds('snapshot', golden, 'mine');
const within = cloneNeeds('claim', { ...golden, namespace: '' }, 'mine');
const missing = 'create datavolumes.cdi.kubevirt.io/source "golden" in namespace theirs';

const nothing: string[] = [];
const identities = {
  'who may nothing': nothing,
  'who may run pods': ['pods'],
  'who may name sources': ['datavolumes'],
  'who may run pods and make pvcs': ['pods', 'pvcs'],
  'who may make pvcs': ['pvcs'],
};

describe.each(Object.entries(identities))('somebody %s', (_who, resources) => {
  const holds = ({ resource, namespace }: AccessReview) => resources.includes(resource) && namespace === 'theirs';
  const routes = { 'a claim': claim, 'a snapshot': snapshot, 'a claim of the same namespace': within };

  test.each(Object.entries(routes))('gets one answer about %s, at once or asked about', async (_what, needed) => {
    const verdict = canClone(needed, holds);
    expect(await askCanClone(needed, async (right) => holds(right))).toEqual(verdict);
    const may =
      needed === within ||
      resources.includes('datavolumes') ||
      (resources.includes('pods') && (needed === claim || resources.includes('pvcs')));
    expect(verdict).toEqual(may ? { allowed: true } : { allowed: false, missing });
  });
});

test('no more is asked than it needs', async () => {
  const asked: string[] = [];
  await askCanClone(snapshot, async ({ resource }) => asked.push(resource) === 1);
  expect(asked).toEqual(['datavolumes']);
  asked.length = 0;
  await askCanClone(snapshot, async ({ resource }) => asked.push(resource) < 1);
  expect(asked).toEqual(['datavolumes', 'pods']);
});

test('the controller goes by who was found entitled when they asked', () => {
  expect(couldClone(claim, 'jane')).toEqual({ allowed: true });
  expect(couldClone(claim, undefined)).toEqual({ allowed: false, missing });
  expect(couldClone(within, undefined)).toEqual({ allowed: true });
});
