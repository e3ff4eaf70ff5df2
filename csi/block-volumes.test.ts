// Block volumes that are shown to pods as device nodes, by a client and with real devices; and volumes of both modes that grow.
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { open, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import { describe, expect, test } from 'vitest';
import { Fault } from '../domain/fault.ts';
import type { VolumeId } from '../domain/volume-record.ts';
import {
  blockCapability,
  CsiFixture,
  capability,
  completeVolume,
  createRequest,
  isRoot,
  mib,
  publishRequest,
} from '../test/csi-fixture.ts';
import { devicesBelow } from '../test/leave-no-device.ts';

/** A Block volume as the provisioner has it made. */
async function made(csi: CsiFixture, bytes = 10 * mib, parameters: object = {}): Promise<VolumeId> {
  const base = createRequest(randomUUID(), bytes);
  const { volume } = await csi.controller('CreateVolume', {
    ...base,
    volumeCapabilities: [blockCapability()],
    parameters: { ...base.parameters, ...parameters },
  });
  // Safe: the shape of csi.proto.
  return (volume as { volumeId: VolumeId }).volumeId;
}

const asBlock = { volumeCapability: blockCapability() };

// Devices are attached and mounted.
describe.skipIf(!isRoot)('a Block volume, as root', () => {
  test('is a device node at the target, written to through it, and taken back; a second time is no second mount', async () => {
    await using csi = await CsiFixture.start();
    const volumeId = await made(csi);
    const target = join(await csi.targets(), 'device');
    const request = publishRequest({ volumeId }, target, asBlock);
    expect(await csi.node('NodeStageVolume', { ...request, stagingTargetPath: '/staging' })).toEqual({});
    for (const _ of [1, 2]) expect(await csi.node('NodePublishVolume', request)).toEqual({});
    expect(await csi.mounts()).toEqual([target]);
    expect((await stat(target)).isBlockDevice()).toBe(true);
    expect(csi.pool.get(volumeId)).toMatchObject({ state: 'plain', usedSince: expect.stringMatching(/^2/) });
    {
      await using device = await open(target, 'r+');
      await device.write(Buffer.alloc(4096, 'x'), 0, 4096, 8192);
      await device.sync();
    }
    expect((await readFile(csi.pool.diskPath(volumeId))).subarray(8192, 12_288).equals(Buffer.alloc(4096, 'x'))).toBe(
      true,
    );
    const stats = await csi.node('NodeGetVolumeStats', { volumeId, volumePath: target });
    expect(stats).toMatchObject({ usage: [{ unit: 'BYTES', total: String(10 * mib) }] });
    expect(stats).toMatchObject({ volumeCondition: { abnormal: false } });
    await expect(csi.controller('DeleteVolume', { volumeId })).rejects.toMatchObject({
      code: status.FAILED_PRECONDITION,
    });
    for (const _ of [1, 2]) {
      expect(await csi.node('NodeUnpublishVolume', { volumeId, targetPath: target })).toEqual({});
    }
    expect([await csi.mounts(), await readdir(await csi.targets())]).toEqual([[], []]);
    expect(await csi.controller('DeleteVolume', { volumeId })).toEqual({});
    expect([await devicesBelow(csi.place.root), await csi.place.files()]).toEqual([[], []]);
  });

  test('has the sectors of its class, and whole ones; a class with others is refused', async () => {
    await using csi = await CsiFixture.start();
    const volumeId = await made(csi, mib + 1, { sectorSize: '4096' });
    expect(csi.pool.get(volumeId)).toMatchObject({ mode: 'Block', sizeBytes: mib + 4096, sectorBytes: 4096 });
    const target = join(await csi.targets(), 'device');
    await csi.node('NodePublishVolume', publishRequest({ volumeId }, target, asBlock));
    expect(execFileSync('blockdev', ['--getss', '--getsize64', target], { encoding: 'utf8' })).toBe('4096\n1052672\n');
    await expect(made(csi, mib, { sectorSize: '520' })).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
    const base = createRequest(randomUUID());
    const tight = { ...base, capacityRange: { requiredBytes: mib + 1, limitBytes: mib + 2 } };
    const refused = csi.controller('CreateVolume', { ...tight, volumeCapabilities: [blockCapability()] });
    await expect(refused).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
    expect(csi.pool.list()).toHaveLength(1);
  });

  test('is no directory, and a directory is no device; one of the other mode exists already', async () => {
    await using csi = await CsiFixture.start();
    const volumeId = await made(csi);
    const target = join(await csi.targets(), 'target');
    const asDirectory = csi.node('NodePublishVolume', publishRequest({ volumeId }, target));
    await expect(asDirectory).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
    const other = csi.controller('CreateVolume', createRequest(volumeId.slice(4), 10 * mib));
    await expect(other).rejects.toMatchObject({ code: status.ALREADY_EXISTS });
    const ask = (one: object) => csi.controller('ValidateVolumeCapabilities', { volumeId, volumeCapabilities: [one] });
    expect(await ask(blockCapability())).toMatchObject({ confirmed: { volumeCapabilities: [{ block: {} }] } });
    expect(await ask(capability())).toMatchObject({ confirmed: null, message: expect.stringContaining('Block') });
    expect([await csi.mounts(), await readdir(await csi.targets())]).toEqual([[], []]);
  });

  test('is not mounted over what is there', async () => {
    await using csi = await CsiFixture.start();
    const volumeId = await made(csi);
    const target = join(await csi.targets(), 'target');
    await writeFile(target, 'somebody’s');
    const publishing = csi.node('NodePublishVolume', publishRequest({ volumeId }, target, asBlock));
    await expect(publishing).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
    expect([await csi.mounts(), await readFile(target, 'utf8')]).toEqual([[], 'somebody’s']);
  });

  test('grows while it is published, and the kubelet is not needed for it', async () => {
    await using csi = await CsiFixture.start();
    const volumeId = await made(csi);
    const target = join(await csi.targets(), 'device');
    await csi.node('NodePublishVolume', publishRequest({ volumeId }, target, asBlock));
    const grown = { capacityBytes: String(20 * mib) };
    const request = { volumeId, capacityRange: { requiredBytes: 20 * mib }, ...asBlock };
    for (const _ of [1, 2]) {
      expect(await csi.controller('ControllerExpandVolume', request)).toEqual({
        ...grown,
        nodeExpansionRequired: false,
      });
    }
    expect(execFileSync('blockdev', ['--getsize64', target], { encoding: 'utf8' })).toBe(`${20 * mib}\n`);
    expect(await csi.node('NodeExpandVolume', { ...request, volumePath: target })).toEqual(grown);
    expect((await csi.pool.usage()).reservedBytes).toBe(20 * mib);
  });
});

describe('growing', () => {
  const expand = (csi: CsiFixture, volumeId: string, requiredBytes: number, more: object = {}) =>
    csi.controller('ControllerExpandVolume', { volumeId, capacityRange: { requiredBytes }, ...more });

  test('a Filesystem volume and its disk', async () => {
    await using csi = await CsiFixture.start();
    const id = (await completeVolume(csi)).volumeId as VolumeId; // of a record of the pool
    const file = await open(csi.pool.diskPath(id), 'r+');
    await file.truncate(10 * mib);
    await file.close();
    expect(await expand(csi, id, 12 * mib)).toMatchObject({ capacityBytes: String(12 * mib) });
    expect((await stat(csi.pool.diskPath(id))).size).toBe(12 * mib);
    expect((await readFile(csi.pool.diskPath(id))).subarray(0, 8).toString()).toBe('the disk');
  });

  test('more than there is room for leaves it as it is', async () => {
    await using csi = await CsiFixture.start({ overcommit: 1 });
    const id = (await completeVolume(csi)).volumeId;
    const left = csi.pool.leftBytes;
    // Final, for the resizer: it takes a smaller size then.
    await expect(expand(csi, id, 11 * mib + left)).rejects.toMatchObject({
      code: status.OUT_OF_RANGE,
      details: expect.stringContaining('The volume cannot become that large'),
    });
    expect([csi.pool.leftBytes, csi.pool.list()[0]?.sizeBytes]).toEqual([left, 10 * mib]);
  });

  test.each<[string, object, number]>([
    ['no volume', { volumeId: '' }, status.INVALID_ARGUMENT],
    ['no range', { capacityRange: null }, status.INVALID_ARGUMENT],
    ['an unknown volume', { volumeId: 'none' }, status.NOT_FOUND],
    ['a limit below what it has', { capacityRange: { requiredBytes: 1, limitBytes: mib } }, status.INVALID_ARGUMENT],
    ['another mode', { volumeCapability: blockCapability() }, status.INVALID_ARGUMENT],
  ])('%s has the right code', async (_what, wrong, code) => {
    await using csi = await CsiFixture.start();
    const id = (await completeVolume(csi)).volumeId;
    await expect(expand(csi, id, 12 * mib, wrong)).rejects.toMatchObject({ code });
    expect(csi.pool.list()[0]?.sizeBytes).toBe(10 * mib);
  });

  test('a volume of another node is asked of the controller', async () => {
    const asked: unknown[] = [];
    await using csi = await CsiFixture.start({
      expandElsewhere: async (volumeId, wish) => {
        asked.push([volumeId, wish]);
        return wish.sizeBytes;
      },
    });
    const elsewhere = `pvc-${randomUUID()}`;
    expect(await expand(csi, elsewhere, 12 * mib)).toEqual({
      ...{ capacityBytes: String(12 * mib), nodeExpansionRequired: false },
    });
    const range = { requiredBytes: 12 * mib, limitBytes: 13 * mib };
    await expand(csi, elsewhere, 0, { capacityRange: range, volumeCapability: blockCapability() });
    expect(asked).toEqual([
      [elsewhere, { sizeBytes: 12 * mib, mostBytes: Number.MAX_SAFE_INTEGER }],
      [elsewhere, { sizeBytes: 12 * mib, mostBytes: 13 * mib, mode: 'Block' }],
    ]);
  });

  test('what another node has no room for is final too', async () => {
    await using csi = await CsiFixture.start({
      expandElsewhere: async () => {
        throw new Fault('PoolFull', 'the pool has 5 bytes left');
      },
    });
    await expect(expand(csi, `pvc-${randomUUID()}`, 12 * mib)).rejects.toMatchObject({ code: status.OUT_OF_RANGE });
  });
});
