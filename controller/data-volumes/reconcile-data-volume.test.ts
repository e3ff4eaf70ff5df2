// Phases, conditions and events of a DataVolume, row by row, as CDI's tables have them.
import { describe, expect, test } from 'vitest';
import { annotations } from '../../domain/annotations.ts';
import type { DataVolume } from '../../domain/data-volume.ts';
import { Fault } from '../../domain/fault.ts';
import type { Claim } from '../../domain/kube-shapes.ts';
import { firstAttempt, formatAttemptState } from '../claims/attempt-state.ts';
import { type DataVolumeAction, type DataVolumeFacts, reconcileDataVolume } from './reconcile-data-volume.ts';

const uid = '11111111-1111-4111-8111-111111111111';
const claimUid = '22222222-2222-4222-8222-222222222222';
const now = new Date('2026-01-01T00:00:00Z');

function dataVolume(source: DataVolume['spec']['source'], status?: DataVolume['status']): DataVolume {
  return {
    apiVersion: 'cdi.kubevirt.io/v1beta1',
    kind: 'DataVolume',
    metadata: { namespace: 'ns', name: 'dv', uid },
    spec: source === undefined ? {} : { source },
    ...(status === undefined ? {} : { status }),
  };
}

function claim(phase: string | undefined, told: Record<string, string> = {}): Claim {
  const owner = { apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'DataVolume', name: 'dv', uid, controller: true };
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: {
      ...{ namespace: 'ns', name: 'dv', uid: claimUid, ownerReferences: [owner] },
      annotations: { [annotations.createdForDataVolume]: uid, ...told },
    },
    spec: {},
    ...(phase === undefined ? {} : { status: { phase } }),
  };
}

function facts(found: Claim | undefined, more: Partial<DataVolumeFacts> = {}): DataVolumeFacts {
  const rendered = { claim: claim(undefined) };
  const nothing = { cloneSource: undefined, refusal: undefined, missingClass: undefined, live: undefined };
  return { claim: found, rendered, ...nothing, adoptsClaims: false, waitsForConsumer: false, now, ...more };
}

const statusOf = (actions: readonly DataVolumeAction[]) => actions.find((action) => action.kind === 'status')?.status;
const reasonsOf = (actions: readonly DataVolumeAction[]) =>
  actions.filter((action) => action.kind === 'event').map(({ reason, message }) => `${reason}: ${message}`);

const blank = { blank: {} };
const upload = { upload: {} };
const clone = { pvc: { namespace: 'other', name: 'origin' } };
const pod = (phase: string, more: Record<string, string> = {}) => ({ [annotations.podPhase]: phase, ...more });
const fatal = { [annotations.importFatalError]: 'true' };
const bound = 'Bound: PVC dv Bound';

describe('the phase of a DataVolume', () => {
  test.each([
    [blank, claim('Pending'), 'Pending', ['Pending: PVC dv Pending']],
    [blank, claim('Bound'), 'PVCBound', [bound]],
    [blank, claim('Bound', pod('Pending')), 'ImportScheduled', ['ImportScheduled: Import into dv scheduled', bound]],
    [
      blank,
      claim('Bound', pod('Running')),
      'ImportInProgress',
      ['ImportInProgress: Import into dv in progress', bound],
    ],
    [blank, claim('Bound', pod('Failed', fatal)), 'Failed', ['ImportFailed: Failed to import into PVC dv', bound]],
    [
      blank,
      claim('Bound', pod('Succeeded')),
      'Succeeded',
      ['ImportSucceeded: Successfully imported into PVC dv', bound],
    ],
    [blank, claim('Lost'), 'Failed', ['ErrClaimLost: PVC dv lost', 'ClaimLost: Claim Lost']],
    [upload, claim('Bound', pod('Running')), 'UploadScheduled', ['UploadScheduled: Upload into dv scheduled', bound]],
    [
      upload,
      claim('Bound', pod('Running', { [annotations.podReady]: 'true' })),
      'UploadReady',
      ['UploadReady: Upload into dv ready', bound],
    ],
    [upload, claim('Bound', pod('Succeeded')), 'Succeeded', ['UploadSucceeded: Successfully uploaded into dv', bound]],
    [
      clone,
      claim('Bound', pod('Running')),
      'CloneInProgress',
      ['CloneInProgress: Cloning from other/origin into ns/dv in progress', bound],
    ],
    [
      clone,
      claim('Bound', pod('Succeeded')),
      'Succeeded',
      ['CloneSucceeded: Successfully cloned from other/origin into ns/dv', bound],
    ],
  ])('%j with its claim → %s', (source, found, phase, events) => {
    const actions = reconcileDataVolume(dataVolume(source), facts(found));
    expect(statusOf(actions)?.phase).toBe(phase);
    expect(reasonsOf(actions)).toEqual(events);
  });

  test('waits for the first consumer where the class does', () => {
    const actions = reconcileDataVolume(dataVolume(blank), facts(claim('Pending'), { waitsForConsumer: true }));
    expect(statusOf(actions)?.phase).toBe('WaitForFirstConsumer');
  });

  test('never goes back within an attempt', () => {
    const before = { phase: 'ImportInProgress', longshore: { volumeId: `pvc-${claimUid}`, attempt: 1 } };
    const told = pod('Pending', { 'longshore.dev/attempt': formatAttemptState(firstAttempt('import')) });
    const actions = reconcileDataVolume(dataVolume(blank, before), facts(claim('Bound', told)));
    expect(statusOf(actions)?.phase).toBe('ImportInProgress');
  });
});

