// The controller as a whole: a real store, a real Redis, real TLS to a worker whose pool is scripted.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { annotations } from '../domain/annotations.ts';
import type { DataVolume } from '../domain/data-volume.ts';
import { Fault, faultRecord } from '../domain/fault.ts';
import { resources } from '../domain/resources.ts';
import { type VolumeRecord, volumeIdOf } from '../domain/volume-record.ts';
import { ControllerFixture } from '../test/controller-fixture.ts';
import { report } from '../test/scripted-worker.ts';

let fixture: ControllerFixture;
beforeEach(async () => {
  fixture = await ControllerFixture.start({ sweepMs: 300 });
});
afterEach(() => fixture.close());

const key = (name: string) => ({ namespace: 'default', name });
const http = { source: { http: { url: 'http://127.0.0.1:1/disk.raw' } } };
const failure = (code: Parameters<typeof faultOf>[0], bytesFetched = 0) => ({
  ok: false as const,
  fault: faultOf(code),
  bytesFetched,
});
function faultOf(code: ConstructorParameters<typeof Fault>[0]) {
  return faultRecord(new Fault(code, 'as the test says'));
}

describe('an import', () => {
  test('a blank volume goes from created to Succeeded with CDI’s phases, conditions, events and annotations', async () => {
    const worker = await fixture.worker();
    await fixture.dataVolume('blank', { source: { blank: {} } });
    const done = await fixture.phase('blank', 'Succeeded');
    const claim = await fixture.store.get(resources.claims, key('blank'));
    expect(done?.status?.progress).toBe('100.0%');
    expect(done?.status?.restartCount).toBeUndefined();
    expect(done?.status?.claimName).toBe('blank');
    expect(done?.status?.conditions).toMatchObject([
      { type: 'Bound', status: 'True', reason: 'Bound', message: 'PVC blank Bound' },
      { type: 'Ready', status: 'True' },
      { type: 'Running', status: 'False', reason: 'Completed', message: 'Import Complete' },
    ]);
    expect(done?.status?.longshore).toMatchObject({ node: 'local', attempt: 1, contentDigest: report.contentDigest });
    expect(claim?.status).toMatchObject({ phase: 'Bound', capacity: { storage: '1Mi' } });
    expect(claim?.spec.volumeName).toBe(`pvc-${claim?.metadata.uid}`);
    expect(claim?.metadata.annotations).toMatchObject({
      [annotations.podPhase]: 'Succeeded',
      [annotations.podRestarts]: '0',
      [annotations.selectedNode]: 'local',
      [annotations.path]: `/pool/volumes/pvc-${claim?.metadata.uid}/data/disk.img`,
    });
    expect(worker.inputs).toEqual([
      { operation: 'import', source: { kind: 'blank' }, sizeBytes: 1_048_576, preallocation: false },
    ]);
    await vi.waitFor(async () => {
      const reasons = (await fixture.eventsOf('DataVolume', 'blank')).map(({ reason }) => reason);
      expect(reasons).toEqual(expect.arrayContaining(['Bound', 'ImportSucceeded']));
    });
  });

  test('a permanent fault makes one attempt and Failed with the fault on the object', async () => {
    const worker = await fixture.worker();
    worker.script = async () => failure('SourceNotFound');
    await fixture.dataVolume('gone', http);
    const failed = await fixture.phase('gone', 'Failed');
    expect(failed?.status?.longshore?.fault?.code).toBe('SourceNotFound');
    expect(failed?.status?.longshore?.attempt).toBe(1);
    expect(worker.inputs).toHaveLength(1);
    const claim = await fixture.store.get(resources.claims, key('gone'));
    expect(claim?.metadata.annotations?.[annotations.importFatalError]).toBe('true');
    await vi.waitFor(async () => {
      expect((await fixture.eventsOf('DataVolume', 'gone')).map(({ reason }) => reason)).toContain('ImportFailed');
      expect((await fixture.eventsOf('PersistentVolumeClaim', 'gone'))[0]?.reason).toBe('ErrImportFailed');
    });
  });

  test('a transient fault is tried again as the next attempt and counted', async () => {
    const worker = await fixture.worker();
    worker.script = async (job) => (job.attempt < 3 ? failure('SourceUnavailable', 10) : { ok: true, report });
    await fixture.dataVolume('flaky', http);
    const done = await fixture.phase('flaky', 'Succeeded');
    expect(done?.status?.restartCount).toBe(2);
    expect(done?.status?.longshore?.bytesFetched).toBe(20 + report.fetchedBytes);
    expect(done?.status?.longshore?.fault).toBeUndefined();
    expect(worker.inputs).toHaveLength(3);
  });

  test('what passes never ends when the limit of attempts is reached', async () => {
    await fixture.close();
    fixture = await ControllerFixture.start({ environment: { LONGSHORE_ATTEMPT_LIMIT: '2' } });
    const worker = await fixture.worker();
    worker.script = async () => failure('SourceUnreachable');
    await fixture.dataVolume('never', http);
    const failed = await fixture.phase('never', 'Failed');
    expect(failed?.status?.longshore?.fault?.code).toBe('BudgetExhausted');
    expect(worker.inputs).toHaveLength(2);
  });

  test('waits for its secret with a condition and goes on when it appears', async () => {
    const worker = await fixture.worker();
    await fixture.dataVolume('secret', { source: { http: { url: 'http://127.0.0.1:1/x', secretRef: 'login' } } });
    await fixture.until(
      resources.dataVolumes,
      key('secret'),
      (found) => found?.status?.conditions?.some(({ reason }) => reason === 'SecretMissing') === true,
    );
    expect(worker.inputs).toEqual([]);
    const data = { accessKeyId: btoa('me'), secretKey: btoa('hush') };
    const metadata = key('login');
    await fixture.store.create(resources.secrets, { apiVersion: 'v1', kind: 'Secret', metadata, data });
    await fixture.phase('secret', 'Succeeded');
    expect(worker.inputs[0]).toMatchObject({ source: { credentials: { username: 'me', password: 'hush' } } });
  });

  test('progress comes to the status, and the phase is ImportInProgress', async () => {
    const worker = await fixture.worker();
    const go = Promise.withResolvers<void>();
    worker.script = async ({ volumeId, attempt }) => {
      const told = { volumeId, attempt, step: 'transfer' as const, bytesDone: 25, bytesTotal: 200, bytesFetched: 25 };
      worker.channel?.sendProgress({ ...told, bytesPerSecond: 5, etaSeconds: 35 });
      await go.promise;
      return { ok: true, report };
    };
    await fixture.dataVolume('slow', http);
    const running = await fixture.until(
      resources.dataVolumes,
      key('slow'),
      (found) => found?.status?.progress === '12.50%' && found.status.phase === 'ImportInProgress',
    );
    expect(running?.status?.longshore).toMatchObject({
      step: 'transfer',
      bytesDone: 25,
      bytesTotal: 200,
      etaSeconds: 35,
    });
    expect(running?.status?.conditions).toMatchObject([
      {},
      { reason: 'TransferRunning' },
      { reason: 'Pod is running' },
    ]);
    go.resolve();
    await fixture.phase('slow', 'Succeeded');
  });

  test('cancel by annotation ends it as Failed with Cancelled', async () => {
    const worker = await fixture.worker();
    worker.script = async () => undefined;
    const made = await fixture.dataVolume('stop', http);
    await fixture.phase('stop', 'ImportInProgress');
    const now = await fixture.store.get(resources.dataVolumes, key('stop'));
    const metadata = { ...(now ?? made).metadata, annotations: { [annotations.cancel]: 'true' } };
    const { resourceVersion: _, ...unversioned } = metadata;
    await fixture.store.update(resources.dataVolumes, { ...(now ?? made), metadata: unversioned });
    const failed = await fixture.phase('stop', 'Failed');
    expect(failed?.status?.longshore?.fault?.code).toBe('Cancelled');
    await vi.waitFor(() => expect(worker.calls).toContain('attempt.cancel'));
  });

  test('a source that is not supported ends as Failed without a volume', async () => {
    const worker = await fixture.worker();
    await fixture.dataVolume('s3', { source: { s3: { url: 'https://s3/x' } } });
    const failed = await fixture.phase('s3', 'Failed');
    expect(failed?.status?.longshore?.fault?.code).toBe('UnsupportedSource');
    expect(worker.volumes.size).toBe(0);
  });
});

