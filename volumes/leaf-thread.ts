// A thread that LeafThreads starts: reads blocks of a file and answers with their leaves. It reads and hashes in one go and without a promise, so
// that a block costs the reading and the hashing and nothing more. Entry of a worker thread, imported by none.
import { hash } from 'node:crypto';
import { readSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { blockBytes, zeroLeaf } from '../domain/digest.ts';
import { AlignedMemory } from './aligned-memory.ts';
import type { LeafAnswer, LeafOrder, LeafThreadData } from './leaf-threads.ts';

const blocksAtOnce = 2;
const memory = AlignedMemory.take(blocksAtOnce);
const zeroBlock = Buffer.alloc(blockBytes);
const leafOfZeros = zeroLeaf();

/** Fills the memory from there on, with zeros after the end of the file. */
function readBlocks(descriptor: number, { first, count, sizeBytes }: LeafOrder): void {
  const from = first * blockBytes;
  const wanted = Math.min(count * blockBytes, sizeBytes - from);
  let done = 0;
  while (done < wanted) {
    // Whole sectors, also where the file ends within one: direct reads know no others.
    const bytesRead = readSync(descriptor, memory.whole, done, count * blockBytes - done, from + done);
    if (bytesRead === 0) break; // cut meanwhile; the length then tells
    done += bytesRead;
  }
  memory.whole.fill(0, Math.min(done, wanted), count * blockBytes);
}

function leavesOf({ descriptor }: LeafThreadData, { first, count, sizeBytes }: LeafOrder): LeafAnswer {
  const leaves: Uint8Array[] = [];
  for (let at = 0; at < count; at += blocksAtOnce) {
    const now = Math.min(blocksAtOnce, count - at);
    readBlocks(descriptor, { first: first + at, count: now, sizeBytes });
    for (const block of memory.blocks.slice(0, now)) {
      leaves.push(block.equals(zeroBlock) ? leafOfZeros : hash('sha256', block, 'buffer'));
    }
  }
  return { leaves: Buffer.concat(leaves) };
}

// Safe: LeafThreads starts this thread and nobody else does.
const file = workerData as LeafThreadData;
parentPort?.on('message', (order: LeafOrder) => parentPort?.postMessage(leavesOf(file, order)));
