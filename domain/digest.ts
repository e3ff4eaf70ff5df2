// The content digest: a tree hash of what the guest sees, whose cost grows with the data and not with the virtual size.
// The same content always gives the same digest, however it came and wherever its holes are. docs/digests.md specifies it.
//
//   leaf(i) = sha256 of block i: 1 MiB of content, the last one filled up with zeros to 1 MiB
//   digest  = sha256 of leaf(0) ‖ leaf(1) ‖ … ‖ the length in bytes as 8 bytes, most significant first
import { createHash, type Hash } from 'node:crypto';

/** Size of a block, and the most that hashBlock takes. */
export const blockBytes = 1_048_576;

const contentDigestPrefix = 'tree-sha256:';

const leafBytes = 32;
const zeroLeafHex = '30e14955ebf1352266dc2ff8067e68104607e750abb9d3b36582b8af909fcb58';

/** Leaf of a block of zeros: what a hole contributes without being read. A new copy, so that nobody can spoil it. */
export function zeroLeaf(): Buffer {
  return Buffer.from(zeroLeafHex, 'hex');
}

/**
 * Leaf of one block that lies in memory.
 * @param block at most 1 MiB; a shorter one is the end of the content and counts as filled up with zeros
 */
export function hashBlock(block: Uint8Array): Buffer {
  if (block.byteLength > blockBytes) throw new RangeError(`a block has at most ${blockBytes} bytes`);
  const hash = createHash('sha256').update(block);
  if (block.byteLength < blockBytes) hash.update(Buffer.alloc(blockBytes - block.byteLength));
  return hash.digest();
}

/** How many leaves a content of that length has. */
export function blockCount(lengthBytes: number): number {
  return Math.ceil(lengthBytes / blockBytes);
}

/**
 * Collects leaves in order and gives the digest. Holds one hash state and, after the first run of zeros, 64 KiB: never
 * the leaves. Does no I/O; who calls hashes the blocks wherever that is best.
 */
export class TreeHasher {
  readonly #root: Hash = createHash('sha256');
  #leaves = 0;
  #zeroRun: Buffer | undefined;

  /** Number of leaves so far: the index of the block that comes next. */
  get leaves(): number {
    return this.#leaves;
  }

  /** @param leaf the 32 bytes of hashBlock, of the block after those that came before */
  addLeaf(leaf: Uint8Array): void {
    if (leaf.byteLength !== leafBytes) throw new RangeError(`a leaf has ${leafBytes} bytes`);
    this.#root.update(leaf);
    this.#leaves += 1;
  }

  /** Adds that many blocks of zeros without reading them; a hole at the end counts its last partial block too. */
  addZeroLeaves(count: number): void {
    if (!Number.isSafeInteger(count) || count < 0) throw new RangeError(`not a number of blocks: ${count}`);
    if (count === 0) return;
    this.#zeroRun ??= Buffer.alloc(2048 * leafBytes, zeroLeaf());
    for (let left = count * leafBytes; left > 0; left -= this.#zeroRun.byteLength) {
      this.#root.update(left < this.#zeroRun.byteLength ? this.#zeroRun.subarray(0, left) : this.#zeroRun);
    }
    this.#leaves += count;
  }

  /**
   * The digest of a content of that length; a longer one may be asked for after it, and no shorter one.
   * @param lengthBytes length of the content; leaves that are missing up to it count as zeros
   * @returns `tree-sha256:` and 64 hex digits
   */
  finish(lengthBytes: number): string {
    if (!Number.isSafeInteger(lengthBytes) || lengthBytes < 0) throw new RangeError(`not a length: ${lengthBytes}`);
    const missing = blockCount(lengthBytes) - this.#leaves;
    if (missing < 0) throw new RangeError(`${this.#leaves} blocks are more than ${lengthBytes} bytes have`);
    this.addZeroLeaves(missing);
    const length = Buffer.alloc(8);
    length.writeBigUInt64BE(BigInt(lengthBytes));
    return contentDigestPrefix + this.#root.copy().update(length).digest('hex');
  }
}
