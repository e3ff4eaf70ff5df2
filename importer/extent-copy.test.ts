// What qemu-img says where an image's content lies is not believed: maps that are wrong, endless or cut off, and readers that fail.
import { chmod, readdir, readFile, readlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Fault } from '../domain/fault.ts';
import { loadConfig } from '../runtime/config.ts';
import { findPrograms, Programs } from '../runtime/programs.ts';
import { populatingVolume, TemporaryPool } from '../test/temporary-pool.ts';
import { DiskWriter } from '../volumes/disk-writer.ts';
import { QemuImg } from '../volumes/qemu-img.ts';
import type { Staging } from '../volumes/staging.ts';
import { copyExtents, findPlainExtents, type PlainExtent } from './extent-copy.ts';
import { keptPiece, type RandomReader } from './nbd/random-reader.ts';

const mib = 1_048_576;
const totalBytes = 64 * mib;
const cancelled = new Fault('Cancelled', 'the test wants no more');
let home: TemporaryPool;
let staging: Staging;
let stop: AbortController;

beforeEach(async () => {
  home = await TemporaryPool.make();
  await chmod(home.root, 0o711);
  const pool = await home.open();
  staging = await pool.openStaging(await populatingVolume(pool, 64 * mib), 1);
  stop = new AbortController();
});

afterEach(async () => {
  expect((await readdir(staging.directory)).filter((name) => !['children.json', 'disk.img'].includes(name))).toEqual(
    [],
  );
  expect(await openFiles()).toEqual([]);
  for (const pid of await adopted()) expect(() => process.kill(pid, 0)).toThrow('ESRCH');
  await staging.discard();
  await home[Symbol.asyncDispose]();
});

async function descriptors(): Promise<string[]> {
  const names = await readdir('/proc/self/fd');
  return Promise.all(names.map((name) => readlink(`/proc/self/fd/${name}`).catch(() => '')));
}

/** Files of the test that this process has open. */
async function openFiles(): Promise<string[]> {
  return (await descriptors()).filter((link) => link.startsWith(staging.directory));
}

/** What it reads from its children, among others. */
async function openSockets(): Promise<string[]> {
  return (await descriptors()).filter((link) => link.startsWith('socket:'));
}

async function adopted(): Promise<number[]> {
  const file = await readFile(join(staging.directory, 'children.json'), 'utf8').catch(() => '{"children":[]}');
  return JSON.parse(file).children.map(({ pid }: { pid: number }) => pid);
}

/** A reader whose content tells its place: each byte is the number of its MiB. */
function countingReader() {
  const prepared: number[] = [];
  const reader: RandomReader = {
    prepare: (offset) => {
      prepared.push(offset);
      return true;
    },
    read: async function* (offset, length) {
      yield keptPiece(Buffer.alloc(length, Math.floor(offset / mib)));
    },
  };
  return { prepared, reader };
}

function failingReader(): RandomReader {
  return {
    prepare: () => true,
    // biome-ignore lint/correctness/useYield: it fails before
    read: async function* () {
      throw new Fault('SourceChanged', 'it changed');
    },
  };
}

interface Line {
  start: number;
  length: number;
  offset?: number | string;
}

const lineOf = ({ start, length, offset }: Line): string =>
  `{ "start": ${start}, "length": ${length}, "depth": 0, "present": true, "zero": ${offset === undefined}, "data": ${offset !== undefined}, "compressed": false${offset === undefined ? '' : `, "offset": ${offset}`}},`;

/** Of a program in place of qemu-img that says this; then it ends, or stays. */
async function scripted(lines: readonly Line[], end = 'exit 0'): Promise<{ qemuImg: QemuImg }> {
  const said = join(home.root, 'said');
  await writeFile(said, `[${lines.map(lineOf).join('\n')}\n]\n`, { mode: 0o644 });
  const program = join(home.root, 'qemu-img');
  await writeFile(program, `#!/bin/sh\ncat ${said}\n${end}\n`, { mode: 0o755 });
  return { qemuImg: new QemuImg({ programs: new Programs(new Map([['qemu-img', program]])), config: loadConfig({}) }) };
}

