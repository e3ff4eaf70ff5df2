// What a round asks for in each situation of a claim: which commands, in which order, and what is written before them.
import { describe, expect, test } from 'vitest';
import { annotations } from '../../domain/annotations.ts';
import { Fault, faultRecord } from '../../domain/fault.ts';
import type { Claim } from '../../domain/kube-shapes.ts';
import type { Operation } from '../../domain/phases.ts';
import { claimOf, connectedNode, factsOf, volumeId, volumeOf } from '../../test/claim-examples.ts';
import { type AttemptState, firstAttempt, formatAttemptState } from './attempt-state.ts';
import type { ClaimAction, ClaimFacts } from './claim-actions.ts';
import { reconcileClaim } from './reconcile-claim.ts';

const away = { ...connectedNode, connected: false, known: false, settled: false };

/** The claim with that attempt in it. */
function held(operation: Operation, more: Partial<AttemptState> = {}, claim: Partial<Claim> = {}): Claim {
  const state = { ...firstAttempt(operation), ...more };
  return claimOf({ [annotations.attempt]: formatAttemptState(state) }, claim);
}

function kinds(claim: Claim, facts: Partial<ClaimFacts> = {}): string[] {
  return reconcileClaim(claim, factsOf(facts)).map(({ kind }) => kind);
}

/** Only what is asked of the worker and the queue. */
function commands(claim: Claim, facts: Partial<ClaimFacts> = {}): ClaimAction[] {
  const told = ['patch', 'patchStatus', 'event', 'outcomeTaken'];
  return reconcileClaim(claim, factsOf(facts)).filter(({ kind }) => !told.includes(kind));
}

function annotationsWritten(claim: Claim, facts: Partial<ClaimFacts> = {}): Record<string, string | null> {
  const patches = reconcileClaim(claim, factsOf(facts)).filter((action) => action.kind === 'patch');
  return Object.assign({}, ...patches.map(({ patch }) => patch.annotations));
}

const job = (operation: string, attempt = 1) => ({ operation, attempt, volumeId, generation: 1, schemaVersion: 1 });
const upload: Partial<ClaimFacts> = { content: { kind: 'upload' } };

describe('commands for a claim that is to be filled', () => {
  const twoMi = { ...claimOf().spec, resources: { requests: { storage: '2Mi' } } };
  const larger = held('import', {}, { spec: twoMi, status: { phase: 'Bound' } });
  const table: [string, Claim, Partial<ClaimFacts>, object[]][] = [
    [
      'no volume yet: one is reserved',
      held('import'),
      { volume: undefined },
      [{ kind: 'reserve', node: 'one', pool: 'default', sizeBytes: 1_048_576, mode: 'Filesystem' }],
    ],
    ['no node yet: nothing', held('import'), { volume: undefined, node: undefined }, []],
    ['the worker is away: nothing', held('import'), { volume: undefined, node: away }, []],
    [
      'an empty volume: the fence, then the job',
      held('import'),
      { volume: volumeOf({ state: 'empty', fence: 0 }) },
      [
        { kind: 'fence', node: 'one', attempt: 1 },
        { kind: 'enqueue', node: 'one', delayMs: 0, payload: job('import') },
      ],
    ],
    [
      'an empty volume that is to be larger: that first',
      larger,
      { volume: volumeOf({ state: 'empty', fence: 0 }) },
      [{ kind: 'expand', node: 'one', sizeBytes: 2_097_152 }],
    ],
    [
      'it could not be larger: filled as it is',
      larger,
      { volume: volumeOf({ state: 'empty', fence: 0 }), growthFault: new Fault('VolumeTooLarge', 'x') },
      [
        { kind: 'fence', node: 'one', attempt: 1 },
        { kind: 'enqueue', node: 'one', delayMs: 0, payload: job('import') },
      ],
    ],
    [
      'fenced, and the job is not known to be there: it is put in again',
      held('import'),
      {},
      [{ kind: 'enqueue', node: 'one', delayMs: 0, payload: job('import') }],
    ],
    ['the job is there: nothing', held('import'), { enqueued: true }, []],
    ['it runs: nothing', held('import', { stage: 'running' }), { live: { attempt: 1, doing: 'running' } }, []],
    [
      'the next attempt: its fence, and its job with a delay',
      held('import', { attempt: 2, notBefore: '2026-01-01T00:00:03Z' }),
      {},
      [
        { kind: 'fence', node: 'one', attempt: 2 },
        { kind: 'enqueue', node: 'one', delayMs: 3_000, payload: job('import', 2) },
      ],
    ],
    [
      'a secret is missing: nothing begins',
      held('import'),
      { readiness: { ready: false, fault: new Fault('SecretMissing', 'secret ns/s') } },
      [],
    ],
    ['a command has failed: nothing more in this round', held('import'), { obstacle: new Fault('PoolFull', 'x') }, []],
    [
      'a clone: its job',
      held('clone'),
      { content: { kind: 'clone', source: { namespace: 'ns', name: 'origin' } } },
      [{ kind: 'enqueue', node: 'one', delayMs: 0, payload: job('clone') }],
    ],
    [
      'an upload: its slot',
      held('upload'),
      upload,
      [{ kind: 'openUpload', node: 'one', attempt: 1, sizeBytes: 1_048_576 }],
    ],
    ['an open slot: nothing', held('upload'), { ...upload, live: { attempt: 1, doing: 'waiting' } }, []],
    [
      'bytes that came: their conversion',
      held('upload', { stage: 'received' }),
      { ...upload, live: { attempt: 1, doing: 'received' } },
      [{ kind: 'enqueue', node: 'one', delayMs: 0, payload: job('convert') }],
    ],
    [
      'a conversion that waits: another look then',
      held('upload', { stage: 'received', notBefore: '2026-01-01T00:00:02Z' }),
      { ...upload, live: { attempt: 1, doing: 'received' } },
      [{ kind: 'again', afterMs: 2_000 }],
    ],
    [
      'cancelled while it runs: the worker is told, the job taken out',
      held('import', { stage: 'running' }),
      { cancelRequested: true, live: { attempt: 1, doing: 'running' } },
      [
        { kind: 'cancelAttempt', node: 'one', attempt: 1, reason: 'cancelled by annotation' },
        { kind: 'dequeue', node: 'one', attempt: 1 },
      ],
    ],
    ['complete: nothing', held('import'), { volume: volumeOf({ state: 'complete' }) }, []],
    [
      'nobody fills it: it becomes plain',
      claimOf(),
      { content: { kind: 'none' }, volume: volumeOf({ state: 'empty', fence: 0 }) },
      [{ kind: 'markPlain', node: 'one' }],
    ],
    ['plain already: nothing', claimOf(), { content: { kind: 'none' }, volume: volumeOf({ state: 'plain' }) }, []],
    ['of another class: nothing', held('import'), { ours: false, volume: undefined }, []],
    ['its DataVolume has not been seen: nothing', held('import'), { content: { kind: 'unknown' } }, []],
    [
      'a volume that was there and is lost: none is made in its place',
      held('import', {}, { spec: { ...claimOf().spec, volumeName: volumeId } }),
      { volume: undefined },
      [],
    ],
  ];
  test.each(table)('%s', (_what, claim, facts, expected) => {
    expect(commands(claim, facts)).toEqual(expected);
  });
});

