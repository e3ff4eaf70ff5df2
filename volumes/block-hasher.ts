// Hashes blocks on the thread pool, several at once, and puts their leaves into the tree in order. Keeps the event loop free.
import { webcrypto } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { blockBytes, blockCount, TreeHasher } from '../domain/digest.ts';

const zeroBlock = Buffer.alloc(blockBytes);
const leafBytes = 32;
/** Leaves of zeros that are added without a pause: 2^17 are 4 MiB of hashing, about 3 ms. */
const zeroLeavesAtOnce = 131_072;

export function isZero(bytes: Buffer): boolean {
  return bytes.equals(bytes.byteLength === blockBytes ? zeroBlock : zeroBlock.subarray(0, bytes.byteLength));
}

export class BlockHasher {
  readonly #tree = new TreeHasher();
  /** Leaves that are not in the tree yet, as a chain. */
  #tail: Promise<void> = Promise.resolve();

  /**
   * The next block, all 1 MiB of it (the last one filled up with zeros). It may be changed when the promise is settled.
   * @returns settled when the block was read, before its leaf is in the tree
   */
  async addBlock(block: Buffer): Promise<void> {
    // A view of wasm memory is a plain Uint8Array for webcrypto, which copies it before it returns.
    const digest = webcrypto.subtle.digest('SHA-256', block);
    this.#tail = this.#tail.then(async () => this.#tree.addLeaf(new Uint8Array(await digest)));
    await digest;
  }

  /** Leaves of the next blocks, which somebody else makes. */
  addLeaves(making: Promise<Uint8Array>): void {
    making.catch(() => undefined); // the tail tells it
    this.#tail = this.#tail.then(async () => {
      const leaves = await making;
      for (let at = 0; at < leaves.byteLength; at += leafBytes) this.#tree.addLeaf(leaves.subarray(at, at + leafBytes));
    });
    this.#tail.catch(() => undefined); // settled() and finish() tell it
  }

  /** @throws what a making of leaves failed with */
  async settled(): Promise<void> {
    await this.#tail;
  }

  addZeroBlocks(count: number): void {
    if (count > 0) this.#tail = this.#tail.then(() => this.#addZeroLeaves(count));
  }

  /** May be asked again for a longer content. @param lengthBytes of the content; what was not added counts as zeros */
  async finish(lengthBytes: number): Promise<string> {
    await this.#tail;
    await this.#addZeroLeaves(blockCount(lengthBytes) - this.#tree.leaves);
    return this.#tree.finish(lengthBytes);
  }

  async #addZeroLeaves(count: number): Promise<void> {
    for (let left = count; left > 0; left -= zeroLeavesAtOnce) {
      this.#tree.addZeroLeaves(Math.min(left, zeroLeavesAtOnce));
      if (left > zeroLeavesAtOnce) await nextTurn();
    }
  }
}
