// What a volume with a file system of its own holds is told apart: what an attempt has left goes, whatever it is called, and what is a user's stays.
import { execFileSync } from 'node:child_process';
import { chmod, mkdir, open, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { VolumeId } from '../domain/volume-record.ts';
import { findPrograms, type Programs } from '../runtime/programs.ts';
import { detachDevice, devicesBelow, isRoot, mountsBelow } from '../test/leave-no-device.ts';
import { newVolumeId, populatingVolume, reportOf, reserveOf, TemporaryPool } from '../test/temporary-pool.ts';
import { fileSystemBytesFor } from './bounded-size.ts';
import type { Pool } from './pool.ts';

const mib = 1024 * 1024;
const bounded = { enforcement: 'loop' as const };
const noText = Buffer.from([0x66, 0xff, 0xfe]);

async function plain(pool: Pool, sizeBytes = 4 * mib): Promise<VolumeId> {
  const id = newVolumeId();
  await pool.reserve(reserveOf(id, sizeBytes));
  await pool.markPlain(id);
  return id;
}

/** A volume of files; `fill` is given where an attempt unpacks them. */
async function filled(pool: Pool, fill: (path: string) => Promise<unknown>): Promise<VolumeId> {
  const id = await populatingVolume(pool, 4 * mib);
  const staging = await pool.openStaging(id, 1);
  await mkdir(staging.dataPath);
  await fill(staging.dataPath);
  await pool.commit(staging, { ...reportOf(4 * mib), files: { entries: 1, bytes: 7 } });
  return id;
}

async function makeFile(path: string, name: string): Promise<void> {
  await mkdir(join(path, dirname(name)), { recursive: true });
  await writeFile(join(path, name), 'content');
}

/** What a restart of the machine does: neither mount nor device is left. */
async function restartMachine(place: TemporaryPool): Promise<void> {
  for (const path of await mountsBelow(place.root)) execFileSync('umount', [path]);
  for (const { device } of await devicesBelow(place.root)) await detachDevice(device);
}

/** A resize2fs that says this, before all others. */
async function programsWithResize(place: TemporaryPool, script: string): Promise<Programs> {
  const directory = place.directoryOf('programs');
  await mkdir(directory);
  await writeFile(join(directory, 'resize2fs'), `#!/bin/sh\n${script}\n`);
  await chmod(join(directory, 'resize2fs'), 0o755);
  return findPrograms([], `${directory}:/usr/sbin:/usr/bin:/sbin:/bin`);
}

// File systems are mounted.
describe.skipIf(!isRoot)('with root', () => {
  test('what a user calls like a staging, or lost+found, outlives every open', async () => {
    await using place = await TemporaryPool.make();
    const pool = await place.open(bounded);
    const ids = [await plain(pool), await filled(pool, (path) => makeFile(path, 'file'))];
    for (const id of ids) {
      await makeFile(pool.dataPath(id), '.staging-1/mine');
      await makeFile(pool.dataPath(id), 'lost+found/mine');
    }
    const empty = await plain(pool);
    expect(await readdir(pool.dataPath(empty))).toEqual([]);
    await mkdir(join(pool.dataPath(empty), 'lost+found'));
    await pool.close();
    await restartMachine(place);
    const again = await place.open(bounded);
    expect(again.unreadable.size).toBe(0);
    for (const id of ids) {
      expect(await readFile(join(again.dataPath(id), '.staging-1', 'mine'), 'utf8')).toBe('content');
      expect(await readFile(join(again.dataPath(id), 'lost+found', 'mine'), 'utf8')).toBe('content');
    }
    expect(await readdir(again.dataPath(empty))).toEqual(['lost+found']);
  });

  test('a new volume that was not mounted before a crash is empty all the same', async () => {
    await using place = await TemporaryPool.make();
    const pool = await place.open(bounded);
    const id = newVolumeId();
    await pool.reserve(reserveOf(id, mib));
    await mkdir(join(pool.dataPath(id), 'lost+found'));
    await pool.close();
    await restartMachine(place);
    const again = await place.open(bounded);
    expect(await readdir(again.dataPath(id))).toEqual([]);
    expect((await stat(again.dataPath(id))).mode & 0o7777).toBe(0o2775);
  });

  test('an archive may hold what is called like a staging', async () => {
    await using place = await TemporaryPool.make();
    const pool = await place.open(bounded);
    const id = await filled(pool, async (path) => {
      await makeFile(path, '.staging-1/data/file');
      await makeFile(path, 'other');
    });
    const all = ['.staging-1', '.staging-1/data', '.staging-1/data/file', 'other'];
    expect((await readdir(pool.dataPath(id), { recursive: true })).sort()).toEqual(all);
    await pool.close();
    const again = await place.open(bounded);
    expect((await readdir(again.dataPath(id), { recursive: true })).sort()).toEqual(all);
  });

  test('names that are no text go with the attempt that made them, also at the next open', async () => {
    await using place = await TemporaryPool.make();
    const pool = await place.open(bounded);
    const [here, next] = [await populatingVolume(pool, 4 * mib), await populatingVolume(pool, 4 * mib)];
    for (const id of [here, next]) {
      const path = Buffer.concat([Buffer.from(`${pool.dataPath(id)}/`), noText]);
      await mkdir(path);
      await writeFile(Buffer.concat([path, Buffer.from('/'), noText]), 'of an attempt');
      await makeFile(pool.dataPath(id), 'deep/file');
    }
    const staging = await pool.openStaging(here, 1);
    expect(await readdir(pool.dataPath(here))).toEqual(['.staging-1']);
    await makeFile(staging.dataPath, 'file');
    await pool.commit(staging, { ...reportOf(4 * mib), files: { entries: 1, bytes: 7 } });
    expect(await readdir(pool.dataPath(here))).toEqual(['file']);
    await pool.close();
    const again = await place.open(bounded);
    expect(await readdir(again.dataPath(next))).toEqual([]);
    expect(await readdir(again.dataPath(here))).toEqual(['file']);
  });

  test('an attempt finds nothing of one that left its staging to the next service', async () => {
    await using place = await TemporaryPool.make();
    const pool = await place.open(bounded);
    const id = await populatingVolume(pool, 4 * mib);
    const former = await pool.openStaging(id, 1);
    await writeFile(former.diskPath, Buffer.alloc(4 * mib, 1));
    await former.mark({
      ...{ file: 'disk.img', bytes: 2 * mib, fileBytes: 2 * mib },
      content: { place: 'here', validator: '"one"', totalBytes: 4 * mib, head: 'head' },
    });
    await former.leave();
    await pool.claimFence(id, { attempt: 2, generation: 1 });
    const staging = await pool.goOnStaging(id, 2);
    expect(staging.kept).toBeUndefined();
    expect(await readdir(pool.dataPath(id))).toEqual(['.staging-2']);
    await writeFile(staging.diskPath, Buffer.alloc(4 * mib, 2));
    await pool.commit(staging, reportOf(4 * mib));
    expect(await readdir(pool.dataPath(id))).toEqual(['disk.img']);
  });

  test.each([['loop' as const], ['none' as const]])(
    'a proof that was killed leaves neither mount nor device when the pool opens with %s',
    async (enforcement) => {
      await using place = await TemporaryPool.make();
      await (await place.open()).close();
      const proof = join(place.directory, 'staging', 'temporary-proof');
      await mkdir(join(proof, 'data'), { recursive: true });
      execFileSync('truncate', ['--size=16M', join(proof, 'fs.img')]);
      execFileSync('mkfs.ext4', ['-q', join(proof, 'fs.img')]);
      execFileSync('mount', ['-o', 'loop', join(proof, 'fs.img'), join(proof, 'data')]);
      const pool = await place.open({ enforcement });
      expect((await pool.usage()).enforcement).toBe(enforcement);
      expect([await mountsBelow(place.root), await devicesBelow(place.root)]).toEqual([[], []]);
      await expect.poll(() => place.files('staging')).toEqual([]);
      expect((await pool.usage()).reservedBytes).toBe(0);
    },
  );

  test('what could not grow is not promised any more, and its file is as long as before', async () => {
    await using place = await TemporaryPool.make();
    const programs = await programsWithResize(place, 'echo "Permission denied to resize filesystem" >&2; exit 1');
    const pool = await place.open({ ...bounded, programs });
    const id = await plain(pool);
    await makeFile(pool.dataPath(id), 'mine');
    await using _open = await open(join(pool.dataPath(id), 'mine'), 'r');
    await expect(pool.expand(id, 40 * mib)).rejects.toMatchObject({ code: 'VolumeInUse' });
    const before = fileSystemBytesFor(4 * mib);
    expect((await stat(join(dirname(pool.dataPath(id)), 'fs.img'))).size).toBe(before);
    expect(pool.get(id)).toMatchObject({ sizeBytes: 4 * mib, boundedBytes: before });
    expect((await pool.usage()).reservedBytes).toBe(before);
    const [device] = await devicesBelow(place.root);
    expect(Number(execFileSync('blockdev', ['--getsize64', device?.device ?? '']))).toBe(before);
  });

  test('a file system that may have grown stays promised, whatever is asked next', async () => {
    await using place = await TemporaryPool.make();
    const programs = await programsWithResize(place, 'test -e "$0.ready" && exec /sbin/resize2fs "$@"; exit 1');
    const pool = await place.open({ ...bounded, programs });
    const id = await plain(pool);
    await expect(pool.expand(id, 40 * mib)).rejects.toMatchObject({ code: 'NoLoopDevice' });
    const grown = fileSystemBytesFor(40 * mib);
    expect((await pool.usage()).reservedBytes).toBe(grown);
    await writeFile(join(place.directoryOf('programs'), 'resize2fs.ready'), '');
    expect(await pool.expand(id, 20 * mib)).toMatchObject({ sizeBytes: 20 * mib, boundedBytes: grown });
    expect((await stat(join(dirname(pool.dataPath(id)), 'fs.img'))).size).toBe(grown);
    expect((await pool.usage()).reservedBytes).toBe(grown);
  });

  test('a deleted volume that is open keeps its room over a restart of the service', async () => {
    await using place = await TemporaryPool.make();
    const pool = await place.open(bounded);
    const id = await plain(pool);
    await makeFile(pool.dataPath(id), 'mine');
    const reserved = (await pool.usage()).reservedBytes;
    let again: Pool;
    {
      await using _open = await open(join(pool.dataPath(id), 'mine'), 'r');
      await pool.delete(id);
      await pool.close();
      again = await place.open(bounded);
      expect((await again.usage()).reservedBytes).toBe(reserved);
    }
    await expect.poll(async () => (await again.usage()).reservedBytes).toBe(0);
    expect(await devicesBelow(place.root)).toEqual([]);
  });

  test('a volume that only root could mount says what helps', async () => {
    await using place = await TemporaryPool.make();
    const pool = await place.open(bounded);
    const id = await plain(pool);
    await pool.close();
    await restartMachine(place);
    const again = await place.open({ loops: undefined });
    expect(again.unreadable.get(id)).toMatchObject({
      code: 'NeedsRoot',
      detail: expect.stringMatching(/`sudo longshore up`; without `:loop` new volumes need no mount, those .* do$/),
    });
    expect((await again.usage()).reservedBytes).toBe(fileSystemBytesFor(4 * mib));
  });

  test('the largest volume that is told can be made, and a larger one is refused with its size', async () => {
    await using place = await TemporaryPool.make();
    const pool = await place.open(bounded);
    const { largestVolumeBytes } = await pool.usage();
    expect(pool.largestVolumeBytes).toBe(largestVolumeBytes);
    const tooLarge = pool.reserve(reserveOf(newVolumeId(), largestVolumeBytes + 2 * mib));
    await expect(tooLarge).rejects.toMatchObject({ code: 'VolumeTooLarge' });
    await pool.reserve(reserveOf(newVolumeId(), largestVolumeBytes));
    expect(await pool.findings()).toEqual([]);
  });
});