async function find(lines: readonly Line[], end?: string): Promise<PlainExtent[] | undefined> {
  const { reader } = countingReader();
  const source = { reader, format: 'qcow2' as const, signal: stop.signal, totalBytes };
  return findPlainExtents(source, staging, await scripted(lines, end));
}

/** So many extents of that length, one after the other in the disk. */
function inOrder(count: number, length: number, offset?: number): Line[] {
  return Array.from({ length: count }, (_, index) => ({
    start: index * length,
    length,
    ...(offset === undefined ? {} : { offset }),
  }));
}

describe('what qemu-img maps', () => {
  test('is the data in order, and its child is known to the staging', async () => {
    const found = await find([
      { start: 0, length: mib },
      { start: mib, length: mib, offset: 3 * mib },
      { start: 4 * mib, length: 512, offset: totalBytes - 512 },
    ]);
    expect(found).toEqual([
      { start: mib, length: mib, offset: 3 * mib },
      { start: 4 * mib, length: 512, offset: totalBytes - 512 },
    ]);
    expect(await adopted()).toHaveLength(1);
  });

  test.each<[string, string, Line[]]>([
    ['that overlaps what it said before', 'ConversionFailed', [...inOrder(2, mib, 0), { start: mib, length: mib }]],
    ['that goes back', 'ConversionFailed', [{ start: 8 * mib, length: mib, offset: 0 }, ...inOrder(1, mib, 0)]],
    ['that is empty', 'ConversionFailed', [{ start: 0, length: 0, offset: 0 }]],
    ['that is longer than a number', 'ConversionFailed', [{ start: 2 ** 53, length: 512 }]],
    ['that begins beyond the end of the file', 'CorruptImage', inOrder(1, 512, totalBytes)],
    ['that ends one byte beyond the end of the file', 'CorruptImage', inOrder(1, 512, totalBytes - 511)],
  ])('%s is %s', async (_name, code, lines) => {
    await expect(find(lines)).rejects.toMatchObject({ code });
  });

  test.each<[string, Line[]]>([
    ['65,537 extents', inOrder(65_537, 65_536, mib)],
    ['65,537 extents of zeros', inOrder(65_537, 65_536)],
    ['many short extents', inOrder(1025, 32_768, mib)],
  ])('in %s is for qemu-img to convert', async (_name, lines) => {
    // The program goes on talking: nobody waits for its end.
    expect(await find(lines, lines.length > 65_536 ? 'exec sleep 600' : 'exit 0')).toBeUndefined();
  });

  test('in as many pieces as are taken, or a few short ones, is copied', async () => {
    expect(await find(inOrder(65_536, 65_536, mib))).toHaveLength(65_536);
    expect(await find(inOrder(1024, 512, mib))).toHaveLength(1024);
  });

  test('is given up with the abort while the program stays', async () => {
    const finding = find(inOrder(1, mib, 0), 'exec sleep 600');
    finding.catch(() => undefined); // expected below
    await vi.waitFor(async () => expect(await adopted()).toHaveLength(1));
    stop.abort(cancelled);
    await expect(finding).rejects.toBe(cancelled);
  });

  test('is not asked for after the abort', async () => {
    stop.abort(cancelled);
    await expect(find(inOrder(1, mib, 0))).rejects.toBe(cancelled);
  });

  test('is not waited for where the attempt has lost its volume', async () => {
    await staging.end(new Fault('StaleAttempt', 'another has it'));
    await expect(find(inOrder(1, mib, 0), 'exec sleep 600')).rejects.toMatchObject({ code: 'StaleAttempt' });
  });

  async function mapOf(lines: readonly Line[], onSpawn: () => Promise<void>) {
    const { qemuImg } = await scripted(lines);
    await writeFile(staging.diskPath, '');
    const ended = async (pid: number) => {
      await vi.waitFor(() => expect(() => process.kill(pid, 0)).toThrow('ESRCH'));
      await onSpawn();
    };
    const source = { path: staging.diskPath };
    return qemuImg.map({ source, format: 'qcow2', signal: stop.signal, onSpawn: ended });
  }

  test('does not fail before who was told of its child has done what that takes', async () => {
    let done = false;
    const map = await mapOf([{ start: 2 ** 53, length: 512 }], async () => {
      for (let turn = 0; turn < 50; turn += 1) await nextTurn();
      done = true;
    });
    await expect(map.next()).rejects.toMatchObject({ code: 'ConversionFailed' });
    expect(done).toBe(true);
  });

  test('is let go where its child is refused after it has spoken', async () => {
    const before = await openSockets();
    const map = await mapOf(inOrder(1000, 512), async () => {
      throw new Fault('StaleAttempt', 'another has it');
    });
    await expect(map.next()).rejects.toMatchObject({ code: 'StaleAttempt' });
    await expect.poll(openSockets).toEqual(before);
  });

  test('fails with what the reader fails with', async () => {
    const qemuImg = new QemuImg({ programs: findPrograms(['qemu-img']), config: loadConfig({}) });
    const source = { reader: failingReader(), format: 'qcow2' as const, signal: stop.signal, totalBytes };
    await expect(findPlainExtents(source, staging, { qemuImg })).rejects.toMatchObject({ code: 'SourceChanged' });
  });
});