describe('a worker that goes', () => {
  test('without one the Bound condition says so, and with one it goes on', async () => {
    await fixture.dataVolume('early', { source: { blank: {} } });
    await fixture.until(
      resources.dataVolumes,
      key('early'),
      (found) => found?.status?.conditions?.[0]?.message === 'PVC early Pending: no worker is connected',
    );
    await fixture.worker();
    await fixture.phase('early', 'Succeeded');
  });

  test('an attempt that vanished with its worker is followed by another, not counted', async () => {
    const worker = await fixture.worker();
    worker.script = async () => undefined;
    await fixture.dataVolume('lost', http);
    await fixture.phase('lost', 'ImportInProgress');
    await worker.disconnect();
    await fixture.until(
      resources.dataVolumes,
      key('lost'),
      (found) => found?.status?.conditions?.[2]?.reason === 'NodeLost',
    );
    worker.running.clear();
    worker.script = async () => ({ ok: true, report });
    await worker.connect();
    const done = await fixture.phase('lost', 'Succeeded');
    expect(done?.status?.longshore?.attempt).toBe(2);
  });

  test('a controller that restarts finds the attempt running and takes its result', async () => {
    const worker = await fixture.worker();
    worker.script = async () => undefined;
    await fixture.dataVolume('kept', http);
    await fixture.phase('kept', 'ImportInProgress');
    await worker.disconnect();
    await fixture.stopController();
    await fixture.startController();
    worker.options.address = fixture.controller?.channelAddress ?? '';
    await worker.connect();
    const [volumeId = ''] = worker.volumes.keys();
    await worker.tell(volumeId, 1, { ok: true, report });
    const done = await fixture.phase('kept', 'Succeeded');
    expect(done?.status?.longshore?.attempt).toBe(1);
  });

  test('a permanent fault that is told long after the worker came back makes no second attempt', async () => {
    const worker = await fixture.worker();
    worker.script = async () => undefined;
    await fixture.dataVolume('late', http);
    await fixture.phase('late', 'ImportInProgress');
    const [volumeId = ''] = worker.volumes.keys();
    await fixture.dataVolume('lost', http);
    await fixture.phase('lost', 'ImportInProgress');
    await worker.disconnect();
    worker.running.clear();
    worker.undelivered.set(volumeId, 1);
    worker.script = async () => ({ ok: true, report });
    await worker.connect();
    // What the worker knows nothing of is begun anew by now.
    await fixture.phase('lost', 'Succeeded');
    await worker.tell(volumeId, 1, failure('SourceNotFound'));
    const failed = await fixture.phase('late', 'Failed');
    expect(failed?.status?.longshore).toMatchObject({ attempt: 1, fault: { code: 'SourceNotFound' } });
    expect(worker.inputs).toHaveLength(3);
  });

  test('one is not believed about a volume that another holds, nor about an attempt that has lost it', async () => {
    const worker = await fixture.worker();
    const liar = await fixture.worker('other');
    worker.script = async () => undefined;
    await fixture.dataVolume('mine', http);
    await fixture.phase('mine', 'ImportInProgress');
    const claim = await fixture.store.get(resources.claims, key('mine'));
    const volumeId = volumeIdOf(claim?.metadata.uid ?? '');
    const [holder, stranger] = worker.volumes.has(volumeId) ? [worker, liar] : [liar, worker];
    const stale = { code: 'StaleAttempt' };
    await expect(stranger.tell(volumeId, 1, { ok: true, report })).rejects.toMatchObject(stale);
    await expect(stranger.tell(volumeId, 1, failure('SourceNotFound'))).rejects.toMatchObject(stale);
    const told = { volumeId, attempt: 1, fault: faultOf('HostileImage') };
    await expect(stranger.channel?.call('upload.failed', told)).rejects.toMatchObject(stale);
    await expect(holder.tell(volumeId, 2, failure('SourceNotFound'))).rejects.toMatchObject(stale);
    const now = await fixture.phase('mine', 'ImportInProgress');
    expect(now?.status?.longshore?.fault).toBeUndefined();
    await holder.tell(volumeId, 1, { ok: true, report });
    await fixture.phase('mine', 'Succeeded');
  });

  test('a pool that is only read is waited for, and then it goes on', async () => {
    const worker = await fixture.worker();
    worker.refuse = (call) => {
      if (call === 'volume.claimFence') throw new Fault('PoolReadOnly', 'schema 2');
    };
    await fixture.dataVolume('downgraded', http);
    await fixture.until(
      resources.dataVolumes,
      key('downgraded'),
      (found) => found?.status?.conditions?.[2]?.reason === 'PoolReadOnly',
    );
    expect((await fixture.store.get(resources.dataVolumes, key('downgraded')))?.status?.phase).not.toBe('Failed');
    worker.refuse = () => undefined;
    await fixture.phase('downgraded', 'Succeeded');
    expect(worker.inputs).toHaveLength(1);
  });

  test('a claim that is deleted waits for the worker and says so', async () => {
    const worker = await fixture.worker();
    await fixture.dataVolume('leaving', { source: { blank: {} } });
    await fixture.phase('leaving', 'Succeeded');
    await worker.disconnect();
    await fixture.store.delete(resources.dataVolumes, key('leaving'));
    await fixture.until(
      resources.claims,
      key('leaving'),
      (found) => found?.metadata.annotations?.[annotations.runningConditionReason] === 'Deleting',
    );
    await worker.connect();
    await fixture.until(resources.claims, key('leaving'), (found) => found === undefined);
    expect(worker.volumes.size).toBe(0);
  });
});

