// A real process is killed at each step of a commit; what the next one finds is all or nothing.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, readFile, readlink, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { describe, expect, test } from 'vitest';
import { newVolumeId, populatingVolume, reportOf, TemporaryPool } from '../test/temporary-pool.ts';
import type { CommitStep } from './commit.ts';
import type { PoolStep } from './pool-opening.ts';

const content = 'the whole disk';

const committer = `
  import { mkdir, writeFile } from 'node:fs/promises';
  import { Pool } from ${JSON.stringify(new URL('./pool.ts', import.meta.url).href)};
  const [directory, volumeId, stopAt, content, files] = process.argv.slice(1);
  const logger = { info() {}, warn() {} };
  const at = async (step) => {
    if (step !== stopAt) return;
    console.log('stopped');
    await new Promise(() => setInterval(() => {}, 1000));
  };
  const pool = await Pool.open({ directory, create: true, overcommit: 1, logger, at });
  const owner = { namespace: 'default', name: 'disk', uid: volumeId };
  await pool.reserve({ volumeId, owner, mode: 'Filesystem', sizeBytes: 1048576, generation: 1 });
  await pool.claimFence(volumeId, { attempt: 1, generation: 1 });
  const staging = await pool.openStaging(volumeId, 1);
  if (files === 'files') {
    await mkdir(staging.dataPath + '/a', { recursive: true });
    await writeFile(staging.dataPath + '/a/file', content);
  } else await writeFile(staging.diskPath, content);
  const told = files === 'files' ? { files: { entries: 2, bytes: content.length } } : {};
  const report = { ...told, virtualSizeBytes: content.length, allocatedBytes: 0, format: 'raw', strategy: 'stream',
    verified: 'length', fetchedBytes: content.length, steps: [] };
  await pool.commit(staging, report);
`;

