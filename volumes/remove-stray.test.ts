import { mkdir, readdir, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { newVolumeId, populatingVolume, reserveOf, TemporaryPool } from '../test/temporary-pool.ts';
import { removeStray } from './remove-stray.ts';

const mib = 1024 * 1024;

test('what no record owns is removed where it is asked by its very path, and nothing else', async () => {
  await using place = await TemporaryPool.make();
  const pool = await place.open();
  const id = newVolumeId();
  await pool.reserve(reserveOf(id, mib));
  await mkdir(join(place.root, 'outside'));
  await writeFile(join(place.root, 'outside', 'kept'), 'mine');
  const strays = ['notes.txt', 'volumes/old', `staging/${newVolumeId()}.3`, `volumes/${id}/junk`];
  for (const stray of strays) {
    await mkdir(join(place.directory, stray));
    await symlink(join(place.root, 'outside'), join(place.directory, stray, 'link'));
  }
  const found = (await pool.findings()).map(({ path }) => path).toSorted();
  expect(found).toEqual(strays.toSorted());
  for (const path of [
    '.',
    '..',
    '../outside',
    'volumes',
    `volumes/${id}`,
    `volumes/${id}/data`,
    'pool.json',
    './notes.txt',
  ]) {
    await expect(removeStray(pool, path, 0)).rejects.toMatchObject({ code: 'NotFound' });
  }
  for (const stray of strays) await removeStray(pool, stray, 0);
  expect(await pool.findings()).toEqual([]);
  expect(await place.files()).toEqual(expect.arrayContaining([`volumes/${id}/data`, `volumes/${id}/volume.json`]));
  expect(await readdir(join(place.root, 'outside'))).toEqual(['kept']);
});

test('what changed just now, and a record that cannot be read, stay', async () => {
  await using place = await TemporaryPool.make();
  const first = await place.open();
  const id = await populatingVolume(first, mib);
  await first.close();
  await writeFile(join(place.directory, 'volumes', id, 'volume.json'), '{');
  const pool = await place.open();
  await expect(removeStray(pool, `volumes/${id}`, 0)).rejects.toMatchObject({ code: 'VolumeInUse' });
  const path = join(place.directory, 'notes.txt');
  await writeFile(path, 'new');
  await expect(removeStray(pool, 'notes.txt')).rejects.toMatchObject({ code: 'VolumeInUse' });
  await utimes(path, 0, 0);
  await removeStray(pool, 'notes.txt');
  expect(await readdir(join(place.directory, 'volumes'))).toEqual([id]);
});