describe('Redis', () => {
  test('when every job is lost they are scheduled again', async () => {
    const worker = await fixture.worker();
    await worker.stop();
    await worker.connect();
    await fixture.dataVolume('flushed', http);
    await fixture.phase('flushed', 'ImportScheduled');
    const { openRedis } = await import('../jobs/connection.ts');
    const redis = await openRedis(fixture.redis.url);
    await redis.flushall();
    redis.disconnect();
    await worker.takeJobs();
    await fixture.phase('flushed', 'Succeeded');
    expect(worker.inputs).toHaveLength(1);
  });

  test('while it is gone the condition says so, and it goes on by itself', async () => {
    const worker = await fixture.worker();
    await fixture.redis.halt();
    await fixture.dataVolume('queueless', http);
    await fixture.until(
      resources.dataVolumes,
      key('queueless'),
      (found) => found?.status?.conditions?.[2]?.reason === 'RedisUnavailable',
      20_000,
    );
    await fixture.redis.resume();
    await fixture.phase('queueless', 'Succeeded', 20_000);
    expect(worker.inputs).toHaveLength(1);
  });
});

describe('an upload', () => {
  test('opens a slot, converts what came, and ends Succeeded', async () => {
    const worker = await fixture.worker();
    await fixture.dataVolume('up', { source: { upload: {} } });
    await fixture.phase('up', 'UploadReady');
    const claim = await fixture.store.get(resources.claims, key('up'));
    expect(claim?.metadata.annotations).toMatchObject({
      [annotations.podPhase]: 'Running',
      [annotations.podReady]: 'true',
      [annotations.uploadTarget]: '',
    });
    const [volumeId = ''] = worker.volumes.keys();
    worker.slots.clear();
    worker.received.set(volumeId, 1);
    await worker.channel?.call('upload.received', { volumeId, attempt: 1, bytes: 5 });
    await fixture.phase('up', 'Succeeded');
    expect(worker.inputs).toMatchObject([{ operation: 'convert' }]);
    await vi.waitFor(async () => {
      const reasons = (await fixture.eventsOf('DataVolume', 'up')).map(({ reason }) => reason);
      expect(reasons).toEqual(expect.arrayContaining(['UploadReady', 'UploadSucceeded']));
    });
  });

  test('an image that cannot be taken is told, and the next upload is waited for', async () => {
    const worker = await fixture.worker();
    await fixture.dataVolume('bad', { source: { upload: {} } });
    await fixture.phase('bad', 'UploadReady');
    const [volumeId = ''] = worker.volumes.keys();
    worker.slots.clear();
    await worker.tell(volumeId, 1, failure('CorruptImage'));
    const again = await fixture.until(
      resources.dataVolumes,
      key('bad'),
      (found) => found?.status?.longshore?.attempt === 2 && found.status.phase === 'UploadReady',
    );
    expect(again?.status?.longshore?.fault?.code).toBe('CorruptImage');
    await vi.waitFor(() => expect(worker.slots.get(volumeId)).toBe(2));
    await worker.tell(volumeId, 2, { ok: true, report });
    await fixture.phase('bad', 'Succeeded');
  });

  test('one that leaves nothing behind is told while its slot waits for the next', async () => {
    const worker = await fixture.worker();
    await fixture.dataVolume('again', { source: { upload: {} } });
    await fixture.phase('again', 'UploadReady');
    const [volumeId = ''] = worker.volumes.keys();
    await worker.channel?.call('upload.failed', { volumeId, attempt: 1, fault: faultOf('HostileImage') });
    const running = (found?: DataVolume) => found?.status?.conditions?.find(({ type }) => type === 'Running');
    const failed = await fixture.until(
      resources.dataVolumes,
      key('again'),
      (found) => found?.status?.longshore?.fault?.code === 'HostileImage' && running(found)?.status === 'False',
    );
    expect(running(failed)).toMatchObject({ reason: 'Error', message: expect.stringContaining('HostileImage') });
    expect(failed?.status).toMatchObject({ phase: 'UploadReady', longshore: { attempt: 1 } });
    const claim = await fixture.store.get(resources.claims, key('again'));
    expect(claim?.metadata.annotations).toMatchObject({
      [annotations.podPhase]: 'Running',
      [annotations.podReady]: 'true',
    });
    await vi.waitFor(async () => {
      const events = await fixture.eventsOf('DataVolume', 'again');
      expect(events).toContainEqual(expect.objectContaining({ type: 'Warning', reason: 'Error' }));
    });
    const told = { volumeId, attempt: 1, step: 'transfer' as const, bytesDone: 1, bytesFetched: 1 };
    worker.channel?.sendProgress(told);
    await fixture.until(resources.dataVolumes, key('again'), (found) => running(found)?.status === 'True');
    await worker.tell(volumeId, 1, { ok: true, report });
    const done = await fixture.phase('again', 'Succeeded');
    expect(done?.status?.longshore?.fault).toBeUndefined();
    expect(done?.status?.restartCount).toBeUndefined();
  });

  test('into a claim without a DataVolume, as virtctl makes one', async () => {
    const worker = await fixture.worker();
    await fixture.claim('bare', { [annotations.uploadTarget]: '' });
    const ready = (found?: { metadata: { annotations?: Record<string, string> } }) =>
      found?.metadata.annotations?.[annotations.podReady] === 'true';
    await fixture.until(resources.claims, key('bare'), ready);
    const [volumeId = ''] = worker.volumes.keys();
    await worker.tell(volumeId, 1, { ok: true, report });
    await fixture.until(
      resources.claims,
      key('bare'),
      (found) => found?.metadata.annotations?.[annotations.podPhase] === 'Succeeded',
    );
  });
});

