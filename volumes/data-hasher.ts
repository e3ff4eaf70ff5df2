// Hashes a disk from its beginning up to wherever it is known to be final: reads what has data, and counts what lies between as zeros. The threads
// that do it are started with the first data and ended by `close`.
import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { blockBytes, blockCount } from '../domain/digest.ts';
import { Fault, toFault } from '../domain/fault.ts';
import { BlockHasher } from './block-hasher.ts';
import { openDirect } from './direct-file.ts';
import { type LeafOrder, LeafThreads } from './leaf-threads.ts';
import { dataExtents, type Extent } from './qemu-img.ts';

/** One reads while the other hashes. */
const threadsOfLargeDisk = 2;
/** A disk with less data is digested by one thread before a second one has started. */
const largeDiskBytes = 32 * blockBytes;
const blocksOfOrder = 8;

type Blocks = Omit<LeafOrder, 'sizeBytes'>;

export class DataHasher {
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #signal: AbortSignal;
  readonly #hasher = new BlockHasher();
  #threads: LeafThreads | undefined;
  /** Blocks that were given to the hasher. */
  #done = 0;
  readonly #onAbort = () => void this.#threads?.close(toFault(this.#signal.reason, { signal: this.#signal }));

  private constructor(path: string, file: FileHandle, signal: AbortSignal) {
    this.#path = path;
    this.#file = file;
    this.#signal = signal;
    signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  /** @param signal fails what is under way; `close` is still owed */
  static async open(path: string, signal: AbortSignal): Promise<DataHasher> {
    if (signal.aborted) throw toFault(signal.reason, { signal });
    const { file } = await openDirect(path, constants.O_RDONLY);
    return new DataHasher(path, file, signal);
  }

  async size(): Promise<{ sizeBytes: number; allocatedBytes: number }> {
    const { size, blocks } = await this.#file.stat();
    return { sizeBytes: size, allocatedBytes: blocks * 512 };
  }

  /**
   * Hashes on up to that many bytes from the beginning, in whole blocks; these may not change any more.
   * @returns where the last data of the disk ends, as far as is seen now
   */
  async advance(finalBytes: number): Promise<number> {
    const { sizeBytes, allocatedBytes } = await this.size();
    const last = finalBytes >= sizeBytes;
    const end = last ? blockCount(sizeBytes) : Math.floor(finalBytes / blockBytes);
    if (allocatedBytes === 0 || this.#done * blockBytes >= sizeBytes) return 0;
    let dataEnd = 0;
    const seen = async function* (extents: AsyncIterable<Extent>): AsyncGenerator<Extent> {
      for await (const extent of extents) {
        dataEnd = extent.start + extent.length;
        yield extent;
      }
    };
    const extents = dataExtents(this.#path, { startBytes: this.#done * blockBytes, signal: this.#signal });
    for await (const order of ordersOf(seen(extents), this.#done, end)) {
      this.#threads ??= this.#startThreads(allocatedBytes);
      await this.#threads.ready();
      this.#hasher.addZeroBlocks(order.first - this.#done);
      this.#hasher.addLeaves(this.#threads.leavesOf({ ...order, sizeBytes }));
      this.#done = order.first + order.count;
    }
    await this.#hasher.settled();
    return dataEnd;
  }

  /** @returns contentDigest of a disk of that size; what was not hashed counts as zeros */
  finish(sizeBytes: number): Promise<string> {
    return this.#hasher.finish(sizeBytes);
  }

  async close(): Promise<void> {
    this.#signal.removeEventListener('abort', this.#onAbort);
    await this.#threads?.close(new Fault('Cancelled', 'the digest has ended'));
    await this.#file.close();
  }

  #startThreads(allocatedBytes: number): LeafThreads {
    const threads = new LeafThreads(allocatedBytes < largeDiskBytes ? 1 : threadsOfLargeDisk, {
      descriptor: this.#file.fd,
    });
    if (this.#signal.aborted) this.#onAbort();
    return threads;
  }
}

/** The blocks from `begin` up to `end` that an extent touches, each once and in order, a few at a time. Takes all extents, also those after `end`. */
async function* ordersOf(extents: AsyncIterable<Extent>, begin: number, end: number): AsyncGenerator<Blocks> {
  let next = begin;
  let waiting: Blocks = { first: begin, count: 0 };
  for await (const { start, length } of extents) {
    const until = Math.min(end, Math.ceil((start + length) / blockBytes));
    for (next = Math.max(next, Math.floor(start / blockBytes)); next < until; next += 1) {
      const goesOn = next === waiting.first + waiting.count && waiting.count < blocksOfOrder;
      if (!goesOn && waiting.count > 0) yield waiting;
      waiting = goesOn ? { first: waiting.first, count: waiting.count + 1 } : { first: next, count: 1 };
    }
  }
  if (waiting.count > 0) yield waiting;
}
