import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { newVolumeId, reserveOf, silentLogger, TemporaryPool } from '../test/temporary-pool.ts';
import { Pool } from './pool.ts';
import { Pools } from './pools.ts';

const mib = 1024 * 1024;

describe('several pools of one node', () => {
  test('a volume is made where it is asked, else where most room is, and found again whatever is asked later', async () => {
    await using place = await TemporaryPool.make();
    const pools = await place.openAll({ inMemory: ['fast'] });
    const [asked, free] = [newVolumeId(), newVolumeId()];
    const [one, fast] = pools.all();
    if (one === undefined || fast === undefined) throw new Error('there are two');
    expect((await pools.reserve(reserveOf(asked, mib), 'fast')).pool).toBe(fast);
    const roomier = one.leftBytes > fast.leftBytes ? one : fast;
    expect((await pools.reserve(reserveOf(free, mib))).pool).toBe(roomier);
    expect((await pools.reserve(reserveOf(asked, mib), 'default')).pool).toBe(fast);
    expect(await readdir(join(fast.directory, 'volumes'))).toContain(asked);
    expect(await readdir(join(roomier.directory, 'volumes', free))).toEqual(['data', 'volume.json']);
    await expect(pools.reserve(reserveOf(newVolumeId(), mib), 'slow')).rejects.toMatchObject({ code: 'NoPoolHere' });
    await pools.delete(asked);
    await pools.delete(asked);
    expect(await readdir(join(fast.directory, 'volumes'))).not.toContain(asked);
  });

  test('20 requests for one volume at once, each for another pool, make it once', async () => {
    await using place = await TemporaryPool.make();
    const pools = await place.openAll({ others: ['fast'] });
    const id = newVolumeId();
    const names = Array.from({ length: 20 }, (_, index) => (index % 2 === 0 ? 'fast' : 'default'));
    const made = await Promise.all(names.map((name) => pools.reserve(reserveOf(id, mib), name)));
    expect(new Set(made.map(({ pool }) => pool.name)).size).toBe(1);
    expect(pools.list()).toHaveLength(1);
  });

  test('pools on one file system do not promise the same room twice', async () => {
    await using place = await TemporaryPool.make();
    const pools = await place.openAll({ others: ['fast'] });
    const [one, other] = [pools.named('default'), pools.named('fast')];
    const before = other.leftBytes;
    const sizeBytes = Math.floor(one.leftBytes * 0.6);
    const id = newVolumeId();
    await pools.reserve(reserveOf(id, sizeBytes), 'default');
    expect(other.leftBytes).toBe(before - sizeBytes);
    await expect(pools.reserve(reserveOf(newVolumeId(), sizeBytes), 'fast')).rejects.toMatchObject({
      code: 'PoolFull',
    });
    await pools.delete(id);
    expect((await pools.reserve(reserveOf(newVolumeId(), sizeBytes), 'fast')).pool).toBe(other);
  });

  test('one directory under two names is PoolInUse, and none is held afterwards', async () => {
    await using place = await TemporaryPool.make();
    await (await place.open()).close();
    const settings = [
      { name: 'a', directory: place.directory },
      { name: 'b', directory: join(place.directory, '..', 'pool') },
    ];
    await expect(Pools.open({ settings, overcommit: 1, logger: silentLogger })).rejects.toMatchObject({
      code: 'PoolInUse',
    });
    await (await place.open()).close();
  });
});

describe('a pool whose disk is away', () => {
  async function unmounted(place: TemporaryPool) {
    const first = await place.openAll({ others: ['fast'] });
    const id = newVolumeId();
    await first.reserve(reserveOf(id, mib), 'fast');
    await first.close();
    const away = place.directoryOf('fast-away');
    await rename(place.directoryOf('fast'), away);
    await mkdir(place.directoryOf('fast'));
    return { id, away };
  }

  test('keeps no other from serving; its volumes are neither gone nor deleted; nothing is made in its place', async () => {
    await using place = await TemporaryPool.make();
    const { id, away } = await unmounted(place);
    const pools = await place.openAll({ others: ['fast'] });
    expect(pools.places.map(({ name, fault }) => [name, fault?.code])).toEqual([
      ['default', undefined],
      ['fast', 'PoolMissing'],
    ]);
    await expect(pools.delete(id)).rejects.toMatchObject({ code: 'PoolMissing' });
    expect(() => pools.holderOf(id)).toThrow(expect.objectContaining({ code: 'PoolMissing' }));
    await expect(pools.reserve(reserveOf(newVolumeId(), mib), 'fast')).rejects.toMatchObject({ code: 'PoolMissing' });
    expect((await pools.reserve(reserveOf(newVolumeId(), mib), 'default')).pool.name).toBe('default');
    expect(await readdir(place.directoryOf('fast'))).toEqual([]);
    expect(await readdir(join(away, 'volumes'))).toEqual([id]);
  });

  test('serves again when it is back, with all that is in it', async () => {
    await using place = await TemporaryPool.make();
    const { id, away } = await unmounted(place);
    const pools = await place.openAll({ others: ['fast'] });
    const told: string[] = [];
    pools.onChange((volumeId) => told.push(volumeId));
    await rm(place.directoryOf('fast'), { recursive: true });
    await rename(away, place.directoryOf('fast'));
    await pools.look();
    expect(pools.places.every(({ fault }) => fault === undefined)).toBe(true);
    expect(pools.find(id)?.pool.name).toBe('fast');
    await pools.delete(id);
    expect(told).toEqual([id]);
  });

  test('is noticed while it is open, and another directory in its place is not changed', async () => {
    await using place = await TemporaryPool.make();
    const pools = await place.openAll({ others: ['fast'] });
    const id = newVolumeId();
    await pools.reserve(reserveOf(id, mib), 'fast');
    await rename(place.directoryOf('fast'), place.directoryOf('fast-away'));
    const other = await Pool.open({
      ...{ directory: place.directoryOf('fast'), marker: join(place.root, 'other'), create: true, overcommit: 1 },
      logger: silentLogger,
    });
    await other.close();
    const before = await readFile(join(place.directoryOf('fast'), 'pool.json'), 'utf8');
    await pools.look();
    expect(pools.places[1]?.fault).toMatchObject({ code: 'PoolMissing' });
    expect(pools.roomiest().name).toBe('default');
    await expect(pools.delete(id)).rejects.toMatchObject({ code: 'PoolMissing' });
    expect(pools.get(id)).toMatchObject({ state: 'empty' });
    expect(await readFile(join(place.directoryOf('fast'), 'pool.json'), 'utf8')).toBe(before);
    expect(await readdir(join(place.directoryOf('fast'), 'volumes'))).toEqual([]);
  });

  test('where none can be opened, the service says why', async () => {
    await using place = await TemporaryPool.make();
    await mkdir(place.directory);
    await writeFile(join(place.directory, 'thesis.txt'), 'mine');
    await expect(place.openAll()).rejects.toMatchObject({ code: 'PoolMissing' });
  });
});
