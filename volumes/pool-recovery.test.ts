import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { isAlive } from '../runtime/process-identity.ts';
import {
  newVolumeId,
  populatingVolume,
  reportOf,
  reserveOf,
  sleepingChild,
  TemporaryPool,
} from '../test/temporary-pool.ts';

const mib = 1024 * 1024;

describe('opening after a killed service', () => {
  test('images that were shared are removed, and nothing else that lies there', async () => {
    await using place = await TemporaryPool.make();
    const pool = await place.open();
    const staging = await pool.openStaging(await populatingVolume(pool, mib), 1);
    await writeFile(staging.diskPath, 'the disk');
    const digest = `tree-sha256:${'0'.repeat(64)}`;
    const image = await pool.images.keep(staging.diskPath, digest);
    const content = await readFile(image.path);
    await pool.close();
    expect(await place.files('images')).toEqual([]);
    await writeFile(image.path, content); // as a kill leaves it
    await writeFile(join(place.directory, 'images', 'notes'), 'of somebody');
    await place.open();
    expect(await place.files('images')).toEqual(['notes']);
  });

  test('staging that cannot go on is removed with its children; a received upload stays and can be resumed', async () => {
    await using place = await TemporaryPool.make();
    const pool = await place.open();
    const [lost, kept] = [await populatingVolume(pool, mib), await populatingVolume(pool, mib)];
    const child = sleepingChild();
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
    const kept = [`volumes/${id}`, `volumes/${id}/data`, `volumes/${id}/volume.json`];
    await expect.poll(() => place.files()).toEqual(kept);
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
});