describe('what is written before what', () => {
  test('a claim gets its finalizer before anything is reserved for it', () => {
    const bare = held('import', {}, { metadata: { ...held('import').metadata, finalizers: [] } });
    const actions = reconcileClaim(bare, factsOf({ volume: undefined }));
    expect(actions.map(({ kind }) => kind)).toEqual(['patch', 'patchStatus', 'reserve']);
    expect(actions[0]).toMatchObject({ patch: { finalizer: 'add' } });
  });

  test('the number of the next attempt stands on the claim before its fence is claimed', () => {
    const fault = faultRecord(new Fault('SourceUnavailable', 'x'));
    const outcome = { attempt: 1, outcome: { ok: false as const, fault, bytesFetched: 0 } };
    const order = kinds(held('import', { stage: 'running' }), { outcome });
    expect(order.indexOf('patch')).toBeLessThan(order.indexOf('fence'));
    expect(order.indexOf('patch')).toBeLessThan(order.indexOf('outcomeTaken'));
  });

  test('a result is written before it is taken', () => {
    const fault = faultRecord(new Fault('SourceNotFound', 'x'));
    const outcome = { attempt: 1, outcome: { ok: false as const, fault, bytesFetched: 0 } };
    const order = kinds(held('import', { stage: 'running' }), { outcome });
    expect(order).toEqual(['patch', 'patchStatus', 'event', 'outcomeTaken']);
  });

  test('that the bytes of an upload came is written before their conversion is added: it may begin at once', () => {
    const live = { attempt: 1, doing: 'received' as const };
    const volume = volumeOf({ state: 'populating', fence: 1 });
    const order = kinds(held('upload', { stage: 'running' }), { ...upload, live, volume });
    expect(order.indexOf('patch')).toBeLessThan(order.indexOf('enqueue'));
    expect(order).toContain('patch');
  });

  test('a claim that says all there is to say is not written again', () => {
    const complete = volumeOf({ state: 'complete', committedAt: '2026-01-01T00:00:00Z' });
    const claim = held('import', {}, { status: { phase: 'Bound' }, spec: { ...claimOf().spec, volumeName: volumeId } });
    const written = annotationsWritten(claim, { volume: complete });
    const told = Object.entries(written).filter((entry): entry is [string, string] => entry[1] !== null);
    const after = { ...claim.metadata.annotations, ...Object.fromEntries(told) };
    expect(kinds({ ...claim, metadata: { ...claim.metadata, annotations: after } }, { volume: complete })).toEqual([]);
  });
});

