// What lies in images/ while imports share: a second name of a disk, or a reflink; what becomes of it when the disk is used, when room is wanted and with time.
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, open, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { VolumeId } from '../../domain/volume-record.ts';
import { importImage } from '../../importer/import-image.ts';
import { findPrograms } from '../../runtime/programs.ts';
import { ImportBench } from '../hostile/import-bench.ts';
import { until } from '../service-fixture.ts';
import { GatedServer } from './gated-server.ts';

const mib = 1_048_576;
const claim = 8 * mib;
const disk = Buffer.concat([randomBytes(2 * mib), Buffer.alloc(2 * mib), randomBytes(mib)]);
const expected = createHash('sha256')
  .update(Buffer.concat([disk, Buffer.alloc(claim - disk.length)]))
  .digest('hex');
let server: GatedServer;
let url: string;

beforeAll(async () => {
  server = await GatedServer.start();
  server.letGo();
  url = server.set('raw', { bytes: disk, headers: { etag: '"one"' } });
});
afterAll(() => server.stop());

/** Imports and commits, as the worker does. */
async function volumeOf(bench: ImportBench): Promise<VolumeId> {
  const source = { kind: 'http' as const, url, headers: [], certificates: [], insecureSkipVerify: false };
  const staging = await bench.staging(claim);
  const report = await importImage({ source, sizeBytes: claim, preallocation: false }, staging, bench.hooks());
  return (await bench.pool.commit(staging, report)).volumeId;
}

async function writeTo(path: string, position: number): Promise<void> {
  const file = await open(path, 'r+');
  await file.write(Buffer.from('a machine was here'), 0, 18, position);
  await file.close();
}

test('a disk that its machine writes is not taken any more, also where the machine hides it', async () => {
  await using bench = await disposable();
  const first = await volumeOf(bench);
  if (!bench.pool.reflink) expect((await stat(bench.pool.diskPath(first))).nlink).toBe(2);
  await writeTo(bench.pool.diskPath(first), 3 * mib);
  const after = await bench.import(url, claim);
  expect(after).toMatchObject({ sha256: expected, report: { strategy: bench.pool.reflink ? 'shared' : 'stream' } });

  const second = await volumeOf(bench);
  const path = bench.pool.diskPath(second);
  const { mtimeNs } = await stat(path, { bigint: true });
  await writeTo(path, mib);
  execFileSync('touch', [
    '-d',
    `@${mtimeNs / 1_000_000_000n}.${String(mtimeNs % 1_000_000_000n).padStart(9, '0')}`,
    path,
  ]);
  expect((await stat(path, { bigint: true })).mtimeNs).toBe(mtimeNs);
  const last = await bench.import(url, claim);
  expect(last).toMatchObject({ sha256: expected, report: { strategy: bench.pool.reflink ? 'shared' : 'stream' } });
});

test('the newest disk is the one that is taken next, so that machines that start do not end the sharing', async () => {
  await using bench = await disposable();
  const first = await volumeOf(bench);
  await volumeOf(bench);
  await writeTo(bench.pool.diskPath(first), 0);
  expect(await bench.import(url, claim)).toMatchObject({ sha256: expected, report: { strategy: 'shared' } });
  expect(await bench.images()).toHaveLength(1);
});

test('a volume that is deleted leaves its image to those that come', async () => {
  await using bench = await disposable();
  await bench.pool.delete(await volumeOf(bench));
  expect(await bench.import(url, claim)).toMatchObject({ sha256: expected, report: { strategy: 'shared' } });
});

test('an image that nobody takes makes room, and without room to promise for it none is kept', async () => {
  await using bench = await disposable();
  await bench.import(url, claim);
  expect(await bench.images()).toHaveLength(1);
  const filling = await bench.staging(bench.pool.leftBytes - claim - mib);
  expect(await bench.images()).toHaveLength(1);
  // Its volume takes the room of the image that is there, and leaves none for another.
  expect(await bench.import(url, claim)).toMatchObject({ sha256: expected, report: { strategy: 'stream' } });
  expect(await bench.images()).toEqual([]);
  await filling.discard();
});

test('what nobody takes for a while is gone', async () => {
  await using bench = await disposable(300);
  const { reservedBytes } = await bench.pool.usage();
  await volumeOf(bench);
  await until('the image is gone', async () => (await bench.images()).length === 0, 5_000);
  expect((await bench.pool.usage()).reservedBytes).toBe(reservedBytes + claim);
});

test('on a file system that shares blocks the disks share them, and digests stay as they are', async ({ skip }) => {
  if (process.getuid?.() !== 0) skip('only root can mount');
  if (!findPrograms([]).has('mkfs.xfs')) skip('mkfs.xfs is not installed (xfsprogs)');
  await using undo = new AsyncDisposableStack();
  const mount = await mkdtemp(join(tmpdir(), 'ls-xfs-'));
  undo.defer(() => rm(mount, { recursive: true }));
  execFileSync('truncate', ['-s', '512M', join(mount, 'image')]);
  execFileSync('/usr/sbin/mkfs.xfs', ['-q', '-m', 'reflink=1', join(mount, 'image')]);
  const there = join(mount, 'there');
  execFileSync('mkdir', [there]);
  execFileSync('mount', ['-o', 'loop', join(mount, 'image'), there]);
  undo.defer(() => void execFileSync('umount', [there]));
  const bench = undo.use(await disposable(60_000, join(there, 'pool')));
  expect(bench.pool.reflink).toBe(true);
  const first = await volumeOf(bench);
  expect((await stat(bench.pool.diskPath(first))).nlink).toBe(1);
  await writeTo(bench.pool.diskPath(first), 0);
  const taken = await bench.import(url, claim);
  expect(taken).toMatchObject({ sha256: expected, report: { strategy: 'shared' } });
  expect(taken.report?.contentDigest).toBe(bench.pool.get(first)?.report?.contentDigest);
  const larger = await bench.import(url, claim + mib);
  expect(larger.report).toMatchObject({ strategy: 'shared', virtualSizeBytes: claim + mib });
  expect(larger.report?.contentDigest).not.toBe(taken.report?.contentDigest);
  const allocated = await bench.import(url, claim, { preallocation: true });
  expect(allocated).toMatchObject({ sha256: expected, report: { strategy: 'shared' } });
  expect(allocated.report?.allocatedBytes).toBeGreaterThanOrEqual(claim);
});

async function disposable(keepMs = 60_000, directory?: string): Promise<ImportBench & AsyncDisposable> {
  const bench = await ImportBench.make({ keepMs, ...(directory === undefined ? {} : { directory }) });
  return Object.assign(bench, {
    [Symbol.asyncDispose]: async () => {
      expect(await bench.stagings()).toEqual([]);
      await bench.close();
      expect(await bench.images()).toEqual([]);
    },
  });
}