describe('the copy', () => {
  const openWriter = () => DiskWriter.open(staging.diskPath, { capBytes: 64 * mib, preallocation: false });
  const options = () => ({ signal: stop.signal, onCopied: () => undefined });

  test('puts each extent in its place and prepares each once, those that are near', async () => {
    const { prepared, reader } = countingReader();
    const places = Array.from({ length: 48 }, (_, index) => index);
    const extents = places.map((index) => ({ start: index * mib, length: 4096, offset: (63 - index) * mib }));
    const writer = await openWriter();
    await copyExtents(extents, reader, writer, options());
    await writer.finish(64 * mib);
    const disk = await readFile(staging.diskPath);
    for (const index of places) expect(disk[index * mib + 4095]).toBe(63 - index);
    expect(disk[4096]).toBe(0);
    expect(prepared).toEqual(places.slice(1).map((index) => (63 - index) * mib));
  });

  test('prepares each of 65,000 extents once', async () => {
    const { prepared, reader } = countingReader();
    const extents = Array.from({ length: 65_000 }, (_, index) => ({ start: index * 512, length: 512, offset: mib }));
    const writer = await openWriter();
    await copyExtents(extents, reader, writer, options());
    await writer.finish(64 * mib);
    expect(prepared).toHaveLength(64_999);
  });

  test('asks again for what the reader had no memory for', async () => {
    const asked: number[] = [];
    const reader = { ...countingReader().reader, prepare: (offset: number) => asked.push(offset) > 2 };
    const extents = [0, 1, 2, 3].map((index) => ({ start: index * mib, length: mib, offset: index * mib }));
    const writer = await openWriter();
    await copyExtents(extents, reader, writer, options());
    await writer.finish(64 * mib);
    expect(asked).toEqual([mib, 2 * mib, 3 * mib]);
  });

  test.each(['a reader that fails', 'an abort', 'an extent beyond the volume'])('ends with %s', async (name) => {
    const good = countingReader().reader;
    const reader: RandomReader = {
      prepare: () => true,
      read: async function* (offset, length) {
        if (offset === mib && name === 'a reader that fails') throw new Fault('SourceChanged', 'it changed');
        if (offset === mib && name === 'an abort') stop.abort(cancelled);
        yield* good.read(offset, length);
      },
    };
    const far = { start: 64 * mib, length: 512, offset: 2 * mib };
    const extents = [{ start: 0, length: mib, offset: 0 }, { start: mib, length: mib, offset: mib }, far];
    const writer = await openWriter();
    const copying = copyExtents(extents, reader, writer, options());
    const ends = { 'a reader that fails': 'SourceChanged', 'an extent beyond the volume': 'ImageTooLarge' };
    if (name === 'an abort') await expect(copying).rejects.toThrow();
    else await expect(copying).rejects.toMatchObject({ code: ends[name as keyof typeof ends] }); // one of the names above
    writer.destroy();
    await vi.waitFor(async () => expect(await openFiles()).toEqual([]));
  });
});
