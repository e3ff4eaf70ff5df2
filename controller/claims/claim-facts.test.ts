// What a round is told about a claim: one row for each thing that decides a fact.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { annotations, provisionerName } from '../../domain/annotations.ts';
import type { DataVolume } from '../../domain/data-volume.ts';
import { Fault, faultRecord } from '../../domain/fault.ts';
import type { Claim, StorageClass } from '../../domain/kube-shapes.ts';
import { resources } from '../../domain/resources.ts';
import { volumeIdOf } from '../../domain/volume-record.ts';
import { claimOf, claimUid, volumeId, volumeOf } from '../../test/claim-examples.ts';
import { ControllerParts } from '../../test/controller-parts.ts';
import { poolState } from '../../test/scripted-worker.ts';
import { type AttemptState, firstAttempt, formatAttemptState } from './attempt-state.ts';
import { claimFacts } from './claim-facts.ts';

let parts: ControllerParts;
beforeEach(async () => {
  parts = await ControllerParts.open();
});
afterEach(() => parts.close());

const sourceUid = '00000000-0000-4000-8000-00000000000b';
const sourceId = volumeIdOf(sourceUid);
const onOne = { [annotations.selectedNode]: 'one' };
const imports = { [annotations.importEndpoint]: 'http://host/disk' };
const withSecret = { ...imports, [annotations.importSecretName]: 's' };
const withCertificates = { ...imports, [annotations.importCertConfigMap]: 'c' };
const clones = { [annotations.cloneRequest]: 'ns/src' };
const source: Claim = {
  ...claimOf(onOne),
  metadata: { namespace: 'ns', name: 'src', uid: sourceUid, annotations: onOne },
};
const owner = { apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'DataVolume', name: 'disk', uid: 'dv', controller: true };

function state(more: Partial<AttemptState>): Record<string, string> {
  return { [annotations.attempt]: formatAttemptState({ ...firstAttempt('import'), ...more }) };
}

function classOf(name: string, more: Partial<StorageClass> = {}): StorageClass {
  return {
    ...{ apiVersion: 'storage.k8s.io/v1', kind: 'StorageClass', provisioner: provisionerName },
    metadata: { name, annotations: { [annotations.defaultStorageClass]: 'true' } },
    ...more,
  };
}

function dataVolumeOf(uid: string, told: Record<string, string> = {}): DataVolume {
  return {
    ...{ apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'DataVolume', spec: { source: { blank: {} } } },
    metadata: { namespace: 'ns', name: 'disk', uid, annotations: told },
  };
}

function owned(told: Record<string, string> = {}): Claim {
  const claim = claimOf({ [annotations.createdForDataVolume]: 'dv', ...told });
  return { ...claim, metadata: { ...claim.metadata, ownerReferences: [owner] } };
}

function deleted(told: Record<string, string>): Claim {
  const claim = claimOf(told);
  return { ...claim, metadata: { ...claim.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } };
}

const gather = (claim: Claim, obstacle?: Fault) =>
  claimFacts(parts.context, claim, volumeId, { obstacle, growthFault: undefined });
const keep = (storageClass: StorageClass) => parts.context.caches.storageClasses.put(storageClass);
const twoNodes = () => ({ one: parts.node('one', 1e9), two: parts.node('two', 2e9) });
const runs = () => parts.node('one', 1e9).live.set(volumeId, { attempt: 1, doing: 'running' });

type Given = () => unknown;

describe('the node is', () => {
  test.each<[string, Given, Claim, object | undefined]>([
    ['the one with most room', twoNodes, claimOf(imports), { name: 'two', connected: true }],
    ['none where no worker is connected', () => undefined, claimOf(imports), undefined],
    ['the selected one, though another has more room', twoNodes, claimOf({ ...imports, ...onOne }), { name: 'one' }],
    [
      'the one that holds the volume, whatever was selected',
      () => twoNodes().two.volumes.set(volumeId, volumeOf()),
      claimOf({ ...imports, ...onOne }),
      { name: 'two' },
    ],
    [
      'told as away where its worker never connected',
      () => undefined,
      claimOf({ ...imports, ...onOne }),
      { name: 'one', connected: false, known: false, settled: false },
    ],
    ['not chosen for a claim that is being deleted', twoNodes, deleted(imports), undefined],
    [
      'not chosen where a consumer is to choose',
      () => twoNodes() && keep(classOf('waits', { volumeBindingMode: 'WaitForFirstConsumer' })),
      claimOf(imports),
      undefined,
    ],
    ['not chosen for a clone whose source is not there', twoNodes, claimOf(clones), undefined],
    [
      'that of its source for a clone, though another has more room',
      () => {
        twoNodes().one.volumes.set(sourceId, volumeOf({ volumeId: sourceId, state: 'complete' }));
        parts.context.caches.claims.put(source);
      },
      claimOf(clones),
      { name: 'one' },
    ],
  ])('%s', async (_what, given, claim, node) => {
    given();
    const facts = await gather(claim);
    if (node === undefined) expect(facts.node).toBeUndefined();
    else expect(facts.node).toMatchObject(node);
  });
});

