import { open, readFile, stat } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { populatingVolume, TemporaryPool } from '../test/temporary-pool.ts';
import { allocate, writeEveryBlock } from './preallocation.ts';
import { dataExtents } from './qemu-img.ts';

const mib = 1024 * 1024;

test.each(['a hole', 'allocated'])('every block is written, and what was there stays: %s between', async (between) => {
  await using place = await TemporaryPool.make();
  const pool = await place.open();
  const staging = await pool.openStaging(await populatingVolume(pool, 4 * mib), 1);
  const { diskPath, signal } = staging;
  const content = Buffer.alloc(4 * mib);
  content.fill('x', mib, 2 * mib);
  const file = await open(diskPath, 'wx');
  await file.truncate(4 * mib);
  if (between === 'allocated') await allocate(diskPath, 4 * mib);
  await file.write(content, mib, mib, mib);
  await file.close();
  const allocatedBytes = await writeEveryBlock(diskPath, signal);
  expect(allocatedBytes).toBe((await stat(diskPath)).blocks * 512);
  expect(allocatedBytes).toBeGreaterThanOrEqual(4 * mib);
  const extents = [];
  for await (const extent of dataExtents(diskPath, { signal })) extents.push(extent);
  expect(extents).toEqual([{ start: 0, length: 4 * mib }]);
  expect((await readFile(diskPath)).equals(content)).toBe(true);
});

test('an end that was ordered ends it', async () => {
  await using place = await TemporaryPool.make();
  const pool = await place.open();
  const staging = await pool.openStaging(await populatingVolume(pool, mib), 1);
  await (await open(staging.diskPath, 'wx')).truncate(mib);
  await expect(writeEveryBlock(staging.diskPath, AbortSignal.abort())).rejects.toMatchObject({ code: 'Cancelled' });
});
