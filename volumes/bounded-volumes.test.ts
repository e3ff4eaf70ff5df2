// Volumes that have file systems of their own: what fills one takes nothing from the next, and they live as any other volume does.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { chmod, mkdir, open, readdir, readFile, stat, statfs, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { VolumeId } from '../domain/volume-record.ts';
import { detachDevice, devicesBelow, isRoot, mountsBelow } from '../test/leave-no-device.ts';
import { newVolumeId, populatingVolume, reportOf, reserveOf, TemporaryPool } from '../test/temporary-pool.ts';
import { fileSystemBytesFor } from './bounded-size.ts';
import type { Pool } from './pool.ts';

const mib = 1024 * 1024;
const bounded = { enforcement: 'loop' as const };

/** Else the kernel makes no file system larger while it is mounted. */
const mayExceedLimits = (() => {
  const held = /CapEff:\s+([0-9a-f]+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0';
  return ((BigInt(`0x${held}`) >> 24n) & 1n) === 1n;
})();

async function filled(pool: Pool, content: Buffer, sizeBytes = content.length): Promise<VolumeId> {
  const id = await populatingVolume(pool, sizeBytes);
  const staging = await pool.openStaging(id, 1);
  await writeFile(staging.diskPath, content);
  await pool.commit(staging, reportOf(sizeBytes));
  return id;
}

async function plain(pool: Pool, sizeBytes: number): Promise<string> {
  const id = newVolumeId();
  await pool.reserve(reserveOf(id, sizeBytes));
  await pool.markPlain(id);
  return pool.dataPath(id);
}

/** What a user can still write there. */
async function freeIn(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(path);
  return bavail * bsize;
}

test('a pool that cannot mount says that it holds nobody to his size, and serves', async () => {
  await using place = await TemporaryPool.make();
  const pool = await place.open({ ...bounded, loops: undefined });
  expect((await pool.usage()).enforcement).toBe('none');
  await pool.reserve(reserveOf(newVolumeId(), mib));
  expect(await place.files('staging')).toEqual([]);
});

// File systems are mounted.
describe.skipIf(!isRoot)('with root', () => {
  test('filling one is NoSpace there and takes nothing from the next', async () => {
    await using place = await TemporaryPool.make();
    const pool = await place.open(bounded);
    expect(await pool.usage()).toMatchObject({ enforcement: 'loop', reflink: false });
    const [one, other] = [await plain(pool, 8 * mib), await plain(pool, 8 * mib)];
    expect(await readdir(one)).toEqual([]);
    expect(await freeIn(one)).toBeGreaterThanOrEqual(8 * mib);
    const before = await freeIn(other);
    const tooMuch = writeFile(join(one, 'all'), Buffer.alloc(64 * mib, 1));
    await expect(tooMuch).rejects.toMatchObject({ code: 'ENOSPC' });
    expect(await freeIn(other)).toBe(before);
    await writeFile(join(other, 'mine'), Buffer.alloc(8 * mib, 1));
    const { reservedBytes, usedBytes } = await pool.usage();
    expect(reservedBytes).toBe(2 * fileSystemBytesFor(8 * mib));
    expect(usedBytes).toBeLessThan(reservedBytes);
  });

  test.each([1, 100, 1_048_576])('a disk of %i MiB fits whole', async (size) => {
    await using place = await TemporaryPool.make();
    const pool = await place.open({ ...bounded, overcommit: 1_000 });
    expect(await freeIn(await plain(pool, size * mib))).toBeGreaterThanOrEqual(size * mib + size * 4096);
  });

  test('a disk is committed in one step, outlives a restart of the machine, grows, and leaves nothing', async () => {
    await using place = await TemporaryPool.make();
    const content = Buffer.alloc(4 * mib, 'disk');
    const pool = await place.open(bounded);
    const id = await filled(pool, content);
    expect(await readdir(pool.dataPath(id))).toEqual(['disk.img']);
    expect((await stat(pool.dataPath(id))).mode & 0o7777).toBe(0o2775);
    expect(await pool.findings()).toEqual([]);
    await pool.close();
    expect(await mountsBelow(place.root)).toHaveLength(1);
    // What a restart of the machine does: neither mount nor device is left.
    execFileSync('umount', [pool.dataPath(id)]);
    for (const { device } of await devicesBelow(place.root)) await detachDevice(device);
    const again = await place.open();
    expect((await readFile(again.diskPath(id))).equals(content)).toBe(true);
    expect(await again.expand(id, 32 * mib)).toMatchObject({ sizeBytes: 32 * mib });
    const more = await open(again.diskPath(id), 'r+');
    await more.write(Buffer.alloc(28 * mib, 1), 0, 28 * mib, 4 * mib);
    await more.sync();
    await more.close();
    expect((await again.usage()).reservedBytes).toBe(fileSystemBytesFor(32 * mib));
    if (!mayExceedLimits) {
      await using _open = await open(again.diskPath(id), 'r');
      await expect(again.expand(id, 40 * mib)).rejects.toMatchObject({ code: 'VolumeInUse' });
      expect(again.get(id)?.sizeBytes).toBe(32 * mib);
      expect((await again.usage()).reservedBytes).toBe(fileSystemBytesFor(32 * mib));
    }
    await again.delete(id);
    expect([await mountsBelow(place.root), await devicesBelow(place.root), await place.files()]).toEqual([[], [], []]);
    expect((await again.usage()).reservedBytes).toBe(0);
  });

  test('files are committed as they are, and nothing of an attempt that was interrupted is left', async () => {
    await using place = await TemporaryPool.make();
    const pool = await place.open(bounded);
    const id = await populatingVolume(pool, 4 * mib);
    const former = await pool.openStaging(id, 1);
    await writeFile(former.diskPath, 'half');
    await pool.claimFence(id, { attempt: 2, generation: 1 });
    expect(await readdir(pool.dataPath(id))).toEqual([]);
    const staging = await pool.openStaging(id, 2);
    await mkdir(join(staging.dataPath, 'deep'), { recursive: true });
    await writeFile(join(staging.dataPath, 'deep', 'file'), 'content');
    await chmod(join(staging.dataPath, 'deep'), 0o700);
    await pool.commit(staging, { ...reportOf(4 * mib), files: { entries: 2, bytes: 7 } });
    expect(await readdir(pool.dataPath(id), { recursive: true })).toEqual(['deep', 'deep/file']);

    const broken = await populatingVolume(pool, 4 * mib);
    const left = await pool.openStaging(broken, 1);
    await writeFile(left.diskPath, 'half');
    await pool.close();
    const again = await place.open(bounded);
    expect(await readdir(again.dataPath(broken))).toEqual([]);
    expect(await readdir(again.dataPath(id))).toEqual(['deep']);
    expect(await readFile(join(again.dataPath(id), 'deep', 'file'), 'utf8')).toBe('content');
  });

  test('one that is open when it is deleted keeps its room until it is closed', async () => {
    await using place = await TemporaryPool.make();
    const pool = await place.open(bounded);
    const id = await filled(pool, Buffer.alloc(mib, 1));
    const reserved = (await pool.usage()).reservedBytes;
    {
      await using _open = await open(pool.diskPath(id), 'r');
      await pool.delete(id);
      expect((await pool.usage()).reservedBytes).toBe(reserved);
    }
    await expect.poll(async () => (await pool.usage()).reservedBytes).toBe(0);
    expect(await devicesBelow(place.root)).toEqual([]);
  });

  test('a volume whose file system cannot be mounted is told and left alone', async () => {
    await using place = await TemporaryPool.make();
    const pool = await place.open(bounded);
    const id = await filled(pool, Buffer.alloc(mib, 1));
    await pool.close();
    execFileSync('umount', [pool.dataPath(id)]);
    for (const { device } of await devicesBelow(place.root)) await detachDevice(device);
    const image = join(dirname(pool.dataPath(id)), 'fs.img');
    await writeFile(image, Buffer.alloc(fileSystemBytesFor(mib)));
    const again = await place.open(bounded);
    expect(again.unreadable.get(id)?.code).toBe('NoLoopDevice');
    await expect(again.delete(id)).rejects.toMatchObject({ code: 'NoLoopDevice' });
    expect((await again.usage()).reservedBytes).toBe(fileSystemBytesFor(mib));
    expect((await stat(image)).size).toBe(fileSystemBytesFor(mib));
    expect(await again.findings()).toMatchObject([{ kind: 'unreadable-record', path: `volumes/${id}` }]);
  });
});
