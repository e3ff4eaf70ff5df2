// Writes a stream of bytes as a disk: in order, into a new sparse file, holes where blocks are zero, and makes the contentDigest on the way.
// It writes past the page cache (O_DIRECT) where the file system can, so that dirty pages do not pile up and the last fdatasync is short;
// memory is eight blocks of 1 MiB, whatever the size of the image. A destroyed writer leaves the file as it is: it lies in a staging, which is discarded whole.
import type { FileHandle } from 'node:fs/promises';
import { Writable } from 'node:stream';
import { blockBytes } from '../domain/digest.ts';
import { Fault, toFault } from '../domain/fault.ts';
import { AlignedMemory } from './aligned-memory.ts';
import { BlockHasher, isZero } from './block-hasher.ts';
import { dataRuns } from './data-runs.ts';
import type { DirectFile } from './direct-file.ts';
import { DurableMarks, type DurableMarksOptions } from './durable-marks.ts';
import { openTarget } from './target-file.ts';

export interface DiskWriterOptions {
  /** One byte more is ImageTooLarge. */
  capBytes: number;
  /** Allocate all blocks up to capBytes first. */
  preallocation: boolean;
  /** Told the last sector and the length when all has come, says how many of the bytes are the disk's: a trailer may follow. What it throws is the failure. */
  withoutTrailer?: (lastSector: Buffer, totalBytes: number) => number;
  /** The file is there, and these bytes of it are right, in whole blocks: they are to come once more, and are only hashed. What follows them is cut off. */
  keptBytes?: number;
  marks?: DurableMarksOptions | undefined;
}

export interface WrittenDisk {
  contentDigest: string;
  /** Where the content ended; zeros follow. */
  contentBytes: number;
  allocatedBytes: number;
}

const blocksInFlight = 8;
/** Longest trailer. */
const sectorBytes = 512;
/** Without direct I/O: bytes after which the file is synced in the background. */
const syncEveryBytes = 64 * blockBytes;

export class DiskWriter extends Writable {
  readonly #file: FileHandle;
  readonly #direct: boolean;
  readonly #capBytes: number;
  readonly #withoutTrailer: DiskWriterOptions['withoutTrailer'];
  readonly #keptBytes: number;
  readonly #marks: DurableMarks | undefined;
  readonly #memory = AlignedMemory.take(blocksInFlight);
  readonly #free: Buffer[];
  readonly #hasher = new BlockHasher();
  readonly #running = new Set<Promise<void>>();
  #block: Buffer | undefined;
  #filled = 0;
  #position = 0;
  #bytesWritten = 0;
  #unsynced = 0;
  #syncing: Promise<void> | undefined;
  #failure: Fault | undefined;

  private constructor({ file, direct }: DirectFile, options: DiskWriterOptions) {
    const { capBytes, withoutTrailer, keptBytes = 0, marks } = options;
    // The file stays open until finish(), which the caller owes after the stream has ended well.
    // With a mark of 1 each chunk has been copied before a pipeline asks for the next, so that a source may use its memory again.
    super({ autoDestroy: false, highWaterMark: 1 });
    this.#file = file;
    this.#direct = direct;
    this.#capBytes = capBytes;
    this.#withoutTrailer = withoutTrailer;
    this.#keptBytes = keptBytes;
    this.#marks = marks === undefined ? undefined : new DurableMarks(file, keptBytes, marks);
    this.#free = [...this.#memory.blocks];
  }

  /** @throws Fault NoSpace where preallocation does not fit, or the file is there already */
  static async open(path: string, options: DiskWriterOptions): Promise<DiskWriter> {
    return new DiskWriter(await openTarget(path, options), options);
  }

  /** Bytes taken so far, zeros included. */
  get bytesWritten(): number {
    return this.#bytesWritten;
  }

