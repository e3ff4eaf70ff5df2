import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, stat, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { hashBlock, TreeHasher } from '../domain/digest.ts';
import { AlignedMemory } from './aligned-memory.ts';
import { contentDigestOfFile, sha256OfFile } from './content-digest.ts';
import { DiskWriter } from './disk-writer.ts';

const mib = 1024 * 1024;
const { signal } = new AbortController();
const plain = { preallocation: false };

class Place {
  readonly root: string;
  constructor(root: string) {
    this.root = root;
  }
  static async make(parent = tmpdir()): Promise<Place> {
    return new Place(await mkdtemp(join(parent, 'longshore-disk-')));
  }
  get disk(): string {
    return join(this.root, 'disk.img');
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.root, { recursive: true, force: true });
  }
}

function* inChunks(bytes: Buffer, size: number): Generator<Buffer> {
  for (let from = 0; from < bytes.byteLength; from += size) yield bytes.subarray(from, from + size);
}

/** The digest as its specification says it, from memory. */
function digestOf(content: Buffer): string {
  const tree = new TreeHasher();
  for (const block of inChunks(content, mib)) tree.addLeaf(hashBlock(block));
  return tree.finish(content.byteLength);
}

/** As another writer would take it, at the first moment when it may. */
async function takeAgain(memory: AlignedMemory): Promise<AlignedMemory> {
  for (;;) {
    const taken = AlignedMemory.take(memory.blocks.length);
    if (taken.whole.buffer === memory.whole.buffer) return taken;
    taken.giveBack();
    await nextTurn();
  }
}

/** Data, a long hole, data that begins and ends within blocks, short stretches of zeros. */
function sparseContent(): Buffer {
  return Buffer.concat([
    randomBytes(mib + 12_345),
    Buffer.alloc(5 * mib),
    randomBytes(100_000),
    Buffer.alloc(200_000),
    randomBytes(77),
  ]);
}