describe('an attempt', () => {
  const missing = { ready: false, fault: { code: 'SecretMissing' } };
  test.each<[string, Given, Claim, object, string[]]>([
    ['may begin where nothing is named', () => undefined, claimOf(imports), { ready: true }, []],
    ['waits for its secret', () => undefined, claimOf(withSecret), missing, ['secret ns/s for ns/disk']],
    ['waits for its config map', () => undefined, claimOf(withCertificates), missing, ['configmap ns/c for ns/disk']],
    [
      'may begin when its secret is there, and hears of its changes',
      () =>
        parts.store.create(resources.secrets, {
          ...{ apiVersion: 'v1', kind: 'Secret', metadata: { namespace: 'ns', name: 's' }, data: {} },
        }),
      claimOf(withSecret),
      { ready: true },
      ['secret ns/s for ns/disk'],
    ],
    ['that runs asks for nothing', runs, claimOf({ ...withSecret, ...onOne }), { ready: true }, []],
    [
      'that failed asks for nothing',
      () => undefined,
      claimOf({ ...withSecret, ...state({ stage: 'failed' }) }),
      { ready: true },
      [],
    ],
    [
      'whose bytes came asks for nothing',
      () => undefined,
      claimOf({ ...withSecret, ...state({ stage: 'received' }) }),
      { ready: true },
      [],
    ],
    ['of a claim that is being deleted asks for nothing', () => undefined, deleted(withSecret), { ready: true }, []],
    [
      'to clone waits for its source',
      () => undefined,
      claimOf(clones),
      { ready: false, fault: { code: 'SourceNotReady' } },
      ['claim ns/src for ns/disk'],
    ],
    [
      'to clone waits for the volume of its source',
      () => parts.context.caches.claims.put(source),
      claimOf(clones),
      { ready: false, fault: { code: 'SourceNotReady', detail: expect.stringContaining('has not been seen') } },
      ['claim ns/src for ns/disk'],
    ],
  ])('%s', async (_what, given, claim, readiness, waits) => {
    await given();
    expect((await gather(claim)).readiness).toMatchObject(readiness);
    expect(parts.waits).toEqual(waits);
  });
});

