import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { populatingVolume, TemporaryPool } from '../test/temporary-pool.ts';

const mib = 1024 * 1024;

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
