// The child that unpacks clusters is not believed and not waited for: what ends it, what it may do, and what is left when the copy ends early.
import { randomBytes } from 'node:crypto';
import { readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { deflateRawSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Fault } from '../../domain/fault.ts';
import { loadConfig } from '../../runtime/config.ts';
import { populatingVolume, TemporaryPool } from '../../test/temporary-pool.ts';
import { DiskWriter } from '../../volumes/disk-writer.ts';
import type { Staging } from '../../volumes/staging.ts';
import type { DiskPiece } from '../image/qcow2-pieces.ts';
import { keptPiece, type RandomReader } from '../nbd/random-reader.ts';
import { ClusterUnpacker, type PackedPiece } from './cluster-unpacker.ts';
import { copyPacked } from './copy-packed.ts';

const mib = 1_048_576;
const clusterBytes = 65_536;
const clustersOfPiece = 32;
const cluster = Buffer.concat([randomBytes(20_000), Buffer.alloc(clusterBytes - 20_000, 'and words, ')]);
const packed = deflateRawSync(cluster, { windowBits: 12 });
const cancelled = new Fault('Cancelled', 'the test wants no more');
let home: TemporaryPool;
let staging: Staging;
let stop: AbortController;

beforeEach(async () => {
  home = await TemporaryPool.make();
  const pool = await home.open();
  staging = await pool.openStaging(await populatingVolume(pool, 64 * mib), 1);
  stop = new AbortController();
});

afterEach(async () => {
  const left = await readdir(staging.directory);
  expect(left.filter((name) => !['children.json', 'disk.img'].includes(name))).toEqual([]);
  for (const pid of await adopted()) expect(() => process.kill(pid, 0)).toThrow('ESRCH');
  await expect.poll(openFiles).toEqual([]);
  await staging.discard();
  await home[Symbol.asyncDispose]();
});

/** Files of the test that this process has open. */
async function openFiles(): Promise<string[]> {
  const names = await readdir('/proc/self/fd');
  const links = await Promise.all(names.map((name) => readlink(`/proc/self/fd/${name}`).catch(() => '')));
  return links.filter((link) => link.startsWith(staging.directory));
}

async function adopted(): Promise<number[]> {
  const file = await readFile(join(staging.directory, 'children.json'), 'utf8').catch(() => '{"children":[]}');
  return JSON.parse(file).children.map(({ pid }: { pid: number }) => pid);
}

/** The pid of the child, once it is there. */
function pidOfChild(): Promise<number> {
  return vi.waitFor(async () => {
    const [pid] = await adopted();
    if (pid === undefined) throw new Error('there is no child yet');
    return pid;
  });
}

/** In the file the same bytes for each; the place tells the number of the piece. */
function pieceOf(index: number, clusters = clustersOfPiece): PackedPiece {
  return {
    start: index * clusters * clusterBytes,
    length: clusters * clusterBytes,
    offset: index * mib,
    bytes: packed.byteLength,
    packed: Array.from({ length: clusters }, () => ({ at: 0, bytes: packed.byteLength })),
  };
}

const goodReader: RandomReader = {
  prepare: () => true,
  read: async function* () {
    yield keptPiece(packed);
  },
};

function imageOf(pieces: readonly DiskPiece[]) {
  const each = async function* (): AsyncGenerator<DiskPiece, void, undefined> {
    yield* pieces;
  };
  return { compression: 'zlib' as const, clusterBytes, pieces: each };
}

async function copy(
  pieces: readonly DiskPiece[],
  more: { reader?: RandomReader; capBytes?: number; toolCpuSeconds?: number } = {},
): Promise<Buffer> {
  const { reader = goodReader, capBytes = 64 * mib, ...config } = more;
  const writer = await DiskWriter.open(staging.diskPath, { capBytes, preallocation: false });
  const hooks = { config: { ...loadConfig({}), ...config } };
  try {
    const options = { reader, staging, hooks, signal: stop.signal, onCopied: () => undefined };
    await copyPacked(imageOf(pieces), writer, options);
    await writer.finish(capBytes);
  } finally {
    await writer.leave();
  }
  return readFile(staging.diskPath);
}

/** Gives the first pieces and then nothing, ever. */
function stallingReader(after: number): RandomReader {
  return {
    prepare: () => true,
    read: async function* (offset) {
      if (offset >= after * mib) await new Promise(() => undefined);
      yield keptPiece(packed);
    },
  };
}

const many = Array.from({ length: 16 }, (_, index) => pieceOf(index));

describe('the copy of packed clusters', () => {
  test('puts each in its place, and zeros between', async () => {
    const plain = { start: 40 * clusterBytes, length: packed.byteLength, offset: 0, bytes: packed.byteLength };
    const late = { ...pieceOf(2), start: 64 * clusterBytes, length: 31 * clusterBytes + 512 };
    const disk = await copy([pieceOf(0), plain, late]);
    const expected = Buffer.alloc(64 * mib);
    for (let index = 0; index < 32; index += 1) cluster.copy(expected, index * clusterBytes);
    packed.copy(expected, plain.start);
    for (let index = 64; index < 95; index += 1) cluster.copy(expected, index * clusterBytes);
    cluster.copy(expected, 95 * clusterBytes, 0, 512);
    expect(disk.equals(expected)).toBe(true);
  });

  test('fails with what the reader fails with', async () => {
    const reader: RandomReader = {
      prepare: () => true,
      read: async function* (offset) {
        if (offset === 9 * mib) throw new Fault('SourceChanged', 'it changed');
        yield keptPiece(packed);
      },
    };
    await expect(copy(many, { reader })).rejects.toMatchObject({ code: 'SourceChanged' });
  });

  test('does not wait for a source that has stopped where a cluster is damaged', async () => {
    const damaged = { ...pieceOf(1), packed: [{ at: 0, bytes: 100 }] };
    const copying = copy([pieceOf(0), damaged, ...many.slice(2)], { reader: stallingReader(3) });
    await expect(copying).rejects.toMatchObject({
      code: 'CorruptImage',
      detail: expect.stringContaining('byte 1048576'),
    });
  });

  test('does not wait for it where the volume is too small either', async () => {
    const copying = copy(many, { reader: stallingReader(9), capBytes: 4 * mib });
    await expect(copying).rejects.toMatchObject({ code: 'ImageTooLarge' });
  });

  test('does not wait until its child has taken what is being sent to it', async () => {
    // More than a socket holds.
    const sent = Array.from({ length: 60 }, (_, index) => pieceOf(index));
    await expect(copy(sent, { capBytes: 4 * mib })).rejects.toMatchObject({ code: 'ImageTooLarge' });
  });

  test('ends with the abort, while the source has stopped', async () => {
    const copying = copy(many, { reader: stallingReader(3) });
    copying.catch(() => undefined); // expected below
    await pidOfChild();
    stop.abort(cancelled);
    await expect(copying).rejects.toThrow();
  });

  test('is not begun after the abort, nor by an attempt that has lost its volume', async () => {
    await staging.end(new Fault('StaleAttempt', 'another has it'));
    await expect(copy(many)).rejects.toMatchObject({ code: 'StaleAttempt' });
    stop.abort(cancelled);
    const config = loadConfig({});
    const starting = ClusterUnpacker.start({ compression: 'zlib', clusterBytes, config, signal: stop.signal }, staging);
    await expect(starting).rejects.toBe(cancelled);
  });

  test('ends where its child is killed', async () => {
    const copying = copy(many, { reader: stallingReader(3) });
    copying.catch(() => undefined); // expected below
    process.kill(await pidOfChild(), 'SIGKILL');
    await expect(copying).rejects.toMatchObject({ code: 'OutOfMemory' });
  });

  test('ends where its child takes more CPU time than it may', async () => {
    const endless = Array.from({ length: 4000 }, (_, index) => pieceOf(index));
    await expect(copy(endless, { toolCpuSeconds: 1, capBytes: 2 ** 40 })).rejects.toMatchObject({ code: 'TimedOut' });
  });
});

describe('the child', () => {
  const start = () =>
    ClusterUnpacker.start({ compression: 'zlib', clusterBytes, config: loadConfig({}), signal: stop.signal }, staging);

  test('has no rights, no files of ours and no network, and its memory is limited', async () => {
    await using unpacker = await start();
    await unpacker.send(pieceOf(0), packed);
    for await (const part of unpacker.clustersOf(pieceOf(0))) expect(part.byteLength).toBeGreaterThan(0);
    const [pid] = await adopted();
    const of = (name: string): Promise<string> => readFile(`/proc/${pid}/${name}`, 'latin1');
    const status = await of('status');
    expect(status).toMatch(/^NoNewPrivs:\s*1$/m);
    expect(await of('limits')).toMatch(/^Max address space\s+1744830464\s/m);
    expect(
      (await of('environ'))
        .split('\0')
        .filter(Boolean)
        .map((row) => row.split('=')[0]),
    ).toEqual(['PATH', 'LC_ALL', 'MALLOC_ARENA_MAX']);
    if (process.geteuid?.() !== 0) return;
    expect(status).toMatch(/^Uid:\s*107\s+107\s/m);
    expect(status).toMatch(/^CapEff:\s*0+$/m);
    expect((await of('net/dev')).split('\n').filter((line) => line.includes(':'))).toHaveLength(1);
  });

  test('takes no more memory for images of any size', async () => {
    await using unpacker = await start();
    const [pid] = await adopted();
    const peaks: number[] = [];
    for (let round = 0; round < 40; round += 1) {
      const sending = unpacker.send(pieceOf(round, 64), packed);
      for await (const part of unpacker.clustersOf(pieceOf(round, 64))) expect(part.byteLength).toBeGreaterThan(0);
      await sending;
      peaks.push(Number(/^VmHWM:\s*(\d+)/m.exec(await readFile(`/proc/${pid}/status`, 'latin1'))?.[1]) / 1024);
    }
    expect(Math.max(...peaks)).toBeLessThan(120);
  });
});
