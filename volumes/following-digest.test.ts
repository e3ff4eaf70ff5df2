import { randomBytes } from 'node:crypto';
import { mkdtemp, open, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { contentDigestOfFile } from './content-digest.ts';
import { FollowingDigest } from './following-digest.ts';

const mib = 1_048_576;
const { signal } = new AbortController();
let work: string;
let disk: string;

beforeEach(async () => {
  work = await mkdtemp(join(tmpdir(), 'longshore-following-'));
  disk = join(work, 'disk.img');
});

afterEach(() => rm(work, { recursive: true }));

/** Writes in order, 2 MiB at a time, with a hole of 64 MiB after each 32 MiB and a part of a block at the end. */
async function writeInOrder(sizeBytes: number): Promise<void> {
  const file = await open(disk, 'r+');
  await file.truncate(sizeBytes);
  const data = randomBytes(2 * mib);
  for (let at = 0; at < sizeBytes; at += 2 * mib) {
    if (at % (96 * mib) >= 32 * mib) continue;
    data.writeUInt32BE(at / mib);
    await file.write(data, 0, Math.min(data.byteLength, sizeBytes - at), at);
  }
  await file.close();
}

test('a disk that is digested while it is written has the digest of the finished disk', async () => {
  await (await open(disk, 'w')).close();
  await using digest = await FollowingDigest.begin(disk, signal);
  const sizeBytes = 1248 * mib + 700;
  const writing = writeInOrder(sizeBytes);
  await digest.follow(writing);
  await writing;
  expect(await digest.finish()).toEqual(await contentDigestOfFile(disk, { signal }));
});

test('a disk that grows after the writing ends in zeros', async () => {
  await (await open(disk, 'w')).close();
  await using digest = await FollowingDigest.begin(disk, signal);
  const writing = writeInOrder(3 * mib + 5);
  await digest.follow(writing);
  await writing;
  const file = await open(disk, 'r+');
  await file.truncate(200 * mib + 1);
  await file.close();
  expect(await digest.finish()).toEqual(await contentDigestOfFile(disk, { signal }));
});

test('a writing that fails ends the following; nothing is left open', async () => {
  await (await open(disk, 'w')).close();
  const before = (await readdir('/proc/self/fd')).length;
  const digest = await FollowingDigest.begin(disk, signal);
  await digest.follow(Promise.reject(new Error('the disk is full')));
  await digest[Symbol.asyncDispose]();
  expect((await readdir('/proc/self/fd')).length).toBe(before);
});

test('an abort ends it with its reason, and nothing is left open', async () => {
  await (await open(disk, 'w')).close();
  await writeInOrder(64 * mib);
  const before = (await readdir('/proc/self/fd')).length;
  const abort = new AbortController();
  const digest = await FollowingDigest.begin(disk, abort.signal);
  const finishing = digest.finish();
  abort.abort(new Error('enough'));
  await expect(finishing).rejects.toThrow();
  await digest[Symbol.asyncDispose]();
  await expect.poll(async () => (await readdir('/proc/self/fd')).length).toBeLessThanOrEqual(before);
});
