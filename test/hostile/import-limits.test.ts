// What an import takes and gives by its settings and wishes: memory of the decompressors, and disks whose blocks are all there.
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { convertReceived } from '../../importer/convert-received.ts';
import { receiveUpload } from '../../importer/receive-upload.ts';
import { HostileServer } from './hostile-server.ts';
import { ImportBench } from './import-bench.ts';

const mib = 1_048_576;
const claim = 8 * mib;
let bench: ImportBench;
let server: HostileServer;
let expected: string;
let qcow2: Buffer;

/** Through a pipe: of a file zstd knows the size, and makes the window no larger than that. */
function zstd(input: Buffer, words: readonly string[]): Buffer {
  return execFileSync('zstd', ['-q', ...words], { input, maxBuffer: 2 * input.length });
}

beforeAll(async () => {
  bench = await ImportBench.make();
  server = await HostileServer.start();
  const disk = Buffer.alloc(4 * mib);
  randomBytes(2 * mib).copy(disk, mib);
  expected = createHash('sha256')
    .update(Buffer.concat([disk, Buffer.alloc(claim - disk.length)]))
    .digest('hex');
  const work = await mkdtemp(join(tmpdir(), 'longshore-limits-'));
  try {
    const raw = join(work, 'raw');
    await writeFile(raw, disk);
    execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw, join(work, 'qcow2')]);
    execFileSync('xz', ['-k', '-9e', raw]);
    const packers = { 'raw.zst': ['-1'], 'long.zst': ['--long=27'], 'longest.zst': ['--long=31'] };
    for (const [name, words] of Object.entries(packers)) {
      server.set(name, zstd(disk, words));
    }
    const second = zstd(disk.subarray(0, mib), ['--long=31']);
    const first = zstd(disk, ['-1']);
    server.set('second-frame.zst', Buffer.concat([first, second]));
    qcow2 = await readFile(join(work, 'qcow2'));
    for (const name of ['raw', 'qcow2', 'raw.xz']) server.set(name, await readFile(join(work, name)));
  } finally {
    await rm(work, { recursive: true });
  }
});

afterAll(async () => {
  expect(await bench.stagings()).toEqual([]);
  await server.stop();
  await bench.close();
});

describe('decompressing within the memory that is allowed', () => {
  test.each(['long.zst', 'raw.xz'])('%s is unpacked', async (name) => {
    expect(await bench.import(server.url('ranges', name), claim)).toMatchObject({ detail: '', sha256: expected });
  });

  test('a zstd window that is too large is told from the beginning, before the rest is fetched', async () => {
    server.forget();
    const ending = await bench.import(server.url('ranges', 'longest.zst'), claim);
    expect(ending).toMatchObject({ code: 'DecoderMemory', detail: expect.stringContaining('2147483648'), left: [] });
    expect(server.sentBytes).toBeLessThan(mib);
  });

  test('a later frame with such a window ends the import, too', async () => {
    const ending = await bench.import(server.url('ranges', 'second-frame.zst'), claim);
    expect(ending).toMatchObject({ code: 'DecoderMemory', sha256: undefined });
  });

  test('an xz dictionary that is too large for the setting is told from the beginning', async () => {
    // xz -9e has a dictionary of 64 MiB; of the 100 a part is for the program itself.
    const small = await ImportBench.make({ config: { toolMemoryMiB: 100 } });
    expect(await small.import(server.url('ranges', 'raw.xz'), claim)).toMatchObject({
      code: 'DecoderMemory',
      left: [],
    });
    expect(await small.import(server.url('ranges', 'raw.zst'), claim)).toMatchObject({ detail: '', sha256: expected });
    expect(await small.stagings()).toEqual([]);
    await small.close();
  });

  test('an upload is held to the same', async () => {
    const staging = await bench.staging(claim);
    const body = Readable.from([zstd(Buffer.alloc(mib, 'data'), ['--long=31'])]);
    const run = receiveUpload(body, { staging, sizeBytes: claim, preallocation: false }, bench.hooks());
    const ending = await bench.endingOf(
      run.then(() => undefined),
      staging,
    );
    expect(ending).toMatchObject({ code: 'DecoderMemory', left: [] });
  });
});

describe('preallocation', () => {
  test.each([
    ['ranges', 'raw', 'stream'],
    ['ranges', 'raw.zst', 'stream'],
    ['ranges', 'qcow2', 'nbd'],
    ['no-ranges', 'qcow2', 'staged'],
  ])('%s of %s allocates the whole disk; without it, holes stay holes', async (behaviour, name, strategy) => {
    const url = server.url(behaviour, name);
    const full = await bench.import(url, claim, { preallocation: true });
    expect(full).toMatchObject({ detail: '', sha256: expected, report: { strategy } });
    expect(full.report?.allocatedBytes).toBeGreaterThanOrEqual(claim);
    const sparse = await bench.import(url, claim);
    expect(sparse).toMatchObject({ detail: '', sha256: expected });
    expect(sparse.report?.allocatedBytes).toBeLessThan(claim / 2);
    expect(full.report?.contentDigest).toBe(sparse.report?.contentDigest);
  });

  test('a blank disk is allocated and reads as zeros', async () => {
    const ending = await bench.import('', claim, { source: { kind: 'blank' }, preallocation: true });
    expect(ending.report?.allocatedBytes).toBeGreaterThanOrEqual(claim);
    expect(ending.sha256).toBe(createHash('sha256').update(Buffer.alloc(claim)).digest('hex'));
  });

  test('an upload that is converted is allocated', async () => {
    const staging = await bench.staging(claim);
    const run = (async () => {
      await receiveUpload(Readable.from([qcow2]), { staging, sizeBytes: claim, preallocation: true }, bench.hooks());
      return convertReceived({ sizeBytes: claim, preallocation: true }, staging, bench.hooks());
    })();
    const ending = await bench.endingOf(run, staging);
    expect(ending).toMatchObject({ detail: '', sha256: expected });
    expect(ending.report?.allocatedBytes).toBeGreaterThanOrEqual(claim);
  });
});
