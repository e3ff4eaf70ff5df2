// The controller service by a client, besides making volumes.
import { randomUUID } from 'node:crypto';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import { describe, expect, test } from 'vitest';
import { volumeIdOf } from '../domain/volume-record.ts';
import { CsiFixture, capability, createRequest, mib, topologyKey } from '../test/csi-fixture.ts';
import { populatingVolume, reportOf, reserveOf, TemporaryPool } from '../test/temporary-pool.ts';

const here = { segments: { [topologyKey]: 'node-1' } };
const elsewhere = { segments: { [topologyKey]: 'node-2' } };

describe('DeleteVolume', () => {
  test('removes the volume and what fills it; one that is gone or never was is deleted already', async () => {
    await using csi = await CsiFixture.start();
    const id = await populatingVolume(csi.pool, mib);
    const staging = await csi.pool.openStaging(id, 1);
    for (const volumeId of [id, id, volumeIdOf(randomUUID()), 'never-was', '../../etc']) {
      expect(await csi.controller('DeleteVolume', { volumeId })).toEqual({});
    }
    expect(staging.signal.aborted).toBe(true);
    expect(await csi.place.files()).toEqual([]);
    await expect(csi.controller('DeleteVolume', { volumeId: '' })).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
    });
  });

  test('a volume whose record cannot be read is DATA_LOSS, and stays', async () => {
    await using place = await TemporaryPool.make();
    const first = await place.open();
    const { volumeId } = await first.reserve(reserveOf(volumeIdOf(randomUUID()), mib));
    await first.close();
    await writeFile(join(place.directory, 'volumes', volumeId, 'volume.json'), '{');
    await using csi = await CsiFixture.start({ pools: await place.openAll() });
    await expect(csi.controller('DeleteVolume', { volumeId })).rejects.toMatchObject({ code: status.DATA_LOSS });
    await expect(csi.controller('CreateVolume', createRequest(volumeId.slice('pvc-'.length)))).rejects.toMatchObject({
      code: status.DATA_LOSS,
    });
    expect(await place.files('volumes')).toContain(volumeId);
  });
});

describe('GetCapacity', () => {
  const numbers = async (csi: CsiFixture, request: object) => {
    const { availableCapacity, maximumVolumeSize } = await csi.controller('GetCapacity', request);
    // Safe: the shape of csi.proto.
    return [Number(availableCapacity), Number((maximumVolumeSize as { value: string }).value)];
  };

  test('is what can still be promised, and less by a volume as soon as that is made', async () => {
    await using csi = await CsiFixture.start({ overcommit: 1 });
    const [before = 0, largest] = await numbers(csi, {
      parameters: { storagePool: 'default' },
      accessibleTopology: here,
    });
    expect(before).toBe(csi.pool.leftBytes);
    expect(largest).toBe(Math.min(before, csi.pool.largestVolumeBytes));
    await csi.controller('CreateVolume', createRequest(randomUUID(), 100 * mib));
    expect(await numbers(csi, {})).toEqual([before - 100 * mib, before - 100 * mib]);
    const tooMuch = createRequest(randomUUID(), before - 100 * mib + 1);
    await expect(csi.controller('CreateVolume', tooMuch)).rejects.toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
      details: expect.stringContaining('Delete volumes to make room'),
    });
  });

  test.each<[string, object]>([
    ['another node', { accessibleTopology: elsewhere }],
    ['a pool that the node does not have', { parameters: { storagePool: 'fast' } }],
    ['many nodes', { volumeCapabilities: [{ block: {}, accessMode: { mode: 'MULTI_NODE_MULTI_WRITER' } }] }],
  ])('there is none for %s', async (_what, request) => {
    await using csi = await CsiFixture.start();
    expect(await numbers(csi, request)).toEqual([0, 0]);
  });

  test('is that of the pool that a class names, else of the one with most room', async () => {
    await using place = await TemporaryPool.make();
    const pools = await place.openAll({ inMemory: ['fast'] });
    await using csi = await CsiFixture.start({ pools });
    const [named] = await numbers(csi, { parameters: { storagePool: 'fast' } });
    const [any] = await numbers(csi, {});
    expect(named).toBe(pools.named('fast').leftBytes);
    expect(any).toBe(Math.max(...pools.all().map(({ leftBytes }) => leftBytes)));
  });

  test('there is none where the disk of the pool is not there; a class with an unknown parameter is refused', async () => {
    await using csi = await CsiFixture.start();
    await rename(csi.place.directory, `${csi.place.directory}.away`);
    expect(await numbers(csi, {})).toEqual([0, 0]);
    await rename(`${csi.place.directory}.away`, csi.place.directory);
    expect((await numbers(csi, {}))[0]).toBeGreaterThan(0);
    await expect(csi.controller('GetCapacity', { parameters: { pool: 'x' } })).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
    });
  });
});

