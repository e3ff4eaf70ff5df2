// Claims without a DataVolume, and volumes without a claim, by the whole controller, in real surroundings: store, Redis, and TLS to a worker whose pool is scripted.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { annotations } from '../domain/annotations.ts';
import { Fault } from '../domain/fault.ts';
import { resources } from '../domain/resources.ts';
import { type VolumeRecord, volumeIdOf } from '../domain/volume-record.ts';
import { ControllerFixture, http, key } from '../test/controller-fixture.ts';
import { report } from '../test/scripted-worker.ts';

let fixture: ControllerFixture;
beforeEach(async () => {
  fixture = await ControllerFixture.start({ sweepMs: 300 });
});
afterEach(() => fixture.close());

describe('a claim that asks for more than there is', () => {
  const larger = async (name: string) => {
    const claim = await fixture.store.get(resources.claims, key(name));
    if (claim === undefined) throw new Error(`no claim ${name}`);
    const spec = { ...claim.spec, resources: { requests: { storage: '2Mi' } } };
    await fixture.store.update(resources.claims, { ...claim, spec });
    return claim;
  };

  test.each(['PoolFull', 'VolumeTooLarge'] as const)(
    'before it is filled is filled nevertheless, says %s, and grows when there is room',
    async (code) => {
      const worker = await fixture.worker();
      const spec = { source: { http: { ...http.source.http, secretRef: 'later' } } };
      await fixture.dataVolume('waits', spec);
      await fixture.until(resources.claims, key('waits'), (found) => found?.status?.phase === 'Bound');
      worker.refuse = (call) => {
        if (call === 'volume.expand') throw new Fault(code, 'no room');
      };
      await larger('waits');
      await fixture.store.create(resources.secrets, {
        ...{ apiVersion: 'v1', kind: 'Secret', metadata: key('later') },
        data: { accessKeyId: '', secretKey: '' },
      });
      await fixture.phase('waits', 'Succeeded');
      const told = await fixture.store.get(resources.claims, key('waits'));
      expect(told?.status?.conditions).toMatchObject([{ type: 'ControllerResizeError', reason: code }]);
      worker.refuse = () => undefined;
      await fixture.until(resources.claims, key('waits'), (found) => found?.status?.capacity?.['storage'] === '2Mi');
    },
  );

  test('of another node is asked of it, if it is such as Kubernetes says', async () => {
    const worker = await fixture.worker();
    await fixture.claim('files');
    await fixture.until(resources.claims, key('files'), (found) => found?.status?.phase === 'Bound');
    const volumeId = volumeIdOf((await larger('files')).metadata.uid ?? '');
    await fixture.until(resources.claims, key('files'), (found) => found?.status?.capacity?.['storage'] === '2Mi');
    const ask = (more: object) =>
      worker.channel?.call('volume.expandWhereItIs', { volumeId, sizeBytes: 1_048_576, ...more });
    for (const wrong of [{ mostBytes: 1_048_577 }, { mode: 'Block' }, { sizeBytes: 3_145_728 }])
      await expect(ask(wrong)).rejects.toMatchObject({ code: 'InvalidRequest' });
    expect(await ask({ mostBytes: 2_097_152, mode: 'Filesystem', sizeBytes: 2_097_152 })).toEqual({
      sizeBytes: 2_097_152,
    });
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
      const record = {
        schemaVersion: 1 as const,
        pool: 'default',
        owner,
        sizeBytes: 1_048_576,
        mode: 'Filesystem' as const,
      };
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