describe('a clone', () => {
  test('waits for its source, then names its volume to the worker of the same node', async () => {
    const worker = await fixture.worker();
    const source = { pvc: { namespace: 'default', name: 'origin' } };
    await fixture.dataVolume('copy', { source });
    const waits = await fixture.until(
      resources.dataVolumes,
      key('copy'),
      (found) => found?.status?.conditions?.[0]?.reason === 'CloneWithoutSource',
    );
    expect(waits?.status?.conditions?.[0]?.message).toBe("The source pvc origin doesn't exist");
    await fixture.dataVolume('origin', { source: { blank: {} } });
    await fixture.phase('copy', 'Succeeded');
    const origin = await fixture.store.get(resources.claims, key('origin'));
    expect(worker.inputs[1]).toMatchObject({ operation: 'clone', sourceVolumeId: `pvc-${origin?.metadata.uid}` });
    await vi.waitFor(async () => {
      const events = await fixture.eventsOf('DataVolume', 'copy');
      expect(events).toEqual(
        expect.arrayContaining([
          expect.objectContaining({ reason: 'CloneWithoutSource', count: 1, type: 'Warning' }),
          expect.objectContaining({
            reason: 'CloneSucceeded',
            message: 'Successfully cloned from default/origin into default/copy',
          }),
        ]),
      );
    });
  });

  test('between namespaces is refused where the API named no requester', async () => {
    const worker = await fixture.worker();
    await fixture.store.create(resources.namespaces, {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: 'other' },
    });
    await fixture.dataVolume('origin', { source: { blank: {} } });
    await fixture.phase('origin', 'Succeeded');
    const spec = {
      source: { pvc: { namespace: 'default', name: 'origin' } },
      storage: { resources: { requests: { storage: '1Mi' } } },
    };
    const made = (name: string, told: Record<string, string>) => ({
      apiVersion: 'cdi.kubevirt.io/v1beta1' as const,
      kind: 'DataVolume' as const,
      metadata: { namespace: 'other', name, annotations: told },
      spec,
    });
    await fixture.store.create(resources.dataVolumes, made('thief', {}));
    await fixture.store.create(resources.dataVolumes, made('friend', { [annotations.requester]: 'admin' }));
    const at = (name: string) => ({ namespace: 'other', name });
    const phase = (wanted: string) => (found?: { status?: { phase?: string } }) => found?.status?.phase === wanted;
    const failed = await fixture.until(resources.dataVolumes, at('thief'), phase('Failed'));
    expect(failed?.status?.longshore?.fault?.code).toBe('CloneForbidden');
    await fixture.until(resources.dataVolumes, at('friend'), phase('Succeeded'));
    expect(worker.volumes.size).toBe(2);
  });
});