describe('writing', () => {
  test.each([1000, 65_536, mib, 3 * mib + 1])('chunks of %i bytes give the same disk and digest', async (size) => {
    await using place = await Place.make();
    const content = sparseContent();
    const sizeBytes = 16 * mib;
    const writer = await DiskWriter.open(place.disk, { capBytes: sizeBytes, ...plain });
    await pipeline(Readable.from(inChunks(content, size)), writer);
    expect(writer.bytesWritten).toBe(content.byteLength);
    const { contentDigest, allocatedBytes } = await writer.finish(sizeBytes);
    const whole = Buffer.concat([content, Buffer.alloc(sizeBytes - content.byteLength)]);
    expect((await readFile(place.disk)).equals(whole)).toBe(true);
    expect(contentDigest).toBe(digestOf(whole));
    expect(allocatedBytes).toBeLessThan(2 * mib);
    expect((await stat(place.disk)).blocks * 512).toBe(allocatedBytes);
  });

  test.each([1, 65_536, mib, 4 * mib + 65_536])('%i bytes that are skipped are zeros', async (skipped) => {
    await using place = await Place.make();
    const content = [randomBytes(mib + 4096), Buffer.alloc(skipped), randomBytes(700_000), Buffer.alloc(skipped)];
    const sizeBytes = 16 * mib;
    const writer = await DiskWriter.open(place.disk, { capBytes: sizeBytes, ...plain });
    const parts = async function* (): AsyncGenerator<Buffer> {
      for (const part of content) {
        if (part.byteLength === skipped) await writer.skip(skipped);
        else yield part;
      }
    };
    await pipeline(parts, writer);
    const { contentDigest, allocatedBytes } = await writer.finish(sizeBytes);
    const whole = Buffer.concat([...content, Buffer.alloc(sizeBytes)]).subarray(0, sizeBytes);
    expect((await readFile(place.disk)).equals(whole)).toBe(true);
    expect(contentDigest).toBe(digestOf(whole));
    expect(allocatedBytes).toBeLessThan(2 * mib);
  });

  test('zeros beyond the cap are ImageTooLarge, too', async () => {
    await using place = await Place.make();
    const writer = await DiskWriter.open(place.disk, { capBytes: 4 * mib, ...plain });
    await expect(writer.skip(4 * mib + 1)).rejects.toMatchObject({ code: 'ImageTooLarge' });
    writer.destroy();
    await once(writer, 'close');
  });

  test.each([0, 1, 511, 4097, mib - 1, mib, mib + 1])(
    'a disk of %i bytes has that length to the byte',
    async (size) => {
      await using place = await Place.make();
      const content = randomBytes(size);
      const writer = await DiskWriter.open(place.disk, { capBytes: size, ...plain });
      await pipeline(Readable.from(inChunks(content, 100_000)), writer);
      const { contentDigest } = await writer.finish(size);
      expect((await readFile(place.disk)).equals(content)).toBe(true);
      expect(contentDigest).toBe(digestOf(content));
      expect(await contentDigestOfFile(place.disk, { signal })).toMatchObject({ contentDigest, sizeBytes: size });
    },
  );

  test('one byte more than the cap is ImageTooLarge and names both sizes', async () => {
    await using place = await Place.make();
    const writer = await DiskWriter.open(place.disk, { capBytes: 3 * mib, ...plain });
    const tooMuch = Readable.from(inChunks(randomBytes(3 * mib + 1), 65_536));
    await expect(pipeline(tooMuch, writer)).rejects.toMatchObject({
      code: 'ImageTooLarge',
      facts: { volumeBytes: 3 * mib, imageBytes: 3 * mib + 1 },
    });
    await expect.poll(() => openDescriptorsOf(place.disk)).toBe(0);
    expect((await stat(place.disk)).size).toBeLessThanOrEqual(3 * mib);
  });

  test('an aborted stream leaves the file closed, within its directory only', async () => {
    await using place = await Place.make();
    const stop = new AbortController();
    const writer = await DiskWriter.open(place.disk, { capBytes: 64 * mib, ...plain });
    const endless = async function* () {
      for (let round = 0; ; round += 1) {
        if (round === 40) stop.abort();
        yield randomBytes(100_000);
      }
    };
    await expect(pipeline(Readable.from(endless()), writer, { signal: stop.signal })).rejects.toThrow();
    await expect.poll(() => openDescriptorsOf(place.disk)).toBe(0);
    expect(await readdir(place.root)).toEqual(['disk.img']);
  });

  test('a destroyed writer leaves its memory alone, in the middle of a write and of zeros too', async () => {
    await using place = await Place.make();
    const memory = AlignedMemory.take(8);
    memory.giveBack();
    const writer = await DiskWriter.open(place.disk, { capBytes: 64 * mib, ...plain });
    writer.on('error', () => undefined); // it was destroyed while it was written to
    writer.write(randomBytes(32 * mib));
    writer.destroy();
    const next = await takeAgain(memory);
    next.whole.fill(0xab);
    await once(writer, 'close');
    expect(next.whole.equals(Buffer.alloc(8 * mib, 0xab))).toBe(true);
    await expect(writer.skip(4096)).rejects.toMatchObject({ code: 'Cancelled' });
    next.giveBack();
  });

  test('a file that is there already is not overwritten', async () => {
    await using place = await Place.make();
    const writer = await DiskWriter.open(place.disk, { capBytes: 10, ...plain });
    await pipeline(Readable.from([Buffer.from('first')]), writer);
    await writer.finish(10);
    await expect(DiskWriter.open(place.disk, { capBytes: 10, ...plain })).rejects.toMatchObject({ code: 'Internal' });
    expect((await readFile(place.disk, 'utf8')).slice(0, 5)).toBe('first');
  });

  test('finishing before the end of the bytes is refused', async () => {
    await using place = await Place.make();
    const writer = await DiskWriter.open(place.disk, { capBytes: 10, ...plain });
    writer.write(Buffer.from('x'));
    await expect(writer.finish(10)).rejects.toMatchObject({ code: 'Internal' });
    expect(openDescriptorsOf(place.disk)).toBe(0);
  });

  test('preallocation allocates every block, zeros too', async () => {
    await using place = await Place.make();
    const writer = await DiskWriter.open(place.disk, { capBytes: 8 * mib, preallocation: true });
    await pipeline(Readable.from([randomBytes(mib), Buffer.alloc(2 * mib)]), writer);
    const { allocatedBytes } = await writer.finish(8 * mib);
    expect(allocatedBytes).toBeGreaterThanOrEqual(8 * mib);
    expect((await stat(place.disk)).size).toBe(8 * mib);
  });
});

const root = process.geteuid?.() === 0;

