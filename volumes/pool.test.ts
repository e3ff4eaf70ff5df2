import { mkdir, readdir, readFile, rm, rmdir, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { isVolumeId, type VolumeId } from '../domain/volume-record.ts';
import { isAlive } from '../runtime/process-identity.ts';
import {
  newVolumeId,
  populatingVolume,
  reportOf,
  reserveOf,
  silentLogger,
  sleepingChild,
  TemporaryPool,
} from '../test/temporary-pool.ts';
import { Pool } from './pool.ts';

const mib = 1024 * 1024;

describe('reserving', () => {
  test('200 volumes at once never promise more than the pool has', async () => {
    await using place = await TemporaryPool.make();
    const pool = await place.open();
    const { capacityBytes } = await pool.usage();
    const sizeBytes = Math.floor(capacityBytes / 150);
    const ends = await Promise.allSettled(
      Array.from({ length: 200 }, () => pool.reserve(reserveOf(newVolumeId(), sizeBytes))),
    );
    const refused = ends.filter((end) => end.status === 'rejected');
    expect(refused.length).toBeGreaterThanOrEqual(50);
    expect(refused.every((end) => end.reason.code === 'PoolFull')).toBe(true);
    expect(pool.list()).toHaveLength(200 - refused.length);
    expect((await pool.usage()).reservedBytes).toBe(pool.list().length * sizeBytes);
    expect((await pool.usage()).reservedBytes).toBeLessThanOrEqual(capacityBytes);
    expect(await place.files('staging')).toEqual([]);
  });

  test('the same volume is promised once, also when it is asked for many times at once and after a restart', async () => {
    await using place = await TemporaryPool.make();
    const pool = await place.open();
    const request = reserveOf(newVolumeId(), mib);
    const records = await Promise.all(Array.from({ length: 20 }, () => pool.reserve(request)));
    expect(new Set(records).size).toBe(1);
    await pool.close();
    const again = await place.open();
    expect(await again.reserve(request)).toEqual(records[0]);
    expect((await again.usage()).reservedBytes).toBe(mib);
  });

  test('what can never be held is VolumeTooLarge; other sizes are refused; nothing is left', async () => {
    await using place = await TemporaryPool.make();
    const pool = await place.open();
    const id = newVolumeId();
    await expect(pool.reserve(reserveOf(id, pool.largestVolumeBytes + 1))).rejects.toMatchObject({
      code: 'VolumeTooLarge',
    });
    expect(await place.files()).toEqual([]);
    await pool.reserve(reserveOf(id, mib));
    await expect(pool.reserve(reserveOf(id, 2 * mib))).rejects.toMatchObject({ code: 'AlreadyExists' });
  });

  test('room for scratch is promised too, and given back with the staging', async () => {
    await using place = await TemporaryPool.make();
    const pool = await place.open();
    const id = await populatingVolume(pool, mib);
    const staging = await pool.openStaging(id, 1);
    await staging.reserveScratch(5 * mib);
    expect((await pool.usage()).reservedBytes).toBe(6 * mib);
    await expect(staging.reserveScratch(Number.MAX_SAFE_INTEGER)).rejects.toMatchObject({ code: 'PoolFull' });
    await staging.discard();
    expect((await pool.usage()).reservedBytes).toBe(mib);
  });
});

test.each(['scratch', 'growth'])(
  'an image that nobody takes gives way to %s, as the room that is told has it',
  async (what) => {
    await using place = await TemporaryPool.make();
    const pool = await place.open();
    const [id, grown] = [await populatingVolume(pool, mib), newVolumeId()];
    await pool.reserve(reserveOf(grown, mib));
    const staging = await pool.openStaging(id, 1);
    await writeFile(staging.diskPath, Buffer.alloc(mib, 1));
    const image = await pool.images.keep(staging.diskPath, `sha256:${'0'.repeat(64)}`);
    const { leftBytes } = await pool.usage();
    if (what === 'scratch') await staging.reserveScratch(leftBytes);
    else await pool.expand(grown, mib + leftBytes);
    expect(image.isDropped).toBe(true);
    expect(await readdir(join(pool.directory, 'images'))).toEqual([]);
  },
);

test('an image that cannot be removed counts on, and keeps nobody from what there is room for', async () => {
  await using place = await TemporaryPool.make();
  const pool = await place.open();
  const id = await populatingVolume(pool, mib);
  const staging = await pool.openStaging(id, 1);
  await writeFile(staging.diskPath, Buffer.alloc(mib, 1));
  const images = [];
  for (let number = 0; number < 2; number += 1) {
    images.push(await pool.images.keep(staging.diskPath, `sha256:${'0'.repeat(64)}`));
  }
  const [stuck, other] = images;
  // No file any more, so it is not removed as one.
  await rm(stuck?.path ?? '');
  await mkdir(stuck?.path ?? '');
  const { leftBytes } = await pool.usage();
  const tooLarge = pool.reserve(reserveOf(newVolumeId(), leftBytes));
  await expect(tooLarge).rejects.toMatchObject({ code: 'PoolFull', facts: { leftBytes: leftBytes - mib } });
  expect([stuck?.isDropped, other?.isDropped]).toEqual([true, true]);
  expect(await readdir(join(pool.directory, 'images'))).toEqual([basename(stuck?.path ?? '')]);
  await pool.reserve(reserveOf(newVolumeId(), leftBytes - mib));
  await rmdir(stuck?.path ?? '');
  await pool.reserve(reserveOf(newVolumeId(), mib));
});

describe('paths', () => {
  test.each(['../../etc/passwd', 'pvc-..', '', 'pvc-00000000-0000-0000-0000-00000000000/'])(
    'no path is made from %j',
    async (text) => {
      await using place = await TemporaryPool.make();
      const pool = await place.open();
      expect(isVolumeId(text)).toBe(false);
      // As if somebody had forgotten to check.
      const id = text as VolumeId;
      await expect(pool.reserve(reserveOf(id, mib))).rejects.toThrow('not a volume id');
      expect(() => pool.diskPath(id)).toThrow(expect.objectContaining({ code: 'NotFound' }));
      await expect(pool.delete(id)).resolves.toBeUndefined();
      expect(await place.files()).toEqual([]);
    },
  );
});

describe('the fence', () => {
  test('a later attempt ends the children of the former and removes its staging', async () => {
    await using place = await TemporaryPool.make();
    const pool = await place.open();
    const id = await populatingVolume(pool, mib);
    const former = await pool.openStaging(id, 1);
    const child = sleepingChild();
    await former.adopt(child.pid);
    await writeFile(former.diskPath, 'half');
    const record = await pool.claimFence(id, { attempt: 2, generation: 1 });
    expect(record).toMatchObject({ state: 'populating', fence: 2 });
    expect(isAlive(child)).toBe(false);
    expect(former.signal.reason).toMatchObject({ code: 'StaleAttempt' });
    expect(() => former.assertHeld()).toThrow(expect.objectContaining({ code: 'StaleAttempt' }));
    await expect(former.adopt(process.pid)).rejects.toMatchObject({ code: 'StaleAttempt' });
    expect(await place.files('staging')).toEqual([]);
  });

  test('it only grows, and the same attempt may ask again', async () => {
    await using place = await TemporaryPool.make();
    const pool = await place.open();
    const id = await populatingVolume(pool, mib, 3);
    const staging = await pool.openStaging(id, 3);
    await expect(pool.claimFence(id, { attempt: 2, generation: 1 })).rejects.toMatchObject({ code: 'StaleAttempt' });
    await expect(pool.claimFence(id, { attempt: 3, generation: 1 })).resolves.toMatchObject({ fence: 3 });
    expect(() => staging.assertHeld()).not.toThrow();
    await expect(pool.openStaging(id, 2)).rejects.toMatchObject({ code: 'StaleAttempt' });
  });

  test('a commit and a takeover at once: either the volume is complete or the later attempt has it', async () => {
    await using place = await TemporaryPool.make();
    const pool = await place.open();
    for (let round = 0; round < 10; round += 1) {
      const id = await populatingVolume(pool, mib);
      const staging = await pool.openStaging(id, 1);
      await writeFile(staging.diskPath, 'whole');
      const takeover = () => pool.claimFence(id, { attempt: 2, generation: 1 });
      const commit = () => pool.commit(staging, reportOf(5));
      const order = round % 2 === 0 ? [commit, takeover] : [takeover, commit];
      const ends = await Promise.allSettled(order.map((step) => step()));
      const codes = ends.flatMap((end) => (end.status === 'rejected' ? [end.reason.code] : []));
      expect(codes).toEqual(round % 2 === 0 ? [] : ['StaleAttempt']);
      expect(pool.get(id)?.state).toBe(round % 2 === 0 ? 'complete' : 'populating');
      expect(await place.files('staging')).toEqual([]);
    }
  });

  test('opening the staging of the same attempt again begins anew and lets the former go no further', async () => {
    await using place = await TemporaryPool.make();
    const pool = await place.open();
    const id = await populatingVolume(pool, mib);
    const first = await pool.openStaging(id, 1);
    await writeFile(first.diskPath, 'old');
    const second = await pool.openStaging(id, 1);
    await first.discard();
    await expect(pool.commit(first, reportOf(3))).rejects.toMatchObject({ code: 'StaleAttempt' });
    await writeFile(second.diskPath, 'new');
    await pool.commit(second, reportOf(3));
    expect(await readFile(pool.diskPath(id), 'utf8')).toBe('new');
  });
});

describe('the states', () => {
  test('a complete volume is not filled again; the same generation gets the stored report', async () => {
    await using place = await TemporaryPool.make();
    const pool = await place.open();
    const id = await populatingVolume(pool, mib);
    const staging = await pool.openStaging(id, 1);
    await writeFile(staging.diskPath, 'content');
    const complete = await pool.commit(staging, reportOf(7));
    expect(await pool.claimFence(id, { attempt: 2, generation: 1 })).toBe(complete);
    await expect(pool.claimFence(id, { attempt: 2, generation: 2 })).rejects.toMatchObject({ code: 'VolumeInUse' });
    await expect(pool.openStaging(id, 1)).rejects.toMatchObject({ code: 'StaleAttempt' });
    await expect(pool.markPlain(id)).rejects.toMatchObject({ code: 'VolumeInUse' });
    expect(await place.files('volumes')).toEqual([id, `${id}/data`, `${id}/data/disk.img`, `${id}/volume.json`]);
  });

  test('the first use of a complete volume for writing is dated once and outlives a restart; one that is not filled is not used', async () => {
    await using place = await TemporaryPool.make();
    const pool = await place.open();
    const id = await populatingVolume(pool, mib);
    await expect(pool.markUsed(id)).rejects.toMatchObject({ code: 'VolumeNotFilled' });
    const staging = await pool.openStaging(id, 1);
    await writeFile(staging.diskPath, 'disk');
    expect(await pool.commit(staging, reportOf(4))).not.toHaveProperty('usedSince');
    const { usedSince } = await pool.markUsed(id);
    expect(Date.parse(usedSince ?? '')).toBeGreaterThan(0);
    expect(await pool.markUsed(id)).toHaveProperty('usedSince', usedSince);
    await pool.close();
    expect((await place.open()).get(id)).toMatchObject({ state: 'complete', usedSince });
  });

  test('a plain volume is filled while it is empty and nobody has it for writing', async () => {
    await using place = await TemporaryPool.make();
    const pool = await place.open();
    const [empty, written, used, early] = [newVolumeId(), newVolumeId(), newVolumeId(), newVolumeId()];
    for (const id of [empty, written, used, early]) await pool.reserve(reserveOf(id, mib));
    for (const id of [written, early]) await writeFile(join(pool.dataPath(id), 'notes'), 'of a user');
    for (const id of [empty, written, used]) expect(await pool.markPlain(id)).toMatchObject({ state: 'plain' });
    await pool.markUsed(used);
    const fill = (id: VolumeId) => pool.claimFence(id, { attempt: 1, generation: 1 });
    for (const id of [written, used, early]) {
      await expect(fill(id)).rejects.toMatchObject({ code: 'VolumeInUse' });
      expect(pool.get(id)).toMatchObject({ state: id === early ? 'empty' : 'plain', fence: 0 });
    }
    expect(await readFile(join(pool.dataPath(written), 'notes'), 'utf8')).toBe('of a user');
    expect(await fill(empty)).toMatchObject({ state: 'populating', fence: 1 });
  });

  test('a disk longer than the volume is not committed', async () => {
    await using place = await TemporaryPool.make();
    const pool = await place.open();
    const id = await populatingVolume(pool, 10);
    const staging = await pool.openStaging(id, 1);
    await writeFile(staging.diskPath, 'eleven byte');
    await expect(pool.commit(staging, reportOf(11))).rejects.toMatchObject({ code: 'ImageTooLarge' });
    expect(pool.get(id)?.state).toBe('populating');
    expect(await place.files(`volumes/${id}/data`)).toEqual([]);
  });

  test.each(['empty', 'populating', 'complete', 'plain'])('a volume that is %s can be deleted', async (state) => {
    await using place = await TemporaryPool.make();
    const pool = await place.open();
    const id = newVolumeId();
    await pool.reserve(reserveOf(id, mib));
    const child = sleepingChild();
    if (state === 'plain') await pool.markPlain(id);
    if (state === 'populating' || state === 'complete') {
      await pool.claimFence(id, { attempt: 1, generation: 1 });
      const staging = await pool.openStaging(id, 1);
      await writeFile(staging.diskPath, 'x');
      await staging.adopt(child.pid);
      if (state === 'complete') await pool.commit(staging, reportOf(1));
    }
    await pool.delete(id);
    await pool.delete(id);
    expect(pool.get(id)).toBeUndefined();
    expect(await place.files()).toEqual([]);
    expect((await pool.usage()).reservedBytes).toBe(0);
    expect(isAlive(child)).toBe(state === 'empty' || state === 'plain');
    if (isAlive(child)) process.kill(child.pid, 'SIGKILL');
  });
});

test('a closed pool changes nothing any more', async () => {
  await using place = await TemporaryPool.make();
  const pool = await Pool.open({ directory: place.directory, create: true, overcommit: 1, logger: silentLogger });
  await pool.close();
  await expect(pool.reserve(reserveOf(newVolumeId(), mib))).rejects.toMatchObject({ code: 'Interrupted' });
});
