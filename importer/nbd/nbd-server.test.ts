import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, open, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Fault } from '../../domain/fault.ts';
import { GrowingFile } from './growing-file.ts';
import { NbdServer } from './nbd-server.ts';
import { RangeReader } from './range-reader.ts';

const run = promisify(execFile);
const mib = 1_048_576;
let work: string;
let rawPath: string;
let imagePath: string;

beforeEach(async () => {
  work = await mkdtemp(join(tmpdir(), 'longshore-nbd-'));
  rawPath = join(work, 'disk.raw');
  imagePath = join(work, 'disk.qcow2');
  const disk = Buffer.alloc(40 * mib);
  randomBytes(18 * mib).copy(disk, mib);
  randomBytes(3 * mib).copy(disk, 30 * mib);
  await writeFile(rawPath, disk);
  await run('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', rawPath, imagePath]);
});

afterEach(() => rm(work, { recursive: true }));

/** A reader over a local file that counts what was fetched. */
async function rangesOf(path: string, totalBytes: number) {
  const file = await open(path, 'r');
  let fetched = 0;
  async function fill(start: number, memory: Buffer, onFilled: (bytes: number) => void): Promise<void> {
    for (let at = 0; at < memory.byteLength; at += 100_000) {
      const piece = memory.subarray(at, at + 100_000);
      await file.read(piece, 0, piece.byteLength, start + at);
      fetched += piece.byteLength;
      onFilled(piece.byteLength);
    }
  }
  const head = Buffer.alloc(65_536);
  await file.read(head, 0, head.byteLength, 0);
  const reader = new RangeReader({ totalBytes, head, parts: [], fill });
  return { reader, fetched: () => fetched, close: () => file.close() };
}

async function sizeOf(path: string): Promise<number> {
  const file = await open(path, 'r');
  const { size } = await file.stat();
  await file.close();
  return size;
}

function urlOf(server: NbdServer): string {
  return `nbd+unix:///?socket=${server.socketPath}`;
}

describe('the NBD server', () => {
  test('shows a qcow2 by ranges so that qemu-img finds it right and equal, and fetches hardly anything twice', async () => {
    const total = await sizeOf(imagePath);
    const ranges = await rangesOf(imagePath, total);
    const server = await NbdServer.listen(join(work, 'nbd'), ranges.reader);
    const info = JSON.parse((await run('qemu-img', ['info', '--output=json', '-f', 'qcow2', urlOf(server)])).stdout);
    expect(info['virtual-size']).toBe(40 * mib);
    const compared = await run('qemu-img', ['compare', '-f', 'raw', '-F', 'qcow2', rawPath, urlOf(server)]);
    expect(compared.stdout).toContain('identical');
    expect(ranges.fetched()).toBeLessThan(total * 1.2);
    await server.close();
    await ranges.reader.close();
    await ranges.close();
    expect(await readdir(work)).toEqual(['disk.qcow2', 'disk.raw']);
  });

  test('lets qemu-img read a file that still grows', async () => {
    const total = await sizeOf(imagePath);
    const growing = await GrowingFile.open(imagePath, false);
    const server = await NbdServer.listen(join(work, 'nbd'), growing);
    const comparing = run('qemu-img', ['compare', '-f', 'raw', '-F', 'qcow2', rawPath, urlOf(server)]);
    for (let at = 0; at < total; at += 4 * mib) {
      growing.grow(Math.min(at, total));
      await new Promise((resolve) => setImmediate(resolve));
    }
    growing.grow(total);
    growing.end();
    expect((await comparing).stdout).toContain('identical');
    await server.close();
    await growing.close();
  });

  test('what lies beyond the end is CorruptImage, not zeros', async () => {
    const cut = (await sizeOf(imagePath)) - 2 * mib;
    const ranges = await rangesOf(imagePath, cut);
    const server = await NbdServer.listen(join(work, 'nbd'), ranges.reader);
    const target = join(work, 'out.raw');
    await expect(run('qemu-img', ['convert', '-f', 'qcow2', '-O', 'raw', urlOf(server), target])).rejects.toThrow();
    expect(server.failed.reason).toMatchObject({ code: 'CorruptImage' });
    await server.close();
    await ranges.reader.close();
    await ranges.close();
  });

  test('what the source fails with is kept as the reason', async () => {
    const failing = new RangeReader({
      totalBytes: 100 * mib,
      head: Buffer.alloc(0),
      parts: [],
      fill: async () => {
        throw new Fault('SourceChanged', 'it changed');
      },
    });
    const server = await NbdServer.listen(join(work, 'nbd'), failing);
    await expect(run('qemu-img', ['info', '-f', 'qcow2', urlOf(server)])).rejects.toThrow();
    expect(server.failed.reason).toMatchObject({ code: 'SourceChanged' });
    await server.close();
  });
});
