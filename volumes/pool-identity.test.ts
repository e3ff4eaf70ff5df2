import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { newVolumeId, populatingVolume, reserveOf, silentLogger, TemporaryPool } from '../test/temporary-pool.ts';
import { Pool } from './pool.ts';

const mib = 1024 * 1024;

describe('the identity of a pool', () => {
  test('a pool is made in an absent directory, and found again by its id', async () => {
    await using place = await TemporaryPool.make();
    const first = await place.open();
    expect((await readFile(place.marker, 'utf8')).trim()).toBe(first.poolId);
    await first.close();
    const second = await place.open({ create: false });
    expect(second.poolId).toBe(first.poolId);
  });

  test('an unmounted disk is PoolMissing and no pool is made in its mount point', async () => {
    await using place = await TemporaryPool.make();
    await (await place.open()).close();
    await rm(place.directory, { recursive: true });
    await mkdir(place.directory);
    await expect(place.open()).rejects.toMatchObject({ code: 'PoolMissing' });
    expect(await place.files('.')).toEqual([]);
  });

  test('without a marker of the caller, the pool is remembered beside its directory', async () => {
    await using place = await TemporaryPool.make();
    const options = { directory: place.directory, create: true, overcommit: 1, logger: silentLogger };
    await (await Pool.open(options)).close();
    expect(await readdir(place.root)).toEqual(['.pool.pool-id', 'pool']);
    await rm(place.directory, { recursive: true });
    await expect(Pool.open(options)).rejects.toMatchObject({ code: 'PoolMissing' });
    expect(await readdir(place.root)).toEqual(['.pool.pool-id']);
  });

  test('another pool in the same place is PoolMissing', async () => {
    await using place = await TemporaryPool.make();
    await (await place.open()).close();
    await rm(place.directory, { recursive: true });
    await (await place.open({ marker: join(place.root, 'other') })).close();
    await expect(place.open()).rejects.toMatchObject({ code: 'PoolMissing' });
  });

  test('a directory that holds other things is never made a pool', async () => {
    await using place = await TemporaryPool.make();
    await mkdir(place.directory);
    await writeFile(join(place.directory, 'thesis.txt'), 'mine');
    await expect(place.open()).rejects.toMatchObject({ code: 'PoolMissing' });
    expect(await place.files('.')).toEqual(['thesis.txt']);
  });

  test('without create an absent pool is PoolMissing', async () => {
    await using place = await TemporaryPool.make();
    await expect(place.open({ create: false })).rejects.toMatchObject({ code: 'PoolMissing' });
  });

  test('a pool of a newer version is refused', async () => {
    await using place = await TemporaryPool.make();
    await (await place.open()).close();
    const path = join(place.directory, 'pool.json');
    await writeFile(path, (await readFile(path, 'utf8')).replace('"schemaVersion": 1', '"schemaVersion": 2'));
    await expect(place.open()).rejects.toMatchObject({ code: 'NewerVersion' });
  });

  test('a second opener gets PoolInUse with the process that holds it, and may have it after close', async () => {
    await using place = await TemporaryPool.make();
    const pool = await place.open();
    await expect(place.open()).rejects.toMatchObject({ code: 'PoolInUse', facts: { pid: process.pid } });
    await pool.close();
    await expect(place.open()).resolves.toBeInstanceOf(Pool);
  });

  test('a damaged ledger is set aside and made anew from the records', async () => {
    await using place = await TemporaryPool.make();
    const pool = await place.open();
    await pool.reserve(reserveOf(newVolumeId(), mib));
    await pool.close();
    await writeFile(join(place.directory, 'ledger.sqlite'), 'no database at all, but long enough to be looked at');
    const again = await place.open();
    expect((await again.usage()).reservedBytes).toBe(mib);
  });
});

test('a pool whose disk went away while it was open says so, and makes nothing in its place', async () => {
  await using place = await TemporaryPool.make();
  const pool = await place.open();
  const id = await populatingVolume(pool, mib);
  await pool.assertThere();
  await rename(place.directory, join(place.root, 'away'));
  await mkdir(place.directory);
  await expect(pool.assertThere()).rejects.toMatchObject({ code: 'PoolMissing' });
  await expect(pool.reserve(reserveOf(newVolumeId(), mib))).rejects.toMatchObject({ code: 'PoolMissing' });
  await expect(pool.openStaging(id, 1)).rejects.toMatchObject({ code: 'PoolMissing' });
  expect(await place.files('.')).toEqual([]);
});
