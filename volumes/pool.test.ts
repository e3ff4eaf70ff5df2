import { spawn } from 'node:child_process';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { isVolumeId, type VolumeId } from '../domain/volume-record.ts';
import { identityOf, isAlive } from '../runtime/process-identity.ts';
import {
  newVolumeId,
  populatingVolume,
  reportOf,
  reserveOf,
  silentLogger,
  TemporaryPool,
} from '../test/temporary-pool.ts';
import { Pool } from './pool.ts';

const mib = 1024 * 1024;

function sleepingChild(): number {
  const child = spawn('sleep', ['600'], { stdio: 'ignore' });
  return child.pid ?? 0;
}

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

  test('what can never be held is VolumeTooLarge; block claims and other sizes are refused; nothing is left', async () => {
    await using place = await TemporaryPool.make();
    const pool = await place.open();
    const id = newVolumeId();
    await expect(pool.reserve(reserveOf(id, pool.largestVolumeBytes + 1))).rejects.toMatchObject({
      code: 'VolumeTooLarge',
    });
    await expect(pool.reserve({ ...reserveOf(id, mib), mode: 'Block' })).rejects.toMatchObject({
      code: 'InvalidRequest',
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
    staging.reserveScratch(5 * mib);
    expect((await pool.usage()).reservedBytes).toBe(6 * mib);
    expect(() => staging.reserveScratch(Number.MAX_SAFE_INTEGER)).toThrow(
      expect.objectContaining({ code: 'PoolFull' }),
    );
    await staging.discard();
    expect((await pool.usage()).reservedBytes).toBe(mib);
  });
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
    const child = identityOf(sleepingChild());
    if (child === undefined) throw new Error('sleep did not start');
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

  test('the first use of a complete volume for writing is dated once and outlives a restart; another volume has nothing that could become void', async () => {
    await using place = await TemporaryPool.make();
    const pool = await place.open();
    const id = await populatingVolume(pool, mib);
    expect(await pool.markUsed(id)).not.toHaveProperty('usedSince');
    const staging = await pool.openStaging(id, 1);
    await writeFile(staging.diskPath, 'disk');
    expect(await pool.commit(staging, reportOf(4))).not.toHaveProperty('usedSince');
    const { usedSince } = await pool.markUsed(id);
    expect(Date.parse(usedSince ?? '')).toBeGreaterThan(0);
    expect(await pool.markUsed(id)).toHaveProperty('usedSince', usedSince);
    await pool.close();
    expect((await place.open()).get(id)).toMatchObject({ state: 'complete', usedSince });
  });

  test('a plain volume is never filled', async () => {
    await using place = await TemporaryPool.make();
    const pool = await place.open();
    const id = newVolumeId();
    await pool.reserve(reserveOf(id, mib));
    expect(await pool.markPlain(id)).toMatchObject({ state: 'plain' });
    await expect(pool.claimFence(id, { attempt: 1, generation: 1 })).rejects.toMatchObject({ code: 'VolumeInUse' });
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
    const child = identityOf(sleepingChild());
    if (child === undefined) throw new Error('sleep did not start');
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

describe('opening after a killed service', () => {
  test('staging that cannot go on is removed with its children; a received upload stays and can be resumed', async () => {
    await using place = await TemporaryPool.make();
    const pool = await place.open();
    const [lost, kept] = [await populatingVolume(pool, mib), await populatingVolume(pool, mib)];
    const child = identityOf(sleepingChild());
    if (child === undefined) throw new Error('sleep did not start');
    const lostStaging = await pool.openStaging(lost, 1);
    await lostStaging.adopt(child.pid);
    const keptStaging = await pool.openStaging(kept, 1);
    await writeFile(keptStaging.sourcePath, 'qcow2 bytes');
    await keptStaging.markReceived({ bytes: 11 });
    await writeFile(keptStaging.diskPath, 'half converted');
    await pool.close(); // like a kill, it ends no attempt
    const again = await place.open();
    expect(isAlive(child)).toBe(false);
    expect(await place.files('staging')).toEqual([`${kept}.1`, `${kept}.1/received.json`, `${kept}.1/source`]);
    expect(again.received()).toEqual([{ volumeId: kept, attempt: 1, bytes: 11 }]);
    await expect(again.resumeStaging(lost, 1)).rejects.toMatchObject({ code: 'NotFound' });
    await expect(again.openStaging(kept, 1)).rejects.toMatchObject({ code: 'UploadFinished' });
    const resumed = await again.resumeStaging(kept, 1);
    expect(resumed.received()).toEqual({ bytes: 11 });
    expect(again.received()).toHaveLength(1);
    await writeFile(resumed.diskPath, 'converted');
    await again.commit(resumed, reportOf(9));
    expect(again.received()).toEqual([]);
    expect(await place.files('staging')).toEqual([]);
  });

  test('what a write of a record left when the power went is removed, and nothing else', async () => {
    await using place = await TemporaryPool.make();
    const pool = await place.open();
    const id = newVolumeId();
    await pool.reserve(reserveOf(id, mib));
    await pool.close();
    await writeFile(join(place.directory, 'volumes', id, 'volume.json.4711.0a1b2c3d'), '{"schema');
    await mkdir(join(place.directory, 'staging', 'temporary-0011', 'data'), { recursive: true });
    const again = await place.open();
    expect(await place.files()).toEqual([`volumes/${id}`, `volumes/${id}/data`, `volumes/${id}/volume.json`]);
    expect(await again.findings()).toEqual([]);
  });

  test('an unreadable record is kept, told, and its volume refused', async () => {
    await using place = await TemporaryPool.make();
    const pool = await place.open();
    const id = newVolumeId();
    await pool.reserve(reserveOf(id, mib));
    await pool.close();
    await writeFile(join(place.directory, 'volumes', id, 'volume.json'), '{"schemaVersion":1,');
    const again = await place.open();
    await expect(again.reserve(reserveOf(id, mib))).rejects.toMatchObject({ code: 'VolumeCorrupt' });
    await expect(again.delete(id)).rejects.toMatchObject({ code: 'VolumeCorrupt' });
    expect(await again.findings()).toMatchObject([{ kind: 'unreadable-record', path: `volumes/${id}` }]);
    expect(await place.files('volumes')).toEqual([id, `${id}/data`, `${id}/volume.json`]);
  });

  test('a record of a newer version makes the pool read-only', async () => {
    await using place = await TemporaryPool.make();
    const pool = await place.open();
    const [newer, current] = [newVolumeId(), newVolumeId()];
    await pool.reserve(reserveOf(newer, mib));
    await pool.reserve(reserveOf(current, mib));
    await pool.close();
    const path = join(place.directory, 'volumes', newer, 'volume.json');
    const text = (await readFile(path, 'utf8')).replace('"schemaVersion": 1', '"schemaVersion": 2');
    await writeFile(path, text);
    const again = await place.open();
    expect(again.list().map(({ volumeId }) => volumeId)).toEqual([current]);
    await expect(again.delete(current)).rejects.toMatchObject({ code: 'PoolReadOnly' });
    await expect(again.reserve(reserveOf(newVolumeId(), mib))).rejects.toMatchObject({ code: 'PoolReadOnly' });
    expect(await again.findings()).toMatchObject([{ kind: 'newer-record', path: `volumes/${newer}` }]);
    expect(await readFile(path, 'utf8')).toBe(text);
  });

  test('findings name what no record owns, and nothing is removed', async () => {
    await using place = await TemporaryPool.make();
    const pool = await place.open();
    const id = await populatingVolume(pool, mib);
    await pool.openStaging(id, 1);
    expect(await pool.findings()).toEqual([]);
    await writeFile(join(place.directory, 'notes'), 'x');
    await mkdir(join(place.directory, 'staging', 'elsewhere'));
    await mkdir(join(place.directory, 'staging', `${id}.9`));
    await mkdir(join(place.directory, 'volumes', 'lost+found'));
    await writeFile(join(place.directory, 'volumes', id, 'old.img'), Buffer.alloc(8192, 1));
    const findings = await pool.findings();
    expect(findings.map(({ kind, path }) => `${kind} ${path}`).sort()).toEqual([
      `foreign-file notes`,
      `foreign-file volumes/${id}/old.img`,
      `foreign-staging staging/elsewhere`,
      `foreign-volume volumes/lost+found`,
      `unowned-staging staging/${id}.9`,
    ]);
    expect(findings.find(({ path }) => path.endsWith('old.img'))?.bytes).toBe(8192);
    expect(await place.files('volumes')).toContain('lost+found');
  });
});

test('a closed pool changes nothing any more', async () => {
  await using place = await TemporaryPool.make();
  const pool = await Pool.open({ directory: place.directory, create: true, overcommit: 1, logger: silentLogger });
  await pool.close();
  await expect(pool.reserve(reserveOf(newVolumeId(), mib))).rejects.toMatchObject({ code: 'Interrupted' });
});