describe('other claims', () => {
  test('one that names a node which nobody knows says so, can be deleted, and makes no node', async () => {
    await fixture.worker();
    await fixture.claim('astray', { [annotations.selectedNode]: 'nowhere' });
    const told = await fixture.until(
      resources.claims,
      key('astray'),
      (found) => found?.metadata.annotations?.[annotations.boundConditionMessage] !== undefined,
    );
    expect(told?.metadata.annotations?.[annotations.boundConditionMessage]).toBe(
      'PVC astray Pending: the worker of node nowhere is not connected',
    );
    await fixture.store.delete(resources.claims, key('astray'));
    await fixture.until(resources.claims, key('astray'), (found) => found === undefined);
    const { nodes } = (await fixture.controller?.operations.doctor()) ?? {};
    expect(nodes?.map(({ node }) => node)).toEqual(['local']);
  });

  test('one that nobody fills is bound and made plain', async () => {
    const worker = await fixture.worker();
    await fixture.claim('files');
    await fixture.until(resources.claims, key('files'), (found) => found?.status?.phase === 'Bound');
    await vi.waitFor(() => expect([...worker.volumes.values()].map(({ state }) => state)).toEqual(['plain']));
  });

  test('one that was filled for a DataVolume is taken over, and the DataVolume succeeds', async () => {
    await fixture.worker();
    await fixture.claim('restored', { [annotations.populatedFor]: 'restored' });
    await fixture.dataVolume('restored', http);
    const done = await fixture.phase('restored', 'Succeeded');
    expect(done?.status?.progress).toBe('N/A');
    expect(done?.metadata.annotations?.[annotations.prePopulated]).toBe('restored');
    const claim = await fixture.store.get(resources.claims, key('restored'));
    expect(claim?.metadata.ownerReferences?.[0]?.uid).toBe(done?.metadata.uid);
  });

  test('content whose claim is unknown is kept and told of with its owner; only an empty volume goes', async () => {
    const worker = await fixture.worker();
    await worker.disconnect();
    const owner = { namespace: 'shop', name: 'disk', uid: '00000000-0000-4000-8000-000000000001' };
    const hold = (last: string, state: VolumeRecord['state'], createdAt: string) => {
      const volumeId = volumeIdOf(`00000000-0000-4000-8000-00000000000${last}`);
      const record = { schemaVersion: 1 as const, owner, sizeBytes: 1_048_576, mode: 'Filesystem' as const };
      const told = state === 'complete' ? { report, committedAt: createdAt } : {};
      worker.volumes.set(volumeId, { ...record, ...told, volumeId, generation: 1, state, fence: 1, createdAt });
      return volumeId;
    };
    const kept = [
      hold('1', 'complete', '2020-01-01T00:00:00Z'),
      hold('2', 'complete', new Date().toISOString()),
      hold('3', 'plain', '2020-01-01T00:00:00Z'),
      hold('4', 'populating', new Date().toISOString()),
    ];
    const received = hold('5', 'populating', '2020-01-01T00:00:00Z');
    worker.received.set(received, 1);
    hold('6', 'populating', '2020-01-01T00:00:00Z');
    hold('7', 'empty', '2020-01-01T00:00:00Z');
    await worker.connect();
    await vi.waitFor(() => expect([...worker.volumes.keys()].toSorted()).toEqual([...kept, received]), {
      timeout: 5_000,
    });
    const found = await fixture.controller?.operations.doctor();
    expect(found?.findings.map(({ path }) => path)).toEqual(
      [kept[0], kept[1], kept[2], received].map((volumeId) => `volumes/${volumeId}`),
    );
    expect(found?.findings[0]).toMatchObject({ kind: 'volume without a claim', bytes: report.allocatedBytes });
    for (const word of ['shop/disk', '1.00 MiB', report.contentDigest])
      expect(found?.findings[0]?.detail).toContain(word);
  });
});