describe('ListVolumes', () => {
  const idsOf = (reply: Record<string, unknown>) =>
    // Safe: the shape of csi.proto.
    (reply['entries'] as { volume: { volumeId: string } }[]).map(({ volume }) => volume.volumeId);

  test('pages go through all volumes once, also where volumes come and go between them', async () => {
    await using csi = await CsiFixture.start();
    const ids = Array.from({ length: 7 }, (_, index) => volumeIdOf(`00000000-0000-4000-8000-00000000000${index}`));
    for (const id of ids) await csi.pool.reserve(reserveOf(id, mib));
    const first = await csi.controller('ListVolumes', { maxEntries: 3 });
    expect(idsOf(first)).toEqual(ids.slice(0, 3));
    await csi.pool.delete(ids[2] ?? volumeIdOf(''));
    await csi.pool.delete(ids[4] ?? volumeIdOf(''));
    await csi.pool.reserve(reserveOf(volumeIdOf('00000000-0000-4000-8000-000000000031'), mib));
    const second = await csi.controller('ListVolumes', { maxEntries: 3, startingToken: first['nextToken'] });
    expect(idsOf(second)).toEqual([ids[3], ids[5], ids[6]]);
    const third = await csi.controller('ListVolumes', { startingToken: second['nextToken'] });
    expect([idsOf(third), third['nextToken']]).toEqual([['pvc-00000000-0000-4000-8000-000000000031'], '']);
  });

  test('a token of somebody else is ABORTED; a negative number of entries is INVALID_ARGUMENT', async () => {
    await using csi = await CsiFixture.start();
    await expect(csi.controller('ListVolumes', { startingToken: '3' })).rejects.toMatchObject({ code: status.ABORTED });
    await expect(csi.controller('ListVolumes', { maxEntries: -1 })).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
    });
    expect(await csi.controller('ListVolumes', {})).toEqual({ entries: [], nextToken: '' });
  });
});

describe('ControllerGetVolume', () => {
  const conditionOf = async (csi: CsiFixture, volumeId: string) => {
    const reply = await csi.controller('ControllerGetVolume', { volumeId });
    return (reply['status'] as { volumeCondition: unknown }).volumeCondition; // safe: the shape of csi.proto
  };

  test('tells size, node and condition; the condition is abnormal where files of the volume or its pool are missing', async () => {
    await using csi = await CsiFixture.start();
    const id = await populatingVolume(csi.pool, mib);
    const staging = await csi.pool.openStaging(id, 1);
    await writeFile(staging.diskPath, 'disk');
    await csi.pool.commit(staging, reportOf(4));
    expect(await csi.controller('ControllerGetVolume', { volumeId: id })).toMatchObject({
      volume: { volumeId: id, capacityBytes: String(mib), accessibleTopology: [here] },
      status: { volumeCondition: { abnormal: false, message: 'the volume is there and complete' } },
    });
    const disk = csi.pool.diskPath(id);
    await rename(disk, `${disk}.away`);
    expect(await conditionOf(csi, id)).toEqual({ abnormal: true, message: 'the disk image of the volume is missing' });
    await csi.pool.markUsed(id);
    expect(await conditionOf(csi, id)).toMatchObject({ abnormal: false });
    const data = csi.pool.dataPath(id);
    await rename(data, `${data}.away`);
    expect(await conditionOf(csi, id)).toEqual({ abnormal: true, message: 'the directory of the volume is missing' });
    const listed = await csi.controller('ListVolumes', {});
    expect(listed['entries']).toMatchObject([{ status: { volumeCondition: { abnormal: true } } }]);
    await rename(csi.place.directory, `${csi.place.directory}.away`);
    expect(await conditionOf(csi, id)).toMatchObject({ abnormal: true, message: expect.stringMatching(/not there/) });
    await rename(`${csi.place.directory}.away`, csi.place.directory);
  });

  test('no id is INVALID_ARGUMENT, an unknown one NOT_FOUND', async () => {
    await using csi = await CsiFixture.start();
    await expect(csi.controller('ControllerGetVolume', {})).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
    await expect(csi.controller('ControllerGetVolume', { volumeId: 'none' })).rejects.toMatchObject({
      code: status.NOT_FOUND,
    });
  });
});

describe('ValidateVolumeCapabilities', () => {
  test('confirms what a volume has, with what was asked, and says what it has not', async () => {
    await using csi = await CsiFixture.start();
    const { volumeId } = await csi.pool.reserve(reserveOf(volumeIdOf(randomUUID()), mib));
    const ask = (more: object) =>
      csi.controller('ValidateVolumeCapabilities', { volumeId, volumeCapabilities: [capability()], ...more });
    expect(await ask({ volumeContext: { a: 'b' }, parameters: { storagePool: 'default' } })).toMatchObject({
      confirmed: {
        volumeCapabilities: [capability()],
        volumeContext: { a: 'b' },
        parameters: { storagePool: 'default' },
      },
    });
    for (const wrong of [
      { volumeCapabilities: [capability('MULTI_NODE_READER_ONLY')] },
      { parameters: { storagePool: 'fast' } },
      { parameters: { unknown: '' } },
      { mutableParameters: { a: 'b' } },
    ]) {
      expect(await ask(wrong)).toMatchObject({ confirmed: null, message: expect.stringMatching(/\w/) });
    }
    await expect(ask({ volumeCapabilities: [] })).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
    await expect(ask({ volumeId: 'none' })).rejects.toMatchObject({ code: status.NOT_FOUND });
  });
});

test.each([
  ...['CreateSnapshot', 'DeleteSnapshot', 'ListSnapshots', 'GetSnapshot'],
  ...['ControllerModifyVolume', 'ControllerPublishVolume', 'ControllerUnpublishVolume'],
])('%s is UNIMPLEMENTED, in words', async (method) => {
  await using csi = await CsiFixture.start();
  await expect(csi.controller(method, {})).rejects.toMatchObject({
    code: status.UNIMPLEMENTED,
    details: expect.stringContaining('olume'),
  });
});
