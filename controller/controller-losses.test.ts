// The whole controller while workers or Redis go and come back, in real surroundings: store, Redis, and TLS to a worker whose pool is scripted.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { annotations } from '../domain/annotations.ts';
import { Fault } from '../domain/fault.ts';
import { resources } from '../domain/resources.ts';
import { volumeIdOf } from '../domain/volume-record.ts';
import { ControllerFixture, http, key } from '../test/controller-fixture.ts';
import { failure, faultOf, report } from '../test/scripted-worker.ts';

let fixture: ControllerFixture;
beforeEach(async () => {
  fixture = await ControllerFixture.start({ sweepMs: 300 });
});
afterEach(() => fixture.close());

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
    await vi.waitUntil(() => worker.inputs.length === 2, { timeout: 30_000 });
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

test('a controller that leads no longer asks its workers for nothing and sends them away', async () => {
  let isHeld = true;
  const assertHeld = () => {
    if (!isHeld) throw new Fault('Interrupted', 'another leads');
  };
  await using undo = new AsyncDisposableStack();
  const former = await ControllerFixture.start({ licence: { assertHeld } });
  undo.defer(() => former.close());
  const worker = await former.worker();
  isHeld = false;
  await former.dataVolume('late', { source: { blank: {} } });
  await worker.channel?.closed;
  expect(worker.volumes.size).toBe(0);
  await expect(worker.connect()).rejects.toMatchObject({ code: 'NodeLost' });
});
