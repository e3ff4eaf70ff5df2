// The contentDigest of a disk that lies on a file system. It reads only what has data, so it costs by the data and not by the size, past the page
// cache, and reads and hashes outside of the event loop.
import { constants } from 'node:fs';
import { blockBytes, blockCount } from '../domain/digest.ts';
import { Fault, toFault } from '../domain/fault.ts';
import { BlockHasher } from './block-hasher.ts';
import { openDirect } from './direct-file.ts';
import { type LeafOrder, LeafThreads } from './leaf-threads.ts';
import { dataExtents } from './qemu-img.ts';

export interface FileDigest {
  contentDigest: string;
  sizeBytes: number;
  allocatedBytes: number;
}

/** One reads while the other hashes. */
const threadsOfLargeDisk = 2;
/** A disk with less data is digested by one thread before a second one has started. */
const largeDiskBytes = 32 * blockBytes;
const blocksOfOrder = 8;

/** @throws Fault, or the reason of the abort; changes nothing */
export async function contentDigestOfFile(path: string, { signal }: { signal: AbortSignal }): Promise<FileDigest> {
  if (signal.aborted) throw toFault(signal.reason, { signal });
  const { file } = await openDirect(path, constants.O_RDONLY);
  try {
    const { size, blocks } = await file.stat();
    const allocatedBytes = blocks * 512;
    const hasher = new BlockHasher();
    if (allocatedBytes > 0) {
      const threads = new LeafThreads(allocatedBytes < largeDiskBytes ? 1 : threadsOfLargeDisk, {
        descriptor: file.fd,
        sizeBytes: size,
      });
      await hashData(path, size, threads, hasher, signal);
    }
    return { contentDigest: await hasher.finish(size), sizeBytes: size, allocatedBytes };
  } catch (error) {
    throw toFault(error, { signal });
  } finally {
    await file.close();
  }
}

/** Gives the blocks that have data to the threads, and says how many blocks of zeros lie between. Ends the threads. */
async function hashData(
  path: string,
  sizeBytes: number,
  threads: LeafThreads,
  hasher: BlockHasher,
  signal: AbortSignal,
): Promise<void> {
  const onAbort = (): void => void threads.close(toFault(signal.reason, { signal }));
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    let next = 0;
    for await (const order of dataOrders(path, blockCount(sizeBytes), signal)) {
      await threads.ready();
      hasher.addZeroBlocks(order.first - next);
      hasher.addLeaves(threads.leavesOf(order));
      next = order.first + order.count;
    }
    await hasher.settled();
  } finally {
    signal.removeEventListener('abort', onAbort);
    await threads.close(new Fault('Cancelled', 'the digest has ended'));
  }
}

/** The blocks that an extent touches, each once and in order, a few at a time. */
async function* dataOrders(path: string, blocks: number, signal: AbortSignal): AsyncGenerator<LeafOrder> {
  let waiting: LeafOrder = { first: 0, count: 0 };
  for await (const { start, length } of dataExtents(path, { signal })) {
    const end = Math.min(blocks, Math.ceil((start + length) / blockBytes));
    let first = Math.max(waiting.first + waiting.count, Math.floor(start / blockBytes));
    if (first !== waiting.first + waiting.count) {
      if (waiting.count > 0) yield waiting;
      waiting = { first, count: 0 };
    }
    while (first < end) {
      const taken = Math.min(blocksOfOrder - waiting.count, end - first);
      waiting = { first: waiting.first, count: waiting.count + taken };
      first += taken;
      if (waiting.count < blocksOfOrder) break;
      yield waiting;
      waiting = { first, count: 0 };
    }
  }
  if (waiting.count > 0) yield waiting;
}

export { sha256OfFile } from './file-sha256.ts';