async function killAt(step: CommitStep, directory: string, volumeId: string, what = 'disk'): Promise<void> {
  const child = spawn(
    process.execPath,
    ['--input-type=module', '-e', committer, '--', directory, volumeId, step, content, what],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  for await (const line of createInterface({ input: child.stdout })) if (line === 'stopped') break;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}

const before: CommitStep[] = ['checked', 'owned', 'synced', 'renamed'];

test.each(before)('killed when the commit was %s: nothing is committed, and the next attempt can', async (step) => {
  await using place = await TemporaryPool.make();
  const volumeId = newVolumeId();
  await killAt(step, place.directory, volumeId);
  const pool = await place.open();
  expect(pool.get(volumeId)).toMatchObject({ state: 'populating', fence: 1 });
  expect(await place.files(`volumes/${volumeId}`)).toEqual(['data', 'volume.json']);
  expect(await place.files('staging')).toEqual([]);
  await pool.claimFence(volumeId, { attempt: 2, generation: 1 });
  const staging = await pool.openStaging(volumeId, 2);
  await writeFile(staging.diskPath, 'second');
  await expect(pool.commit(staging, reportOf(6))).resolves.toMatchObject({ state: 'complete', fence: 2 });
});

test('killed when the commit was recorded: the disk is there wholly, and the staging is cleaned up', async () => {
  await using place = await TemporaryPool.make();
  const volumeId = newVolumeId();
  await killAt('recorded', place.directory, volumeId);
  const pool = await place.open();
  expect(pool.get(volumeId)).toMatchObject({ state: 'complete', report: { virtualSizeBytes: content.length } });
  expect(await readFile(pool.diskPath(volumeId), 'utf8')).toBe(content);
  expect(await place.files('staging')).toEqual([]);
  expect(await pool.findings()).toEqual([]);
});

test('modes and owners are those that a machine expects', async () => {
  await using place = await TemporaryPool.make();
  const pool = await place.open();
  const id = await populatingVolume(pool, 1024);
  const staging = await pool.openStaging(id, 1);
  await writeFile(staging.diskPath, 'x');
  await pool.commit(staging, reportOf(1));
  const [disk, data] = [await stat(pool.diskPath(id)), await stat(join(place.directory, 'volumes', id, 'data'))];
  const owner = process.geteuid?.() === 0 ? 107 : process.geteuid?.();
  expect([disk.mode & 0o7777, disk.uid, disk.gid]).toEqual([0o660, owner, owner]);
  expect([data.mode & 0o7777, data.uid, data.gid]).toEqual([0o2775, owner, owner]);
});

test('an attempt without a disk commits nothing', async () => {
  await using place = await TemporaryPool.make();
  const pool = await place.open();
  const id = await populatingVolume(pool, 1024);
  const staging = await pool.openStaging(id, 1);
  await expect(pool.commit(staging, reportOf(1))).rejects.toMatchObject({ code: 'Internal' });
  expect(pool.get(id)?.state).toBe('populating');
});

test('a commit that cannot be recorded leaves the volume populating and empty, and the next attempt can', async () => {
  await using place = await TemporaryPool.make();
  let isFull = true;
  const at = async (step: PoolStep): Promise<void> => {
    if (step === 'renamed' && isFull) throw Object.assign(new Error('full'), { code: 'ENOSPC' });
  };
  const pool = await place.open({ at });
  const id = await populatingVolume(pool, 1024);
  const first = await pool.openStaging(id, 1);
  await writeFile(first.diskPath, 'x');
  await expect(pool.commit(first, reportOf(1))).rejects.toMatchObject({ code: 'ENOSPC' });
  await first.discard();
  expect(await place.files(`volumes/${id}`)).toEqual(['data', 'volume.json']);
  isFull = false;
  await pool.claimFence(id, { attempt: 2, generation: 1 });
  const second = await pool.openStaging(id, 2);
  await writeFile(second.diskPath, 'y');
  await expect(pool.commit(second, reportOf(1))).resolves.toMatchObject({ state: 'complete' });
});

const filesReport = { ...reportOf(1024), files: { entries: 2, bytes: 4 } };

describe('a directory of files', () => {
  test.each(before)('killed when the commit was %s: nothing is committed, and the next attempt can', async (step) => {
    await using place = await TemporaryPool.make();
    const volumeId = newVolumeId();
    await killAt(step, place.directory, volumeId, 'files');
    const pool = await place.open();
    expect(pool.get(volumeId)).toMatchObject({ state: 'populating', fence: 1 });
    expect(await place.files(`volumes/${volumeId}`)).toEqual(['data', 'volume.json']);
    expect((await stat(pool.dataPath(volumeId))).mode & 0o7777).toBe(0o2775);
    await expect.poll(() => place.files('staging')).toEqual([]);
    await pool.claimFence(volumeId, { attempt: 2, generation: 1 });
    const staging = await pool.openStaging(volumeId, 2);
    await mkdir(staging.dataPath);
    await writeFile(join(staging.dataPath, 'b'), 'second');
    await expect(pool.commit(staging, filesReport)).resolves.toMatchObject({ state: 'complete', fence: 2 });
    expect(await place.files(`volumes/${volumeId}`)).toEqual(['data', 'data/b', 'volume.json']);
  });

  test('killed when the commit was recorded: the files are there', async () => {
    await using place = await TemporaryPool.make();
    const volumeId = newVolumeId();
    await killAt('recorded', place.directory, volumeId, 'files');
    const pool = await place.open();
    expect(pool.get(volumeId)).toMatchObject({ state: 'complete', report: { files: { entries: 2 } } });
    expect(pool.contentPath(volumeId)).toBe(pool.dataPath(volumeId));
    expect(await readFile(join(pool.dataPath(volumeId), 'a/file'), 'utf8')).toBe(content);
    expect(await pool.findings()).toEqual([]);
  });

  test('is given to the owner of volumes, links themselves and not what they lead to', async () => {
    await using place = await TemporaryPool.make();
    const pool = await place.open();
    const id = await populatingVolume(pool, 1024);
    const staging = await pool.openStaging(id, 1);
    const outside = join(place.root, 'outside');
    await writeFile(outside, 'x');
    await mkdir(join(staging.dataPath, 'a'), { recursive: true });
    await symlink(outside, join(staging.dataPath, 'a/link'));
    await pool.commit(staging, filesReport);
    const owner = process.geteuid?.() === 0 ? 107 : process.geteuid?.();
    expect((await stat(join(pool.dataPath(id), 'a'))).uid).toBe(owner);
    expect(await readlink(join(pool.dataPath(id), 'a/link'))).toBe(outside);
    expect((await stat(outside)).uid).toBe(process.geteuid?.());
  });

  test('of which the commit cannot be recorded is taken back', async () => {
    await using place = await TemporaryPool.make();
    const at = async (step: string): Promise<void> => {
      if (step === 'renamed') throw Object.assign(new Error('full'), { code: 'ENOSPC' });
    };
    const pool = await place.open({ at });
    const id = await populatingVolume(pool, 1024);
    const staging = await pool.openStaging(id, 1);
    await mkdir(staging.dataPath);
    await writeFile(join(staging.dataPath, 'b'), 'x');
    await expect(pool.commit(staging, filesReport)).rejects.toMatchObject({ code: 'ENOSPC' });
    await staging.discard();
    expect(await place.files(`volumes/${id}`)).toEqual(['data', 'volume.json']);
    expect(await place.files('staging')).toEqual([]);
    expect(existsSync(staging.directory)).toBe(false);
  });
});
