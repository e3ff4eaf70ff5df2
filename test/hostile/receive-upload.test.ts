// Uploads as the worker hands them over: raw straight into the disk, random-access formats staged and converted, broken ones refused.
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { convertReceived } from '../../importer/convert-received.ts';
import { receiveUpload } from '../../importer/receive-upload.ts';
import { ImportBench } from './import-bench.ts';

const mib = 1_048_576;
const sizeBytes = 8 * mib;
const preallocation = false;
const files = new Map<string, Buffer>();
let bench: ImportBench;
let expected: string;

function file(name: string): Buffer {
  return files.get(name) ?? Buffer.alloc(0);
}

/** A body in small pieces; `failure` breaks it at the end. */
function bodyOf(bytes: Buffer, failure?: Error): Readable {
  async function* pieces(): AsyncGenerator<Buffer> {
    for (let at = 0; at < bytes.length; at += 50_000) yield bytes.subarray(at, at + 50_000);
    if (failure !== undefined) throw failure;
  }
  return Readable.from(pieces(), { objectMode: false });
}

beforeAll(async () => {
  bench = await ImportBench.make();
  const work = await mkdtemp(join(tmpdir(), 'longshore-uploads-'));
  const disk = Buffer.alloc(4 * mib);
  randomBytes(2 * mib).copy(disk, mib);
  await writeFile(join(work, 'raw'), disk);
  execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', join(work, 'raw'), join(work, 'qcow2')]);
  execFileSync('gzip', ['-k', join(work, 'raw')]);
  execFileSync('xz', ['-k', '-0', join(work, 'qcow2')]);
  for (const name of ['raw', 'qcow2', 'raw.gz', 'qcow2.xz']) files.set(name, await readFile(join(work, name)));
  await rm(work, { recursive: true });
  expected = createHash('sha256')
    .update(Buffer.concat([disk, Buffer.alloc(sizeBytes - disk.length)]))
    .digest('hex');
});

afterAll(async () => {
  expect(await bench.stagings()).toEqual([]);
  await bench.close();
});

async function upload(body: Readable, more: { declaredBytes?: number; checksum?: string } = {}) {
  const staging = await bench.staging(sizeBytes);
  const hooks = bench.hooks();
  const run = (async () => {
    const result = await receiveUpload(body, { staging, sizeBytes, preallocation, ...more }, hooks);
    if (result.kind === 'ready') return result.report;
    expect(staging.received()).toMatchObject({ bytes: result.bytes, sourceDigest: result.sourceDigest });
    return convertReceived({ sizeBytes, preallocation }, staging, hooks);
  })();
  return bench.endingOf(run, staging);
}

describe('an upload', () => {
  test.each(['raw', 'raw.gz', 'qcow2', 'qcow2.xz'])('of %s becomes the disk', async (name) => {
    const ending = await upload(bodyOf(file(name)), { declaredBytes: file(name).length });
    expect(ending.detail).toBe('');
    expect(ending.sha256).toBe(expected);
    const digest = createHash('sha256').update(file(name)).digest('hex');
    expect(ending.report).toMatchObject({ verified: 'length', sourceDigest: `sha256:${digest}` });
  });

  test('with a checksum is verified, and one that differs is refused', async () => {
    const checksum = `sha512:${createHash('sha512').update(file('raw.gz')).digest('hex')}`;
    expect((await upload(bodyOf(file('raw.gz')), { checksum })).report).toMatchObject({ verified: 'digest' });
    expect(await upload(bodyOf(file('raw')), { checksum })).toMatchObject({ code: 'ChecksumMismatch' });
    expect(await upload(bodyOf(file('qcow2')), { checksum })).toMatchObject({ code: 'ChecksumMismatch' });
  });

  test.each(['raw', 'raw.gz', 'qcow2'])('of %s from a client that hangs up is UploadInterrupted', async (name) => {
    const half = file(name).subarray(0, file(name).length / 2);
    const reset = Object.assign(new Error('aborted'), { code: 'ECONNRESET' });
    expect(await upload(bodyOf(half, reset))).toMatchObject({ code: 'UploadInterrupted' });
    expect(await upload(bodyOf(half), { declaredBytes: file(name).length })).toMatchObject({
      code: 'UploadInterrupted',
    });
  });

  test('that is longer than declared or than the volume is refused', async () => {
    expect(await upload(bodyOf(file('raw')), { declaredBytes: mib })).toMatchObject({ code: 'SourceTooLong' });
    const large = Buffer.alloc(sizeBytes + 1, 1);
    expect(await upload(bodyOf(large))).toMatchObject({ code: 'ImageTooLarge' });
    const early = await upload(bodyOf(large), { declaredBytes: large.length });
    expect(early).toMatchObject({ code: 'ImageTooLarge', left: [] });
  });

  test('of a page or of nothing is no disk image', async () => {
    expect(await upload(bodyOf(Buffer.from('<html></html>')))).toMatchObject({ code: 'NotADiskImage', left: [] });
    expect(await upload(bodyOf(Buffer.alloc(0)))).toMatchObject({ code: 'NotADiskImage', left: [] });
  });

  test('that was cut before it is converted is refused', async () => {
    const cut = file('qcow2').subarray(0, file('qcow2').length - 100_000);
    expect(await upload(bodyOf(cut))).toMatchObject({ code: 'CorruptImage' });
  });
});
