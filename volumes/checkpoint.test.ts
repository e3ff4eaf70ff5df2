// What a killed attempt has marked: the next service goes on from there, and from nothing that is not whole; within one service nobody does.
import { existsSync } from 'node:fs';
import { appendFile, readdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { VolumeId } from '../domain/volume-record.ts';
import { identityOf } from '../runtime/process-identity.ts';
import { isRoot } from '../test/leave-no-device.ts';
import { populatingVolume, sleepingChild, TemporaryPool } from '../test/temporary-pool.ts';
import type { Checkpoint } from './checkpoint.ts';
import type { OpenPoolOptions } from './pool-opening.ts';

const MiB = 1_048_576;
const checkpoint: Checkpoint = {
  ...{ file: 'disk.img', bytes: 2 * MiB, fileBytes: 2 * MiB },
  content: { place: 'here', validator: '"one"', totalBytes: 8 * MiB, head: 'head' },
};

/** An attempt of a service that ends without a word. @returns the volume */
async function killedAttempt(home: TemporaryPool, how: Partial<OpenPoolOptions> = {}): Promise<VolumeId> {
  const pool = await home.open(how);
  const id = await populatingVolume(pool, 8 * MiB);
  const staging = await pool.openStaging(id, 1);
  await writeFile(staging.diskPath, Buffer.alloc(3 * MiB, 7));
  await writeFile(join(staging.directory, 'other'), 'x');
  await staging.mark(checkpoint);
  await pool.close();
  return id;
}

test('the next attempt of the next service has what was marked, and nothing else', async () => {
  await using home = await TemporaryPool.make();
  const id = await killedAttempt(home);
  const pool = await home.open();
  await pool.claimFence(id, { attempt: 2, generation: 1 });
  expect(await readdir(join(home.directory, 'staging'))).toEqual([`${id}.2`]);
  const staging = await pool.goOnStaging(id, 2);
  expect(staging.kept).toEqual(checkpoint);
  expect((await readdir(staging.directory)).sort()).toEqual(['checkpoint.json', 'disk.img']);
  await staging.forgetKept();
  expect(await readdir(staging.directory)).toEqual([]);
  await staging.discard();
  expect(await readdir(join(home.directory, 'staging'))).toEqual([]);
});

// A file system is mounted.
test.skipIf(!isRoot)('so it is where the volume has a file system of its own', async () => {
  await using home = await TemporaryPool.make();
  const bounded = { enforcement: 'loop' as const };
  const id = await killedAttempt(home, bounded);
  const pool = await home.open(bounded);
  await pool.claimFence(id, { attempt: 2, generation: 1 });
  const staging = await pool.goOnStaging(id, 2);
  expect(staging.kept).toEqual(checkpoint);
  expect(staging.diskPath).toContain(pool.dataPath(id));
  expect((await readFile(staging.diskPath)).length).toBe(3 * MiB);
  await staging.discard();
  expect((await readdir(pool.dataPath(id))).filter((name) => name !== 'lost+found')).toEqual([]);
});

test('the same attempt goes on, too; one that does not ask for it begins anew', async () => {
  await using home = await TemporaryPool.make();
  const id = await killedAttempt(home);
  const pool = await home.open();
  const staging = await pool.goOnStaging(id, 1);
  expect(staging.kept?.bytes).toBe(2 * MiB);
  await pool.close();
  const next = await home.open();
  const anew = await next.openStaging(id, 1);
  expect(anew.kept).toBeUndefined();
  expect(await readdir(anew.directory)).toEqual([]);
});

test.each([
  ['torn', (path: string) => truncate(path, 40)],
  [
    'of another version',
    async (path: string) => writeFile(path, (await readFile(path, 'utf8')).replace(/n":1/, 'n":2')),
  ],
  ['no file', (path: string) => writeFile(path, '')],
  [
    'not of whole blocks',
    async (path: string) => writeFile(path, (await readFile(path, 'utf8')).replace('2097152', '9')),
  ],
  ['of a longer file than there is', (path: string) => truncate(join(path, '../disk.img'), 2 * MiB - 1)],
])('a checkpoint that is %s counts as none, and the staging is removed', async (_what, spoil) => {
  await using home = await TemporaryPool.make();
  const id = await killedAttempt(home);
  await spoil(join(home.directory, 'staging', `${id}.1`, 'checkpoint.json'));
  const pool = await home.open();
  expect(await readdir(join(home.directory, 'staging'))).toEqual([]);
  await pool.claimFence(id, { attempt: 2, generation: 1 });
  expect((await pool.goOnStaging(id, 2)).kept).toBeUndefined();
});

test('children of the killed attempt are ended before anybody goes on', async () => {
  await using home = await TemporaryPool.make();
  const child = sleepingChild();
  const pool = await home.open();
  const id = await populatingVolume(pool, 8 * MiB);
  const staging = await pool.openStaging(id, 1);
  await writeFile(staging.diskPath, Buffer.alloc(2 * MiB, 7));
  await staging.adopt(child.pid);
  await staging.mark(checkpoint);
  await pool.close();
  await home.open();
  expect(identityOf(child.pid)?.startTime).not.toBe(child.startTime);
});

test('within one service nobody goes on from what another attempt has: it may still write', async () => {
  await using home = await TemporaryPool.make();
  const pool = await home.open();
  const id = await populatingVolume(pool, 8 * MiB);
  const former = await pool.openStaging(id, 1);
  await writeFile(former.diskPath, Buffer.alloc(2 * MiB, 7));
  await former.mark(checkpoint);
  await pool.claimFence(id, { attempt: 2, generation: 1 });
  expect(existsSync(former.directory)).toBe(false);
  await expect(former.mark(checkpoint)).rejects.toMatchObject({ code: 'StaleAttempt' });
  const staging = await pool.goOnStaging(id, 2);
  expect(staging.kept).toBeUndefined();
  expect(await readdir(staging.directory)).toEqual([]);
});

test('a staging that is left stays for the next service only where something is marked', async () => {
  await using home = await TemporaryPool.make();
  const pool = await home.open();
  const id = await populatingVolume(pool, 8 * MiB);
  const unmarked = await pool.openStaging(id, 1);
  await writeFile(unmarked.diskPath, 'x');
  await unmarked.leave();
  expect(existsSync(unmarked.directory)).toBe(false);
  const marked = await pool.openStaging(id, 1);
  await writeFile(marked.diskPath, Buffer.alloc(2 * MiB, 7));
  await marked.mark(checkpoint);
  await marked.leave();
  await expect(appendMark(marked.directory, () => marked.mark(checkpoint))).rejects.toMatchObject({
    code: 'Interrupted',
  });
  await pool.close();
  const next = await home.open();
  expect((await next.goOnStaging(id, 1)).kept).toEqual(checkpoint);
});

/** What comes late changes nothing that counts. */
async function appendMark(directory: string, mark: () => Promise<void>): Promise<void> {
  await appendFile(join(directory, 'disk.img'), 'late');
  await mark();
}