  /** The next bytes are that many zeros. Only between two writes, when the one before has been taken. */
  async skip(bytes: number): Promise<void> {
    this.#assertNotGivenUp();
    const total = this.#bytesWritten + bytes;
    if (total > this.#capBytes) throw tooLarge(total, this.#capBytes);
    let left = bytes;
    if (this.#block !== undefined) left -= this.#fillZeros(this.#block, left);
    const blocks = Math.floor(left / blockBytes);
    this.#hasher.addZeroBlocks(blocks);
    this.#position += blocks * blockBytes;
    left -= blocks * blockBytes;
    if (left > 0) this.#fillZeros(await this.#nextBlock(), left);
    this.#bytesWritten = total;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#take(chunk).then(
      () => done(),
      (error: Error) => this.#giveUp(error, done),
    );
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#drain().then(
      () => done(),
      (error: Error) => this.#giveUp(error, done),
    );
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#close().then(
      () => done(error),
      (failure: Error) => done(error ?? failure),
    );
  }

  /**
   * After the stream has ended: makes the file `sizeBytes` long, durable, and closes it.
   * @throws Fault ImageTooLarge where more was written, NoSpace
   */
  async finish(sizeBytes: number): Promise<WrittenDisk> {
    try {
      if (!this.writableFinished) throw new Fault('Internal', 'the disk was finished before its bytes had ended');
      if (sizeBytes < this.#bytesWritten) throw tooLarge(this.#bytesWritten, sizeBytes);
      await this.#file.truncate(sizeBytes);
      await this.#file.datasync();
      const { blocks } = await this.#file.stat();
      const contentDigest = await this.#hasher.finish(sizeBytes);
      return { contentDigest, contentBytes: this.#bytesWritten, allocatedBytes: blocks * 512 };
    } catch (error) {
      throw toFault(error);
    } finally {
      this.destroy();
      await this.#close();
    }
  }

  /** What `finish` would tell of a disk of that size, which is none that was asked for before or a larger one; also after it. */
  async digestAt(sizeBytes: number): Promise<string> {
    return await this.#hasher.finish(sizeBytes);
  }

  /** Returns when the file is closed, finished or given up; who destroyed the writer before does not wait for that. */
  async leave(): Promise<void> {
    if (this.closed) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.on('error', () => undefined); // the attempt has its reason already, and discards the file
    this.once('close', () => resolve());
    this.destroy();
    await promise;
  }

  /** A pipeline destroys a writer that failed while it was written to, but not one that failed at its end. */
  #giveUp(error: Error, done: (error: Error) => void): void {
    done(error);
    this.destroy();
  }

  async #take(chunk: Buffer): Promise<void> {
    const total = this.#bytesWritten + chunk.byteLength;
    const trailerBytes = this.#withoutTrailer === undefined ? 0 : sectorBytes;
    if (total > this.#capBytes + trailerBytes) throw tooLarge(total, this.#capBytes);
    for (let taken = 0; taken < chunk.byteLength; ) {
      // Not before more comes: the last block is looked at when all has come.
      if (this.#block !== undefined && this.#filled === blockBytes) this.#dispatch(this.#block);
      const block = this.#block ?? (await this.#nextBlock());
      const part = chunk.subarray(taken, taken + blockBytes - this.#filled);
      block.set(part, this.#filled);
      this.#filled += part.byteLength;
      taken += part.byteLength;
    }
    this.#bytesWritten = total;
  }

  /** @returns how many of them the block took */
  #fillZeros(block: Buffer, bytes: number): number {
    const end = Math.min(blockBytes, this.#filled + bytes);
    const taken = end - this.#filled;
    block.fill(0, this.#filled, end);
    this.#filled = end;
    if (end === blockBytes) this.#dispatch(block);
    return taken;
  }

  /** A block that nobody uses; waits for one where all are in flight. */
  async #nextBlock(): Promise<Buffer> {
    while (this.#free.length === 0) await Promise.race(this.#running);
    this.#assertNotGivenUp();
    if (this.#failure !== undefined) throw this.#failure;
    this.#block = this.#free.pop();
    this.#filled = 0;
    if (this.#block === undefined) throw new Fault('Internal', 'no block of memory is free');
    return this.#block;
  }

  /** What was under way when the writer was destroyed goes no further: its blocks may be another writer's by then. */
  #assertNotGivenUp(): void {
    if (this.destroyed) throw new Fault('Cancelled', 'the disk was given up');
  }

  /** Hashes and writes a full block; both at once, and beside those before it. */
  #dispatch(block: Buffer): void {
    const position = this.#position;
    this.#position += blockBytes;
    this.#block = undefined;
    if (isZero(block)) {
      this.#hasher.addZeroBlocks(1);
      this.#free.push(block);
      this.#markInTime();
      return;
    }
    const writing = position < this.#keptBytes ? undefined : this.#writePieces(block, position);
    const work = Promise.all([this.#hasher.addBlock(block), writing])
      .then(() => undefined)
      .catch((error: unknown) => {
        this.#failure ??= toFault(error);
      })
      .finally(() => {
        this.#running.delete(work);
        this.#free.push(block);
      });
    this.#running.add(work);
    this.#markInTime();
  }

  #markInTime(): void {
    if (this.writableEnded) return; // the last block may be filled up
    const written = async (): Promise<void> => {
      await Promise.all(this.#running);
      if (this.#failure !== undefined) throw this.#failure;
    };
    this.#marks?.reached(this.#position, written)?.catch((error: unknown) => {
      this.#failure ??= toFault(error);
    });
  }

  async #writePieces(block: Buffer, position: number): Promise<void> {
    for (const { start, end } of dataRuns(block)) {
      for (let from = start; from < end; ) {
        const { bytesWritten } = await this.#file.write(block, from, end - from, position + from);
        from += bytesWritten;
      }
      this.#unsynced += end - start;
    }
    if (!this.#direct && this.#unsynced >= syncEveryBytes) await this.#syncInBackground();
  }

  /** Keeps at most two rounds of dirty pages: waits for the last sync before the next begins. */
  async #syncInBackground(): Promise<void> {
    this.#unsynced = 0;
    const before = this.#syncing;
    this.#syncing = (async () => {
      await before;
      await this.#file.datasync();
    })();
    this.#syncing.catch(() => undefined); // the next round or the drain awaits it
    await before;
  }

  /** Sectors and blocks begin together, so that of a disk in whole sectors the last one lies in the last block. */
  #leaveTrailerOut(last: Buffer): void {
    if (this.#withoutTrailer === undefined || this.#filled < sectorBytes) return;
    const total = this.#bytesWritten;
    this.#bytesWritten = this.#withoutTrailer(last.subarray(this.#filled - sectorBytes, this.#filled), total);
    this.#filled -= total - this.#bytesWritten;
  }

  async #drain(): Promise<void> {
    const last = this.#block;
    if (last !== undefined) this.#leaveTrailerOut(last);
    if (this.#bytesWritten > this.#capBytes) throw tooLarge(this.#bytesWritten, this.#capBytes);
    if (last !== undefined && this.#filled > 0) {
      last.fill(0, this.#filled);
      this.#dispatch(last);
    }
    await Promise.all(this.#running);
    await this.#syncing;
    await this.#marks?.settled();
    if (this.#failure !== undefined) throw this.#failure;
  }

  #closing: Promise<void> | undefined;

  /** The kernel may still write from the blocks: they are given back only after that. */
  async #close(): Promise<void> {
    this.#closing ??= (async () => {
      await Promise.all(this.#running);
      await this.#marks?.settled();
      await this.#syncing?.catch(() => undefined); // told by #drain, or the writer was given up
      this.#memory.giveBack();
      await this.#file.close();
    })();
    await this.#closing;
  }
}

function tooLarge(bytes: number, capBytes: number): Fault {
  return new Fault('ImageTooLarge', `the image has at least ${bytes} bytes and the volume ${capBytes}`, {
    facts: { imageBytes: bytes, volumeBytes: capBytes },
  });
}