describe('a DataVolume without its claim', () => {
  test('makes it, with the number of the first attempt', () => {
    const [action] = reconcileDataVolume(dataVolume(blank), facts(undefined));
    const made = action?.kind === 'createClaim' ? action.claim.metadata.annotations : undefined;
    expect(made?.['longshore.dev/attempt']).toBe(formatAttemptState(firstAttempt('import')));
  });

  test('tells once why none can be made', () => {
    const problem = { reason: 'ErrClaimNotValid' as const, message: 'no class' };
    const actions = reconcileDataVolume(dataVolume(blank), facts(undefined, { rendered: { problem } }));
    expect(statusOf(actions)?.phase).toBeUndefined();
    expect(reasonsOf(actions)).toContain('ErrClaimNotValid: no class');
    const told = dataVolume(blank, statusOf(actions));
    expect(reconcileDataVolume(told, facts(undefined, { rendered: { problem } }))).toEqual([]);
  });

  test('leaves a claim of somebody else alone', () => {
    const foreign = claim('Bound');
    delete foreign.metadata.ownerReferences;
    const actions = reconcileDataVolume(dataVolume(blank), facts(foreign));
    expect(reasonsOf(actions)).toContain(
      'ErrResourceExists: Resource "dv" already exists and is not managed by DataVolume',
    );
  });

  test('whose clone is smaller than its source ends as Failed', () => {
    const source = { ...claim('Bound'), spec: { resources: { requests: { storage: '2Gi' } } } };
    const wish = dataVolume(clone);
    wish.spec.storage = { resources: { requests: { storage: '1Gi' } } };
    const actions = reconcileDataVolume(wish, facts(undefined, { cloneSource: source }));
    expect(statusOf(actions)?.phase).toBe('Failed');
    expect(reasonsOf(actions)[0]).toContain(
      "CloneValidationFailed: The clone doesn't meet the validation requirements",
    );
  });
});

describe('a claim of the same name that nobody owns', () => {
  const bare = (told: Record<string, string> = {}): Claim => {
    const found = claim('Bound', { [annotations.createdForDataVolume]: 'a former one', ...told });
    const { ownerReferences: _, ...metadata } = found.metadata;
    return { ...found, metadata };
  };
  const wish = (value: string) => ({ [annotations.allowClaimAdoption]: value });
  test.each<[string, Record<string, string>, boolean, Record<string, string>, string]>([
    ['no wish, gate off', {}, false, {}, 'ErrResourceExists'],
    ['no wish, gate on', {}, true, {}, 'ownClaim'],
    ['wish, gate off', wish('true'), false, {}, 'ownClaim'],
    ['wish as Go reads it', wish('T'), false, {}, 'ownClaim'],
    ['wish against, gate on', wish('false'), true, {}, 'ErrResourceExists'],
    ['filled for it', wish('false'), false, { [annotations.populatedFor]: 'dv' }, 'ownClaim'],
  ])('%s', (_what, wishes, adoptsClaims, told, expected) => {
    const wanted = dataVolume(blank);
    const asked = { ...wanted, metadata: { ...wanted.metadata, annotations: wishes } };
    const actions = reconcileDataVolume(asked, facts(bare(told), { adoptsClaims }));
    const first = actions[0];
    expect(first?.kind === 'event' ? first.reason : first?.kind).toBe(expected);
  });
});

describe('a claim that', () => {
  const refusedWith = (code: 'Quota' | 'InvalidRequest', detail: string) =>
    reconcileDataVolume(dataVolume(blank), facts(undefined, { refusal: new Fault(code, detail) }));

  test.each([
    ['Quota', 'ErrExceededQuota', 'Raise the quota or delete other objects.'],
    ['InvalidRequest', 'ErrClaimNotValid', 'Correct'],
  ] as const)('the store refuses with %s is told with what to do', (code, reason, nextStep) => {
    const actions = refusedWith(code, 'not that');
    const status = statusOf(actions);
    expect(status?.phase).toBe('Pending');
    for (const type of ['Bound', 'Ready']) {
      const condition = status?.conditions?.find((each) => each.type === type);
      expect(condition).toMatchObject({ status: 'False', reason });
      expect(condition?.message).toContain('not that. ');
      expect(condition?.message).toContain(nextStep);
    }
    expect(reasonsOf(actions).map((told) => told.split(':')[0])).toEqual([reason]);
  });

  test('names a class that is not there says so while it is pending', () => {
    const status = statusOf(reconcileDataVolume(dataVolume(blank), facts(claim('Pending'), { missingClass: 'fast' })));
    expect(status?.conditions?.find(({ type }) => type === 'Bound')?.message).toBe(
      'PVC dv Pending: there is no StorageClass fast. Create it, or create the DataVolume again with another.',
    );
  });
});
