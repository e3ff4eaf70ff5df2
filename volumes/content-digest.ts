// The contentDigest of a disk that lies on a file system. It reads only what has data, so it costs by the data and not by the size, past the page
// cache, and hashes outside of the event loop.
import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { blockBytes, blockCount } from '../domain/digest.ts';
import { type Fault, toFault } from '../domain/fault.ts';
import { AlignedMemory } from './aligned-memory.ts';
import { BlockHasher, isZero } from './block-hasher.ts';
import { openDirect } from './direct-file.ts';
import { dataExtents } from './qemu-img.ts';

export interface FileDigest {
  contentDigest: string;
  sizeBytes: number;
  allocatedBytes: number;
}

const blocksInFlight = 8;

/** @throws Fault, or the reason of the abort; changes nothing */
export async function contentDigestOfFile(path: string, { signal }: { signal: AbortSignal }): Promise<FileDigest> {
  const { file } = await openDirect(path, constants.O_RDONLY);
  try {
    const { size, blocks } = await file.stat();
    const hasher = new BlockHasher();
    await new DataReader(file, hasher, size).readAll(path, signal);
    return { contentDigest: await hasher.finish(size), sizeBytes: size, allocatedBytes: blocks * 512 };
  } catch (error) {
    throw toFault(error, { signal });
  } finally {
    await file.close();
  }
}

/** Feeds the blocks that have data to the hasher, several at once, and says how many blocks of zeros lie between. */
class DataReader {
  readonly #file: FileHandle;
  readonly #hasher: BlockHasher;
  readonly #blockCount: number;
  readonly #sizeBytes: number;
  #next = 0;
  #failure: Fault | undefined;

  constructor(file: FileHandle, hasher: BlockHasher, sizeBytes: number) {
    this.#file = file;
    this.#hasher = hasher;
    this.#sizeBytes = sizeBytes;
    this.#blockCount = blockCount(sizeBytes);
  }

  async readAll(path: string, signal: AbortSignal): Promise<void> {
    const memory = AlignedMemory.take(blocksInFlight);
    const free = [...memory.blocks];
    const running = new Set<Promise<void>>();
    let before: Promise<void> = Promise.resolve();
    try {
      for await (const index of this.#dataBlocks(path, signal)) {
        signal.throwIfAborted();
        while (free.length === 0) await Promise.race(running);
        const block = free.pop();
        if (block === undefined || this.#failure !== undefined) break;
        const { work, inOrder } = this.#addBlock(block, index, before);
        before = inOrder;
        const ended = work.finally(() => {
          running.delete(ended);
          free.push(block);
        });
        running.add(ended);
      }
    } finally {
      await Promise.all(running);
      memory.giveBack();
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Reads beside the blocks before it, and hashes after them. Never rejects: the first failure is kept. */
  #addBlock(block: Buffer, index: number, before: Promise<void>): { work: Promise<void>; inOrder: Promise<void> } {
    const zeros = index - this.#next;
    this.#next = index + 1;
    const reading = this.#read(block, index).catch((error: unknown) => {
      this.#failure ??= toFault(error);
      return true;
    });
    const added = (async () => {
      const [zero] = await Promise.all([reading, before]);
      this.#hasher.addZeroBlocks(zeros);
      if (zero) this.#hasher.addZeroBlocks(1);
      return zero ? undefined : { hashed: this.#hasher.addBlock(block) };
    })();
    return { work: added.then((adding) => adding?.hashed), inOrder: added.then(() => undefined) };
  }

  /** Indexes of the blocks that an extent touches, each once and in order. */
  async *#dataBlocks(path: string, signal: AbortSignal): AsyncGenerator<number> {
    let next = 0;
    for await (const { start, length } of dataExtents(path, { signal })) {
      const end = Math.min(this.#blockCount, Math.ceil((start + length) / blockBytes));
      for (next = Math.max(next, Math.floor(start / blockBytes)); next < end; next += 1) yield next;
    }
  }

  /** Fills the block from the file, with zeros after its end. @returns whether it is all zeros */
  async #read(block: Buffer, index: number): Promise<boolean> {
    const from = index * blockBytes;
    const wanted = Math.min(blockBytes, this.#sizeBytes - from);
    let done = 0;
    while (done < wanted) {
      // Whole sectors, also where the file ends within one: direct reads know no others.
      const { bytesRead } = await this.#file.read(block, done, blockBytes - done, from + done);
      if (bytesRead === 0) break; // cut meanwhile; the length then tells
      done += bytesRead;
    }
    block.fill(0, done);
    return isZero(block);
  }
}

export { sha256OfFile } from './file-sha256.ts';