describe('what the claim says', () => {
  const said = (claim: Claim, facts: Partial<ClaimFacts>): (string | null | undefined)[] => {
    const written = { ...claim.metadata.annotations, ...annotationsWritten(claim, facts) };
    const { podPhase, podReady, runningCondition, runningConditionReason } = annotations;
    return [podPhase, podReady, runningCondition, runningConditionReason].map((name) => written[name]);
  };
  const failedOnce = { fault: faultRecord(new Fault('HostileImage', 'it has a backing file')) };
  test.each<[string, Claim, Partial<ClaimFacts>, (string | undefined)[]]>([
    ['planned', held('import'), { enqueued: true }, ['Pending', undefined, 'false', 'Pending']],
    [
      'running',
      held('import'),
      { live: { attempt: 1, doing: 'running' } },
      ['Running', undefined, 'true', 'Pod is running'],
    ],
    [
      'its worker is away',
      held('import', { stage: 'running' }),
      { node: away },
      ['Running', undefined, 'false', 'NodeLost'],
    ],
    [
      'an open slot',
      held('upload'),
      { ...upload, live: { attempt: 1, doing: 'waiting' } },
      ['Running', 'true', 'true', 'Pod is running'],
    ],
    [
      'an open slot after a failed upload',
      held('upload', failedOnce),
      { ...upload, live: { attempt: 1, doing: 'waiting' } },
      ['Running', 'true', 'false', 'Error'],
    ],
    [
      'the next upload after a failed one',
      held('upload', failedOnce),
      { ...upload, live: { attempt: 1, doing: 'running' } },
      ['Running', 'true', 'true', 'Pod is running'],
    ],
    [
      'succeeded',
      held('import'),
      { volume: volumeOf({ state: 'complete' }) },
      ['Succeeded', undefined, 'false', 'Completed'],
    ],
    ['cancelled', held('import'), { cancelRequested: true }, ['Failed', undefined, 'false', 'Cancelled']],
  ])('%s', (_what, claim, facts, expected) => {
    expect(said(claim, facts)).toEqual(expected);
  });
});

describe('the event of a failure', () => {
  const refused = { obstacle: new Fault('VolumeTooLarge', 'x') };
  const slotOpen = held('upload', { stage: 'running' });
  test.each<[string, Claim, Partial<ClaimFacts>, string]>([
    ['virtctl gives up where no bytes will be taken', held('upload'), { ...upload, ...refused }, 'ProvisioningFailed'],
    ['an upload that had its place', slotOpen, { ...upload, ...refused }, 'UploadFailed'],
    ['an import', held('import'), refused, 'ErrImportFailed'],
  ])('%s', (_what, claim, facts, reason) => {
    const actions = reconcileClaim(claim, factsOf(facts));
    expect(actions).toContainEqual(expect.objectContaining({ kind: 'event', type: 'Warning', reason }));
  });
});

describe('a claim that is being deleted', () => {
  const leaving = held(
    'import',
    {},
    { metadata: { ...held('import').metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } },
  );

  test('deletes its volume and its job, and only then goes', () => {
    expect(reconcileClaim(leaving, factsOf())).toEqual([
      { kind: 'deleteVolume', node: 'one' },
      { kind: 'dequeue', node: 'one', attempt: 1 },
      { kind: 'patch', patch: { annotations: {}, finalizer: 'remove' } },
    ]);
  });

  test('goes at once where there is no volume, or never was a node', () => {
    expect(kinds(leaving, { volume: undefined })).toEqual(['patch']);
    expect(kinds(leaving, { volume: undefined, node: undefined })).toEqual(['patch']);
  });

  test('goes where its node is away and nothing was made there; where something was, it waits', () => {
    const release = { kind: 'patch', patch: { annotations: {}, finalizer: 'remove' } };
    expect(reconcileClaim(leaving, factsOf({ volume: undefined, node: away }))).toEqual([release]);
    const foreign = { ...leaving, spec: { ...leaving.spec, volumeName: 'chosen-by-a-user' } };
    expect(reconcileClaim(foreign, factsOf({ volume: undefined, node: away }))).toEqual([release]);
    const bound = { ...leaving, spec: { ...leaving.spec, volumeName: volumeId } };
    expect(annotationsWritten(bound, { volume: undefined, node: away })).toMatchObject({
      [annotations.runningConditionReason]: 'Deleting',
    });
    // Its inventory is on the way, and may name the volume.
    const justCome = { ...away, connected: true };
    expect(reconcileClaim(leaving, factsOf({ volume: undefined, node: justCome }))).not.toContainEqual(release);
  });

  test.each([
    ['its worker is away', { node: away }],
    ['the volume could not be deleted', { obstacle: new Fault('PermissionDenied', 'x') }],
  ])('stays and says why where %s', (_why, facts) => {
    const actions = reconcileClaim(leaving, factsOf(facts));
    expect(actions.map(({ kind }) => kind)).toEqual(['patch']);
    expect(annotationsWritten(leaving, facts)).toMatchObject({ [annotations.runningConditionReason]: 'Deleting' });
    expect(actions[0]).not.toHaveProperty('patch.finalizer');
  });

  test('without our finalizer it is nobody’s business here', () => {
    const free = { ...leaving, metadata: { ...leaving.metadata, finalizers: [] } };
    expect(kinds(free)).toEqual([]);
  });
});
