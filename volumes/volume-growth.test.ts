import { statSync, watch } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { expect, test } from 'vitest';
import type { VolumeId } from '../domain/volume-record.ts';
import { populatingVolume, reportOf, TemporaryPool } from '../test/temporary-pool.ts';
import type { Pool } from './pool.ts';
import { allocate } from './preallocation.ts';

const mib = 1024 * 1024;

/** A volume whose disk has every block. */
async function allocatedVolume(pool: Pool): Promise<VolumeId> {
  const id = await populatingVolume(pool, mib);
  const staging = await pool.openStaging(id, 1);
  await (await open(staging.diskPath, 'wx')).close();
  await allocate(staging.diskPath, mib);
  await pool.commit(staging, reportOf(mib));
  return id;
}

test('a disk that has every block is never longer than its blocks while it grows, so a crash leaves none that is sparse', async () => {
  await using place = await TemporaryPool.make();
  const pool = await place.open();
  const id = await allocatedVolume(pool);
  const path = pool.diskPath(id);
  const seen: { size: number; isWhole: boolean }[] = [];
  const watcher = watch(path, () => {
    const { size, blocks } = statSync(path);
    seen.push({ size, isWhole: blocks * 512 >= size });
  });
  await pool.expand(id, 8 * mib);
  await expect.poll(() => seen.at(-1)?.size).toBe(8 * mib);
  watcher.close();
  expect(seen.every(({ isWhole }) => isWhole)).toBe(true);
});

test('one that grew by a part before a crash grows on, and has every block', async () => {
  await using place = await TemporaryPool.make();
  const pool = await place.open();
  const id = await allocatedVolume(pool);
  await allocate(pool.diskPath(id), 3 * mib);
  await pool.close();
  const again = await place.open();
  expect(await again.expand(id, 8 * mib)).toMatchObject({ sizeBytes: 8 * mib });
  const { size, blocks } = await stat(again.diskPath(id));
  expect([size, blocks * 512 >= size]).toEqual([8 * mib, true]);
});
