// Trees that a pod made deeper than a path can name: 40 directories with names of 200 bytes each.
import { spawnSync } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { newVolumeId, reserveOf, TemporaryPool } from '../test/temporary-pool.ts';
import { measureTree } from './pool-space.ts';
import { removeTree } from './remove-tree.ts';

const levels = 40;
const script = `name=$(printf '%0200d' 0); for level in $(seq ${levels}); do mkdir $name && cd -P $name || exit 1; done; echo of the pod > file`;

/** Made by a shell that goes down step by step, as one in a pod would. */
function makeDeepTree(directory: string): void {
  const { status, stderr } = spawnSync('sh', ['-c', script], { cwd: directory, encoding: 'utf8' });
  expect(stderr).toBe('');
  expect(status).toBe(0);
}

test('one is measured as far as a path reaches', async () => {
  await using place = await TemporaryPool.make();
  const tree = join(place.root, 'tree');
  await mkdir(tree);
  makeDeepTree(tree);
  const { entries } = await measureTree(tree);
  expect(entries).toBeGreaterThan(10);
  expect(entries).toBeLessThan(levels);
  await removeTree(tree);
});

test('one does not keep its volume from being deleted, nor its pool from being measured', async () => {
  await using place = await TemporaryPool.make();
  const pool = await place.open();
  const id = newVolumeId();
  await pool.reserve(reserveOf(id, 1024));
  await pool.markPlain(id);
  makeDeepTree(pool.dataPath(id));
  expect((await pool.usage()).reservedBytes).toBe(1024);
  await pool.delete(id);
  expect(await place.files()).toEqual([]);
  expect((await pool.usage()).reservedBytes).toBe(0);
});

test('one that a killed service was removing does not keep the pool from being opened', async () => {
  await using place = await TemporaryPool.make();
  const pool = await place.open();
  await pool.close();
  const doomed = join(place.directory, 'staging', 'temporary-0011');
  await mkdir(join(doomed, 'data'), { recursive: true });
  makeDeepTree(join(doomed, 'data'));
  await place.open();
  await expect.poll(() => place.files()).toEqual([]);
});
