// Which volumes without a claim go by themselves: none that holds anything, whatever its age.
import { expect, test } from 'vitest';
import { now, volumeId, volumeOf } from '../../test/claim-examples.ts';
import { describeOrphan, planOrphans } from './orphans.ts';

const old = '2025-01-01T00:00:00Z';
const young = now.toISOString();

test.each<['empty' | 'populating' | 'complete' | 'plain', string, boolean, boolean, 'removed' | 'kept' | 'left']>([
  ['empty', old, false, true, 'removed'],
  ['populating', old, false, true, 'removed'],
  ['empty', old, false, false, 'left'],
  ['empty', young, false, true, 'left'],
  ['populating', young, false, true, 'left'],
  ['populating', old, true, true, 'kept'],
  ['complete', old, false, true, 'kept'],
  ['complete', young, false, true, 'kept'],
  ['plain', old, false, true, 'kept'],
])('%s, made %s, an upload in it %s, seen before %s: %s', (state, createdAt, uploaded, seen, expected) => {
  const look = (known: boolean) =>
    planOrphans({
      ...{ volumes: [volumeOf({ state, createdAt })], hasClaim: () => known, hasUpload: () => uploaded, now },
      before: new Set(seen ? [volumeId] : []),
    });
  const { remove, keep, found } = look(false);
  expect(remove.length > 0 ? 'removed' : keep.length > 0 ? 'kept' : 'left').toBe(expected);
  expect([...found]).toEqual([volumeId]);
  expect(look(true)).toEqual({ remove: [], keep: [], found: new Set() });
});

test('whose it was is told with its size, and its digest where there is one', () => {
  const plain = describeOrphan(volumeOf({ state: 'plain' }));
  expect(plain).toContain('claim ns/disk');
  expect(plain).toContain('files of a user of 1.00 MiB');
  expect(plain).toContain('nothing was deleted');
});