describe.skipIf(!root)('on a full file system (needs root for a mount of its own)', () => {
  test.each([
    ['tmpfs', (place: string) => mountTmpfs(place)],
    ['ext4 on a loop device', (place: string) => mountExt4(place)],
  ])('%s: NoSpace, and the descriptor is closed', async (_name, mount) => {
    await using place = await Place.make();
    const unmount = mount(place.root);
    try {
      const disk = join(place.root, 'small', 'disk.img');
      const writer = await DiskWriter.open(disk, { capBytes: 64 * mib, ...plain });
      const content = Readable.from(inChunks(randomBytes(32 * mib), 65_536));
      await expect(pipeline(content, writer)).rejects.toMatchObject({ code: 'NoSpace' });
      await expect.poll(() => openDescriptorsOf(disk)).toBe(0);
      await rm(disk);
      const preallocated = DiskWriter.open(disk, { capBytes: 64 * mib, preallocation: true });
      await expect(preallocated).rejects.toMatchObject({ code: 'NoSpace' });
      expect(openDescriptorsOf(disk)).toBe(0);
    } finally {
      unmount();
    }
  });

  test('tmpfs: a disk that fits is right, with direct I/O or without', async () => {
    await using place = await Place.make();
    const unmount = mountTmpfs(place.root);
    try {
      const disk = join(place.root, 'small', 'disk.img');
      const writer = await DiskWriter.open(disk, { capBytes: 8 * mib, ...plain });
      const content = sparseContent();
      await pipeline(Readable.from(inChunks(content, 65_536)), writer);
      const { contentDigest } = await writer.finish(8 * mib);
      expect(await contentDigestOfFile(disk, { signal })).toMatchObject({ contentDigest, sizeBytes: 8 * mib });
    } finally {
      unmount();
    }
  });
});

describe('digests of files', () => {
  test('the plain sha256 counts holes as zeros', async () => {
    await using place = await Place.make();
    const writer = await DiskWriter.open(place.disk, { capBytes: 8 * mib, ...plain });
    await pipeline(Readable.from([sparseContent()]), writer);
    await writer.finish(8 * mib);
    const independent = execFileSync('sha256sum', [place.disk], { encoding: 'utf8' }).slice(0, 64);
    expect(await sha256OfFile(place.disk, { signal })).toBe(`sha256:${independent}`);
  });

  test('a disk of 20 TB with one block of data costs by the data', async () => {
    await using place = await Place.make();
    const writer = await DiskWriter.open(place.disk, { capBytes: mib, ...plain });
    await pipeline(Readable.from([randomBytes(mib)]), writer);
    await writer.finish(mib);
    const sizeBytes = 12 * 1024 ** 4; // ext4 ends at 16 TiB
    await truncate(place.disk, sizeBytes);
    const digest = await contentDigestOfFile(place.disk, { signal });
    expect(digest).toMatchObject({ sizeBytes, allocatedBytes: mib });
    const tree = new TreeHasher();
    tree.addLeaf(hashBlock((await readStart(place.disk)).subarray(0, mib)));
    expect(digest.contentDigest).toBe(tree.finish(sizeBytes));
  });

  test('a missing file, and an abort, are told as faults', async () => {
    await using place = await Place.make();
    await expect(contentDigestOfFile(place.disk, { signal })).rejects.toMatchObject({ name: 'Fault' });
    await expect(sha256OfFile(place.disk, { signal })).rejects.toMatchObject({ name: 'Fault' });
    const writer = await DiskWriter.open(place.disk, { capBytes: 8 * mib, ...plain });
    await pipeline(Readable.from([randomBytes(8 * mib)]), writer);
    await writer.finish(8 * mib);
    const aborted = AbortSignal.abort();
    await expect(contentDigestOfFile(place.disk, { signal: aborted })).rejects.toMatchObject({ code: 'Cancelled' });
    await expect(sha256OfFile(place.disk, { signal: aborted })).rejects.toMatchObject({ code: 'Cancelled' });
  });
});

async function readStart(path: string): Promise<Buffer> {
  return execFileSync('head', ['-c', String(mib), path], { maxBuffer: 2 * mib });
}

function openDescriptorsOf(path: string): number {
  const list = execFileSync('sh', ['-c', `ls -l /proc/${process.pid}/fd || true`], { encoding: 'utf8' });
  return list.split('\n').filter((line) => line.endsWith(path)).length;
}

function mountTmpfs(place: string): () => void {
  const target = join(place, 'small');
  execFileSync('mkdir', [target]);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', target]);
  return () => execFileSync('umount', [target]);
}

function mountExt4(place: string): () => void {
  const [image, target] = [join(place, 'ext4.img'), join(place, 'small')];
  execFileSync('mkdir', [target]);
  execFileSync('truncate', ['-s', '24M', image]);
  execFileSync('mkfs.ext4', ['-q', image], { env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' } });
  execFileSync('mount', ['-o', 'loop', image, target]);
  return () => execFileSync('umount', [target]);
}