describe('of the claim is told', () => {
  const cancel = { [annotations.cancel]: 'true' };
  const fault = faultRecord(new Fault('NoSpace', 'x'));
  const outcome = { attempt: 1, outcome: { ok: false as const, fault, bytesFetched: 0 } };
  const dataVolume = (uid: string, told = {}) => parts.context.caches.dataVolumes.put(dataVolumeOf(uid, told));
  test.each<[string, Given, Claim, object]>([
    ['that its class is ours', () => keep(classOf('default')), claimOf(), { ours: true, provisionedBy: 'channel' }],
    ['that its class is another’s', () => keep(classOf('nfs', { provisioner: 'nfs' })), claimOf(), { ours: false }],
    ['that it has no class', () => undefined, claimOf(), { ours: false, waitsForConsumer: false }],
    [
      'that it waits for a consumer',
      () => keep(classOf('w', { volumeBindingMode: 'WaitForFirstConsumer' })),
      claimOf(),
      { waitsForConsumer: true },
    ],
    [
      'that its consumer has come',
      () => keep(classOf('w', { volumeBindingMode: 'WaitForFirstConsumer' })),
      claimOf(onOne),
      { waitsForConsumer: false },
    ],
    ['what its DataVolume asks', () => dataVolume('dv'), owned(), { content: { kind: 'blank' } }],
    ['that its DataVolume has not been seen', () => undefined, owned(), { content: { kind: 'unknown' } }],
    [
      'that the DataVolume of that name is another',
      () => dataVolume('dv-2', cancel),
      owned(),
      { content: { kind: 'unknown' }, cancelRequested: false },
    ],
    ['a wish to end on the claim', () => undefined, claimOf(cancel), { cancelRequested: true }],
    ['a wish to end on its DataVolume', () => dataVolume('dv', cancel), owned(), { cancelRequested: true }],
    [
      'a wish that was taken back',
      () => undefined,
      claimOf({ [annotations.cancel]: 'false' }),
      { cancelRequested: false },
    ],
    [
      'that its job is in the queue',
      () => parts.context.enqueued.set(volumeId, 2),
      claimOf(state({ attempt: 2 })),
      { enqueued: true },
    ],
    [
      'that the job in the queue is an earlier one',
      () => parts.context.enqueued.set(volumeId, 1),
      claimOf(state({ attempt: 2 })),
      { enqueued: false },
    ],
    ['that it never had a job', () => undefined, claimOf(), { enqueued: false }],
    ['its result', () => parts.context.outcomes.set(volumeId, outcome), claimOf(), { outcome, volumeId }],
    [
      'its volume and what runs there',
      () => runs() && parts.context.nodes.enter('one').volumes.set(volumeId, volumeOf()),
      claimOf(),
      { volume: volumeOf(), live: { doing: 'running' } },
    ],
  ])('%s', async (_what, given, claim, facts) => {
    given();
    expect(claim.metadata.uid).toBe(claimUid);
    expect(await gather(claim)).toMatchObject(facts);
  });

  test('that a node had no room for its volume, until one holds it', async () => {
    const refusal = new Fault('PoolFull', 'node one: no room');
    parts.context.refusals.set(volumeId, refusal);
    const two = parts.node('two', 1e9);
    expect((await gather(claimOf(onOne))).obstacle).toBe(refusal);
    two.volumes.set(volumeId, volumeOf());
    expect((await gather(claimOf(onOne))).obstacle).toBeUndefined();
  });

  test('the pool that a new volume goes to, by the class and by the claim', async () => {
    parts.node('one', 1e9).pools = [poolState('default', 2e9), poolState('fast', 1e9)];
    expect((await gather(claimOf())).pool).toBe('default');
    expect((await gather(claimOf({ [annotations.pool]: 'fast' }))).pool).toBe('fast');
    keep(classOf('of-fast', { parameters: { storagePool: 'fast' } }));
    const ofClass = claimOf({}, { spec: { ...claimOf().spec, storageClassName: 'of-fast' } });
    expect((await gather(ofClass)).pool).toBe('fast');
    keep(classOf('of-none', { parameters: { storagePool: 'none' } }));
    const ofNone = claimOf({}, { spec: { ...claimOf().spec, storageClassName: 'of-none' } });
    expect((await gather(ofNone)).obstacle).toMatchObject({ code: 'NoPoolHere', retryable: true });
  });

  test('that a volume which was made may be in a pool that is away: it is neither lost nor made anew', async () => {
    const fault = faultRecord(new Fault('PoolMissing', 'not mounted'));
    parts.node('one', 1e9).pools = [poolState('default'), { name: 'fast', directory: '/fast', fault }];
    const bound = (told: Record<string, string>) => ({
      ...claimOf({ ...onOne, ...told }),
      spec: { ...claimOf().spec, volumeName: volumeId },
    });
    const obstacleOf = async (told: Record<string, string>) => (await gather(bound(told))).obstacle?.code;
    expect(await obstacleOf({ [annotations.pool]: 'fast' })).toBe('PoolMissing');
    expect(await obstacleOf({})).toBe('PoolMissing');
    expect(await obstacleOf({ [annotations.pool]: 'default' })).toBeUndefined();
    expect(await obstacleOf({ [annotations.pool]: 'former' })).toBe('NoPoolHere');
  });

  test('what failed in this round, and whether a failed attempt is followed by another, by the settings', async () => {
    const obstacle = new Fault('NodeLost', 'away');
    const facts = await gather(claimOf(imports), obstacle);
    expect(facts.obstacle).toBe(obstacle);
    const fault = new Fault('SourceUnavailable', '503');
    const planAfter = (failures: number) =>
      facts.plan({ fault, state: { ...firstAttempt('import'), attempt: 9, failures }, bytesFetched: 0 });
    expect([planAfter(2).retry, planAfter(3).retry]).toEqual([true, false]);
  });
});
