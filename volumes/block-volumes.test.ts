import { execFileSync } from 'node:child_process';
import { mkdir, open, readFile, realpath, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { devicePathOf } from '../domain/block-device.ts';
import type { VolumeId } from '../domain/volume-record.ts';
import { detachDevice, deviceLinks, devicesBelow, isRoot, loopsOfTest } from '../test/leave-no-device.ts';
import { newVolumeId, populatingVolume, reportOf, reserveOf, TemporaryPool } from '../test/temporary-pool.ts';
import type { Pool } from './pool.ts';

const mib = 1024 * 1024;
const block = { mode: 'Block' as const };

async function filled(pool: Pool, sizeBytes: number, content: string | Buffer, more = {}): Promise<VolumeId> {
  const id = await populatingVolume(pool, sizeBytes, 1, { ...block, ...more });
  const staging = await pool.openStaging(id, 1);
  await writeFile(staging.diskPath, content);
  await pool.commit(staging, reportOf(sizeBytes));
  return id;
}

function asked(question: string, device: string): number {
  return Number(execFileSync('blockdev', [question, device], { encoding: 'utf8' }));
}

async function linkOf(id: VolumeId): Promise<string | undefined> {
  return (await deviceLinks()).get(id);
}

test('without root a Block volume is NeedsRoot, says what to run, and nothing is made', async () => {
  await using place = await TemporaryPool.make();
  const pool = await place.open({ loops: undefined });
  await expect(pool.reserve(reserveOf(newVolumeId(), mib, 'Block'))).rejects.toMatchObject({
    code: 'NeedsRoot',
    detail: expect.stringContaining('sudo longshore up'),
  });
  expect(await place.files()).toEqual([]);
  expect((await pool.usage()).reservedBytes).toBe(0);
});

// Devices are attached.
test.skipIf(!isRoot)(
  'a committed volume is a device of its size, past the page cache, and its link stays',
  async () => {
    await using place = await TemporaryPool.make();
    const pool = await place.open();
    const id = await filled(pool, 2 * mib, 'the disk');
    const device = await realpath(devicePathOf(id));
    expect(await devicesBelow(place.root)).toEqual([{ device, file: pool.diskPath(id) }]);
    expect([asked('--getsize64', device), asked('--getss', device), asked('--getro', device)]).toEqual([
      2 * mib,
      512,
      0,
    ]);
    expect(await loopsOfTest()?.list()).toContainEqual(expect.objectContaining({ path: device, directIo: true }));
    expect((await readFile(devicePathOf(id))).subarray(0, 8).toString()).toBe('the disk');
    expect(await place.files(`volumes/${id}`)).toEqual(['block.img', 'volume.json']);
    expect(await pool.device(id)).toBe(device);
    expect(await pool.findings()).toEqual([]);
  },
);

test.skipIf(!isRoot).each([
  [512, mib + 1, mib + 512],
  [4096, mib + 1, mib + 4096],
  [4096, mib, mib],
] as const)('sectors of %i: %i bytes become %i, an image of any length fits', async (sectorBytes, bytes, rounded) => {
  await using place = await TemporaryPool.make();
  const pool = await place.open();
  const image = Buffer.alloc(mib - 7, 'x');
  const id = await filled(pool, bytes, image, { sectorBytes });
  expect(pool.get(id)).toMatchObject({ sizeBytes: rounded, sectorBytes });
  const device = await realpath(devicePathOf(id));
  expect([asked('--getsize64', device), asked('--getss', device)]).toEqual([rounded, sectorBytes]);
  const content = await readFile(device);
  expect(content.subarray(0, image.length).equals(image)).toBe(true);
  expect(content.subarray(image.length).every((byte) => byte === 0)).toBe(true);
  expect((await pool.usage()).reservedBytes).toBe(rounded);
});

test.skipIf(!isRoot)('an image that is kept of its disk stays what it was when it is committed', async () => {
  await using place = await TemporaryPool.make();
  const pool = await place.open();
  const id = await populatingVolume(pool, mib, 1, block);
  const staging = await pool.openStaging(id, 1);
  await writeFile(staging.diskPath, Buffer.alloc(mib, 'x'));
  const image = await pool.images.keep(staging.diskPath, `sha256:${'0'.repeat(64)}`);
  await pool.commit(staging, reportOf(mib));
  expect(await image.isUnchanged()).toBe(true);
  expect((await readFile(devicePathOf(id))).equals(await readFile(image.path))).toBe(true);
  expect(await image.isUnchanged()).toBe(true);
});

test.skipIf(!isRoot)(
  'is found again after a restart of the service, and attached again after one of the machine',
  async () => {
    await using place = await TemporaryPool.make();
    const pool = await place.open();
    const id = await filled(pool, mib, 'kept', { sectorBytes: 4096 });
    const before = await linkOf(id);
    await pool.close();
    const again = await place.open();
    expect(await linkOf(id)).toBe(before);
    expect(await devicesBelow(place.root)).toHaveLength(1);
    await again.close();
    // What a restart of the machine does: neither device nor link is left.
    await detachDevice(before ?? '');
    await rm(devicePathOf(id));
    await place.open();
    const device = await realpath(devicePathOf(id));
    expect(asked('--getss', device)).toBe(4096);
    expect((await readFile(device)).subarray(0, 4).toString()).toBe('kept');
    expect(await devicesBelow(place.root)).toHaveLength(1);
  },
);

test.skipIf(!isRoot)(
  'a deleted volume has no device, no link and no file; a mark of read-only does not outlive it',
  async () => {
    await using place = await TemporaryPool.make();
    const pool = await place.open();
    const id = await filled(pool, mib, 'gone soon');
    const device = await realpath(devicePathOf(id));
    execFileSync('blockdev', ['--setro', device]);
    await pool.delete(id);
    expect(await devicesBelow(place.root)).toEqual([]);
    expect(await linkOf(id)).toBeUndefined();
    expect(await place.files()).toEqual([]);
    expect(asked('--getro', device)).toBe(0);
  },
);

test.skipIf(!isRoot)(
  'a deleted volume that somebody has open lasts until it is closed, as its room does, and nobody finds it',
  async () => {
    await using place = await TemporaryPool.make();
    const pool = await place.open();
    const id = await filled(pool, mib, 'in use');
    let again: Pool;
    {
      await using inUse = await open(devicePathOf(id), 'r');
      await pool.delete(id);
      expect((await inUse.read(Buffer.alloc(6), 0, 6, 0)).buffer.toString()).toBe('in use');
      expect(await linkOf(id)).toBeUndefined();
      expect((await pool.usage()).reservedBytes).toBe(mib);
      await pool.close();
      again = await place.open();
      expect((await again.usage()).reservedBytes).toBe(mib);
    }
    await expect.poll(() => devicesBelow(place.root)).toEqual([]);
    expect((await again.usage()).reservedBytes).toBe(0);
  },
);

test.skipIf(!isRoot)(
  'a volume that nobody fills is a device of zeros; it is filled after all while nothing was written',
  async () => {
    await using place = await TemporaryPool.make();
    const pool = await place.open();
    const id = newVolumeId();
    await pool.reserve(reserveOf(id, mib, 'Block'));
    expect(await place.files(`volumes/${id}`)).toEqual(['volume.json']);
    await pool.markPlain(id);
    expect((await readFile(devicePathOf(id))).equals(Buffer.alloc(mib))).toBe(true);
    await pool.claimFence(id, { attempt: 1, generation: 1 });
    expect(await devicesBelow(place.root)).toEqual([]);
    expect(await place.files(`volumes/${id}`)).toEqual(['volume.json']);
    expect((await stat(place.directory)).isDirectory()).toBe(true);
  },
);

test.skipIf(!isRoot)('a plain volume to which somebody wrote, or which somebody has open, is VolumeInUse', async () => {
  await using place = await TemporaryPool.make();
  const pool = await place.open();
  const [written, opened] = [newVolumeId(), newVolumeId()];
  for (const id of [written, opened]) {
    await pool.reserve(reserveOf(id, mib, 'Block'));
    await pool.markPlain(id);
  }
  {
    await using device = await open(devicePathOf(written), 'r+');
    await device.write(Buffer.alloc(4096, 1), 0, 4096, 0);
    await device.sync();
  }
  const fence = { attempt: 1, generation: 1 };
  await expect(pool.claimFence(written, fence)).rejects.toMatchObject({ code: 'VolumeInUse' });
  expect((await readFile(devicePathOf(written)))[0]).toBe(1);
  const device = await realpath(devicePathOf(opened));
  const held = await open(device, 'r');
  await expect(pool.claimFence(opened, fence)).rejects.toMatchObject({ code: 'VolumeInUse' });
  await held.close();
  expect(pool.get(opened)?.state).toBe('plain');
  expect(await linkOf(opened)).toBe(device);
  expect(await devicesBelow(place.root)).toContainEqual({ device, file: pool.diskPath(opened) });
});

test.skipIf(!isRoot)(
  'in a pool that a link leads to, nothing of what a former service left stays attached',
  async () => {
    await using place = await TemporaryPool.make();
    await mkdir(place.directoryOf('disk'));
    await symlink(place.directoryOf('disk'), place.directory);
    const pool = await place.open();
    const [doomed, removed] = [await filled(pool, mib, 'one'), await filled(pool, mib, 'other')];
    const kept = await filled(pool, mib, 'kept');
    await pool.close();
    // As a crash in the middle of a removal leaves it, and one of a service that did not know how to detach.
    await rename(dirname(pool.diskPath(doomed)), join(place.directory, 'staging', 'temporary-0'));
    await rm(dirname(pool.diskPath(removed)), { recursive: true });
    const again = await place.open();
    await expect
      .poll(async () => (await devicesBelow(place.root)).map(({ file }) => basename(dirname(file))))
      .toEqual([kept]);
    expect(await linkOf(removed)).toBeUndefined();
    expect(again.list().map(({ volumeId }) => volumeId)).toEqual([kept]);
  },
);
