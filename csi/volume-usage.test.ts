import { truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { newVolumeId, reserveOf, TemporaryPool } from '../test/temporary-pool.ts';
import { VolumeUsages } from './volume-usage.ts';

const mib = 1024 ** 2;
const signal = new AbortController().signal;

test('used is what the files have allocated, of the size of the volume; more than that leaves nothing', async () => {
  await using place = await TemporaryPool.make();
  const pool = await place.open({ overcommit: 1000 });
  const record = await pool.reserve(reserveOf(newVolumeId(), mib));
  const directory = pool.dataPath(record.volumeId);
  await writeFile(join(directory, 'a'), Buffer.alloc(4096, 1));
  await writeFile(join(directory, 'sparse'), '');
  await truncate(join(directory, 'sparse'), 2 ** 40);
  const bytes = { unit: 'BYTES', total: mib, used: 4096, available: mib - 4096 };
  expect(await new VolumeUsages().of({ pool, record }, signal)).toMatchObject([bytes, { unit: 'INODES', used: 3 }]);
  await writeFile(join(directory, 'b'), Buffer.alloc(2 * mib, 1));
  const [more] = await new VolumeUsages().of({ pool, record }, signal);
  expect(more).toMatchObject({ used: 2 * mib + 4096, available: 0 });
});

test('a tree that took long to look at is looked at again only after fifty times as long', async () => {
  await using place = await TemporaryPool.make();
  const pool = await place.open();
  const record = await pool.reserve(reserveOf(newVolumeId(), mib));
  let nowMs = 0;
  let lookMs = 1000;
  const usages = new VolumeUsages(() => {
    nowMs += lookMs;
    return nowMs;
  });
  const filesAt = async (atMs: number) => {
    nowMs = atMs - lookMs;
    const [, files] = await usages.of({ pool, record }, signal);
    return files?.used;
  };
  expect(await filesAt(0)).toBe(1);
  lookMs = 0;
  await writeFile(join(pool.dataPath(record.volumeId), 'new'), '');
  expect(await filesAt(50_999)).toBe(1);
  expect(await filesAt(51_000)).toBe(2);
  await writeFile(join(pool.dataPath(record.volumeId), 'newer'), '');
  expect(await filesAt(51_001)).toBe(3);
});
