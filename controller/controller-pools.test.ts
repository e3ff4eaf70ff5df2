// Which pool a volume comes to, and what becomes of it while that pool is away, by the whole controller over a worker whose pools are scripted.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { annotations, provisionerName } from '../domain/annotations.ts';
import { resources } from '../domain/resources.ts';
import { ControllerFixture, http, key } from '../test/controller-fixture.ts';
import { faultOf, poolState, type ScriptedWorker } from '../test/scripted-worker.ts';

const waiting = { timeout: 20_000 };
let fixture: ControllerFixture;
let worker: ScriptedWorker;
beforeEach(async () => {
  fixture = await ControllerFixture.start({ sweepMs: 300 });
  worker = await fixture.worker();
  await tellPools(poolState('slow', 9e11), poolState('fast', 5e11));
  await fixture.store.create(resources.storageClasses, {
    ...{ apiVersion: 'storage.k8s.io/v1', kind: 'StorageClass', metadata: { name: 'fast' } },
    ...{ provisioner: provisionerName, parameters: { storagePool: 'fast' } },
  });
});
afterEach(() => fixture.close());

async function tellPools(...pools: ScriptedWorker['pools']): Promise<void> {
  worker.pools = pools;
  await worker.channel?.call('pools.changed', { pools });
}

const away = { name: 'fast', directory: '/pools/fast', fault: faultOf('PoolMissing') };
const ofFast = { ...http, pvc: { ...pvcOf('1Mi'), storageClassName: 'fast' } };

function pvcOf(storage: string) {
  return { accessModes: ['ReadWriteOnce'], resources: { requests: { storage } } };
}

describe('a volume comes to', () => {
  test('the pool with most room, the pool of its class, the pool that it asks for', async () => {
    await fixture.dataVolume('free', http);
    await fixture.dataVolume('classed', ofFast);
    await fixture.store.create(resources.dataVolumes, {
      ...{ apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'DataVolume', spec: { ...http, pvc: pvcOf('1Mi') } },
      metadata: { namespace: 'default', name: 'asked', annotations: { [annotations.pool]: 'fast' } },
    });
    const pools = await Promise.all(
      ['free', 'classed', 'asked'].map(
        async (name) => (await fixture.phase(name, 'Succeeded'))?.status?.longshore?.pool,
      ),
    );
    expect(pools).toEqual(['slow', 'fast', 'fast']);
    const claim = await fixture.store.get(resources.claims, key('classed'));
    expect(claim?.metadata.annotations?.[annotations.path]).toMatch(/^\/pools\/fast\/volumes\/pvc-/);
  });

  test('the pool of the source that it is cloned from, though another has more room', async () => {
    await fixture.dataVolume('origin', ofFast);
    await fixture.phase('origin', 'Succeeded');
    await fixture.dataVolume('copy', { source: { pvc: { namespace: 'default', name: 'origin' } } });
    expect((await fixture.phase('copy', 'Succeeded'))?.status?.longshore?.pool).toBe('fast');
  });
});

test('while its pool is away a claim is not lost and is not let go; when the pool is back it is', async () => {
  await fixture.dataVolume('disk', ofFast);
  await fixture.phase('disk', 'Succeeded');
  const [volume] = [...worker.volumes.values()];
  if (volume === undefined) throw new Error('there is no volume');
  worker.volumes.clear();
  worker.pools = [poolState('slow'), away];
  await worker.disconnect();
  await worker.connect();
  await fixture.store.delete(resources.dataVolumes, key('disk'));
  const told = await fixture.until(
    resources.claims,
    key('disk'),
    (found) => found?.metadata.annotations?.[annotations.runningConditionReason] === 'Deleting',
  );
  expect(told?.metadata.annotations?.[annotations.runningConditionMessage]).toContain('PoolMissing');
  expect(told?.status?.phase).toBe('Bound');
  expect(worker.calls).not.toContain('volume.delete');
  worker.volumes.set(volume.volumeId, volume);
  await tellPools(poolState('slow'), poolState('fast'));
  await fixture.until(resources.claims, key('disk'), (found) => found === undefined);
  await vi.waitFor(() => expect(worker.volumes.size).toBe(0), waiting);
});

test('a claim for a pool that is away waits and says so, then goes on', async () => {
  await tellPools(poolState('slow'), away);
  await fixture.dataVolume('patient', ofFast);
  await fixture.until(
    resources.claims,
    key('patient'),
    (found) => found?.metadata.annotations?.[annotations.boundConditionReason] === 'PoolMissing',
  );
  await tellPools(poolState('slow'), poolState('fast'));
  await vi.waitFor(
    async () =>
      expect(await fixture.eventsOf('Node', 'local')).toMatchObject([
        { type: 'Warning', reason: 'PoolMissing', message: expect.stringContaining('pool fast: ') },
        { type: 'Normal', reason: 'PoolUsable', message: 'pool fast (/pools/fast) can be used again' },
      ]),
    waiting,
  );
  expect((await fixture.phase('patient', 'Succeeded'))?.status?.longshore?.pool).toBe('fast');
});
