// Volumes that are made, by a client of the controller service.
import { randomUUID } from 'node:crypto';
import { rename, writeFile } from 'node:fs/promises';
import { status } from '@grpc/grpc-js';
import { describe, expect, test } from 'vitest';
import { isVolumeId, volumeIdOf } from '../domain/volume-record.ts';
import { CsiFixture, capability, createRequest, mib, topologyKey } from '../test/csi-fixture.ts';
import { reportOf, reserveOf, TemporaryPool } from '../test/temporary-pool.ts';

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
      'a block device that is a directory too',
      { volumeCapabilities: [capability(), { block: {}, accessMode: { mode: 'SINGLE_NODE_WRITER' } }] },
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

describe('CreateVolume on a node with several pools', () => {
  async function twoPools(place: TemporaryPool) {
    const pools = await place.openAll({ inMemory: ['fast'] });
    const poolOf = (uid: string) => pools.find(volumeIdOf(uid))?.pool.name;
    return { pools, poolOf };
  }

  test('takes the pool that the class names, else the one that the claim wishes for, else the one with most room', async () => {
    await using place = await TemporaryPool.make();
    const { pools, poolOf } = await twoPools(place);
    let wish: string | undefined;
    await using csi = await CsiFixture.start({ pools, poolWish: async () => wish });
    const make = async (more: object = {}) => {
      const uid = randomUUID();
      const request = createRequest(uid);
      const parameters = { ...request.parameters, ...more };
      await csi.controller('CreateVolume', { ...request, parameters });
      return [uid, poolOf(uid)] as const;
    };
    expect((await make())[1]).toBe(pools.roomiest().name);
    expect((await make({ storagePool: 'fast' }))[1]).toBe('fast');
    wish = 'fast';
    const [uid, pool] = await make();
    expect(pool).toBe('fast');
    // The wish counts where the volume is made; later it is found.
    wish = 'default';
    await csi.controller('CreateVolume', createRequest(uid));
    expect(poolOf(uid)).toBe('fast');
  });

  test('where nobody says what the claim wishes for nothing is made; a class that leaves no choice does not ask', async () => {
    await using place = await TemporaryPool.make();
    const { pools, poolOf } = await twoPools(place);
    const unreachable = () => Promise.reject(new Error('no channel'));
    await using csi = await CsiFixture.start({ pools, poolWish: unreachable });
    const [asked, named] = [randomUUID(), randomUUID()];
    await expect(csi.controller('CreateVolume', createRequest(asked))).rejects.toMatchObject({
      code: status.UNAVAILABLE,
    });
    expect(poolOf(asked)).toBeUndefined();
    const request = createRequest(named);
    await csi.controller('CreateVolume', { ...request, parameters: { ...request.parameters, storagePool: 'fast' } });
    expect(poolOf(named)).toBe('fast');
  });

  test('a volume whose pool is away is not told to be deleted', async () => {
    await using place = await TemporaryPool.make();
    const pools = await place.openAll({ others: ['fast'] });
    const uid = randomUUID();
    await pools.reserve(reserveOf(volumeIdOf(uid), mib), 'fast');
    await pools.close();
    await rename(place.directoryOf('fast'), place.directoryOf('away'));
    await using csi = await CsiFixture.start({ pools: await place.openAll({ others: ['fast'] }) });
    await expect(csi.controller('DeleteVolume', { volumeId: `pvc-${uid}` })).rejects.toMatchObject({
      code: status.UNAVAILABLE,
    });
  });
});
