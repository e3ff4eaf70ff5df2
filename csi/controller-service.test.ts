import { randomUUID } from 'node:crypto';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import { describe, expect, test } from 'vitest';
import { isVolumeId, type VolumeId, volumeIdOf } from '../domain/volume-record.ts';
import { CsiFixture, capability, createRequest, mib, topologyKey } from '../test/csi-fixture.ts';
import { populatingVolume, reportOf, reserveOf, TemporaryPool } from '../test/temporary-pool.ts';

const here = { segments: { [topologyKey]: 'node-1' } };
const elsewhere = { segments: { [topologyKey]: 'node-2' } };

describe('CreateVolume', () => {
  test('makes an empty volume that the uid of the claim finds, of the size that is asked, on this node', async () => {
    await using csi = await CsiFixture.start();
    const uid = randomUUID();
    const { volume } = await csi.controller('CreateVolume', createRequest(uid, 5 * mib + 1));
    expect(volume).toMatchObject({
      volumeId: `pvc-${uid}`,
      capacityBytes: String(5 * mib + 1),
      accessibleTopology: [here],
    });
    expect(csi.pool.list()).toMatchObject([
      {
        volumeId: volumeIdOf(uid),
        owner: { namespace: 'machines', name: 'disk', uid },
        ...{ mode: 'Filesystem', state: 'empty', sizeBytes: 5 * mib + 1, fence: 0 },
      },
    ]);
    expect(await csi.pool.claimFence(volumeIdOf(uid), { attempt: 1, generation: 1 })).toMatchObject({ fence: 1 });
  });

  test('the same request is answered with the same volume, also many at once, also when it is complete', async () => {
    await using csi = await CsiFixture.start();
    const request = createRequest(randomUUID());
    const answers = await Promise.all(Array.from({ length: 20 }, () => csi.controller('CreateVolume', request)));
    expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
    const [record] = csi.pool.list();
    expect(csi.pool.list()).toHaveLength(1);
    const id = record?.volumeId ?? volumeIdOf('');
    await csi.pool.claimFence(id, { attempt: 1, generation: 1 });
    const staging = await csi.pool.openStaging(id, 1);
    await writeFile(staging.diskPath, 'disk');
    await csi.pool.commit(staging, reportOf(4));
    expect(await csi.controller('CreateVolume', request)).toEqual(answers[0]);
  });

  test('another size of the same name is ALREADY_EXISTS, unless the range allows the size that is there', async () => {
    await using csi = await CsiFixture.start();
    const uid = randomUUID();
    await csi.controller('CreateVolume', createRequest(uid, 2 * mib));
    const range = (requiredBytes: number, limitBytes: number) => ({ capacityRange: { requiredBytes, limitBytes } });
    await csi.controller('CreateVolume', createRequest(uid, 0, range(mib, 2 * mib)));
    for (const other of [range(3 * mib, 0), range(mib, 2 * mib - 1)]) {
      await expect(csi.controller('CreateVolume', createRequest(uid, 0, other))).rejects.toMatchObject({
        code: status.ALREADY_EXISTS,
      });
    }
    expect(csi.pool.list()).toHaveLength(1);
  });

  test('any other name has an id of its own, the same each time', async () => {
    await using csi = await CsiFixture.start();
    const request = (name: string) => ({ ...createRequest(randomUUID()), name, parameters: {} });
    await csi.controller('CreateVolume', request('täst/../volume'));
    await csi.controller('CreateVolume', request('täst/../volume'));
    await csi.controller('CreateVolume', request('another'));
    expect(csi.pool.list().map(({ owner }) => owner)).toMatchObject([
      { namespace: '', name: 'täst/../volume' },
      { namespace: '', name: 'another' },
    ]);
    expect(csi.pool.list().every(({ volumeId }) => isVolumeId(volumeId))).toBe(true);
  });

  const capacity = (requiredBytes: number | string, limitBytes: number | string) => ({
    capacityRange: { requiredBytes, limitBytes },
  });
  test.each<[string, object, status]>([
    ['no name', { name: '' }, status.INVALID_ARGUMENT],
    ['too long a name', { name: 'n'.repeat(129) }, status.INVALID_ARGUMENT],
    ['no capability', { volumeCapabilities: [] }, status.INVALID_ARGUMENT],
    ['a capability of nothing', { volumeCapabilities: [{}] }, status.INVALID_ARGUMENT],
    ['no access mode', { volumeCapabilities: [{ mount: {} }] }, status.INVALID_ARGUMENT],
    [
      'an access mode of the future',
      { volumeCapabilities: [{ mount: {}, accessMode: { mode: 99 } }] },
      status.INVALID_ARGUMENT,
    ],
    ['many nodes', { volumeCapabilities: [capability('MULTI_NODE_MULTI_WRITER')] }, status.INVALID_ARGUMENT],
    [
      'a block device',
      { volumeCapabilities: [{ block: {}, accessMode: { mode: 'SINGLE_NODE_WRITER' } }] },
      status.INVALID_ARGUMENT,
    ],
    ['one good and one bad capability', { volumeCapabilities: [capability(), {}] }, status.INVALID_ARGUMENT],
    [
      'a file system',
      { volumeCapabilities: [capability('SINGLE_NODE_WRITER', { fsType: 'xfs' })] },
      status.INVALID_ARGUMENT,
    ],
    [
      'an option of another file system',
      { volumeCapabilities: [capability('SINGLE_NODE_WRITER', { mountFlags: ['dax'] })] },
      status.INVALID_ARGUMENT,
    ],
    [
      'a group',
      { volumeCapabilities: [capability('SINGLE_NODE_WRITER', { volumeMountGroup: '1000' })] },
      status.INVALID_ARGUMENT,
    ],
    ['less than nothing', capacity(-1, 0), status.INVALID_ARGUMENT],
    ['a limit below nothing', capacity(1, -1), status.INVALID_ARGUMENT],
    ['a limit below the size', capacity(2, 1), status.INVALID_ARGUMENT],
    ['more than a file can have', capacity('9223372036854775807', 0), status.RESOURCE_EXHAUSTED],
    ['more than the pool can promise', capacity(2 ** 52, 0), status.RESOURCE_EXHAUSTED],
    ['an unknown parameter', { parameters: { storagepool: 'default' } }, status.INVALID_ARGUMENT],
    ['a pool that the node does not have', { parameters: { storagePool: 'fast' } }, status.RESOURCE_EXHAUSTED],
    ['another node', { accessibilityRequirements: { requisite: [elsewhere] } }, status.RESOURCE_EXHAUSTED],
    [
      'a node by another key',
      { accessibilityRequirements: { requisite: [{ segments: { zone: 'node-1' } }] } },
      status.RESOURCE_EXHAUSTED,
    ],
    ['a snapshot', { volumeContentSource: { snapshot: { snapshotId: 'one' } } }, status.INVALID_ARGUMENT],
    ['another volume', { volumeContentSource: { volume: { volumeId: 'one' } } }, status.INVALID_ARGUMENT],
    ['a VolumeAttributesClass', { mutableParameters: { iops: '3' } }, status.INVALID_ARGUMENT],
  ])('%s is refused with the right code and leaves nothing', async (_what, wrong, code) => {
    await using csi = await CsiFixture.start({ overcommit: 1 });
    await expect(csi.controller('CreateVolume', createRequest(randomUUID(), mib, wrong))).rejects.toMatchObject({
      code,
    });
    expect(csi.pool.list()).toEqual([]);
    expect(await csi.place.files('volumes')).toEqual([]);
  });

  test('a class may name its pool, with the parameters of the hostpath provisioner', async () => {
    await using csi = await CsiFixture.start();
    const parameters = { storagePool: 'default', overlayCSI: 'true' };
    expect(await csi.controller('CreateVolume', createRequest(randomUUID(), mib, { parameters }))).toBeDefined();
  });

  test('a request without size gets 1 GiB, or its limit where that is less', async () => {
    await using csi = await CsiFixture.start();
    await csi.controller('CreateVolume', createRequest(randomUUID(), 0, { capacityRange: null }));
    await csi.controller('CreateVolume', createRequest(randomUUID(), 0, { capacityRange: { limitBytes: 5 * mib } }));
    expect(csi.pool.list().map(({ sizeBytes }) => sizeBytes)).toEqual([1024 * mib, 5 * mib]);
  });

  test('a pool whose disk went away gives the claim to another node', async () => {
    await using csi = await CsiFixture.start();
    await rename(csi.place.directory, `${csi.place.directory}.away`);
    await expect(csi.controller('CreateVolume', createRequest(randomUUID()))).rejects.toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
      details: expect.stringContaining('is not there any more'),
    });
    await rename(`${csi.place.directory}.away`, csi.place.directory);
  });
});

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
    const pool = await place.open();
    await using csi = await CsiFixture.start({
      pools: new Map([['default', pool]]),
      deleteVolume: (id: VolumeId) => pool.delete(id),
    });
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
    ['block devices', { volumeCapabilities: [{ block: {}, accessMode: { mode: 'SINGLE_NODE_WRITER' } }] }],
  ])('there is none for %s', async (_what, request) => {
    await using csi = await CsiFixture.start();
    expect(await numbers(csi, request)).toEqual([0, 0]);
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
  ...['CreateSnapshot', 'DeleteSnapshot', 'ListSnapshots', 'GetSnapshot', 'ControllerExpandVolume'],
  ...['ControllerModifyVolume', 'ControllerPublishVolume', 'ControllerUnpublishVolume'],
])('%s is UNIMPLEMENTED, in words', async (method) => {
  await using csi = await CsiFixture.start();
  await expect(csi.controller(method, {})).rejects.toMatchObject({
    code: status.UNIMPLEMENTED,
    details: expect.stringContaining('olume'),
  });
});
