import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { inspectLocalImage } from './local-image.ts';

let directory = '';
let raw = '';

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'longshore-cli-'));
  raw = join(directory, 'disk.raw');
  await writeFile(raw, 'boot');
  await truncate(raw, 3_000_000);
});

afterAll(() => rm(directory, { recursive: true }));

test('a raw disk is as large as its file, in whole sectors', async () => {
  expect(await inspectLocalImage(raw)).toEqual({ path: raw, bytes: 3_000_000, virtualSize: 3_000_320 });
});

test('a qcow2 says how large the guest sees it', async () => {
  const path = join(directory, 'disk.qcow2');
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', path, '5G']);
  expect((await inspectLocalImage(path)).virtualSize).toBe(5 * 1024 ** 3);
});

test.each([
  ['gz', 'gzip'],
  ['xz', 'xz'],
  ['zst', 'zstd'],
])('a packed disk (%s) does not say it', async (suffix, program) => {
  const path = join(directory, `disk.raw.${suffix}`);
  await writeFile(path, execFileSync(program, ['-c', raw], { maxBuffer: 16 * 1024 ** 2 }));
  expect((await inspectLocalImage(path)).virtualSize).toBeUndefined();
});

test('a file that is not there, and one that is none', async () => {
  await expect(inspectLocalImage(join(directory, 'none'))).rejects.toMatchObject({ code: 'InvalidRequest' });
  await expect(inspectLocalImage(directory)).rejects.toMatchObject({ code: 'InvalidRequest' });
});

test.each(['', 'not an image'])('a file of less than a sector (%j) is no disk image', async (content) => {
  const path = join(directory, 'short');
  await writeFile(path, content);
  await expect(inspectLocalImage(path)).rejects.toMatchObject({ code: 'NotADiskImage' });
});
