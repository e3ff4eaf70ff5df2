// Digests of a raw disk file on this machine: the content digest of docs/digests.md, and a plain sha256 when asked.
import { createHash } from 'node:crypto';
import { open, stat } from 'node:fs/promises';
import { blockBytes, hashBlock, TreeHasher, zeroLeaf } from '../domain/digest.ts';
import { toFault } from '../domain/fault.ts';

export interface FileDigests {
  contentDigest: string;
  sha256?: string;
}

export async function isFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR'))
      return false;
    throw toFault(error);
  }
}

/** Reads the file once, a block at a time. @throws Fault PermissionDenied, Cancelled */
export async function digestFile(path: string, withSha256: boolean, signal: AbortSignal): Promise<FileDigests> {
  try {
    await using file = await open(path, 'r');
    const tree = new TreeHasher();
    const plain = withSha256 ? createHash('sha256') : undefined;
    const block = Buffer.alloc(blockBytes);
    const zeros = Buffer.alloc(blockBytes);
    let length = 0;
    for (;;) {
      signal.throwIfAborted();
      const bytes = await fillBlock(file, block, length);
      if (bytes === 0) break;
      const read = block.subarray(0, bytes);
      tree.addLeaf(read.equals(zeros.subarray(0, bytes)) ? zeroLeaf() : hashBlock(read));
      plain?.update(read);
      length += bytes;
    }
    const contentDigest = tree.finish(length);
    return plain === undefined ? { contentDigest } : { contentDigest, sha256: `sha256:${plain.digest('hex')}` };
  } catch (error) {
    throw toFault(error, { signal });
  }
}

/** @returns less than a block only at the end */
async function fillBlock(file: Awaited<ReturnType<typeof open>>, block: Buffer, position: number): Promise<number> {
  let filled = 0;
  while (filled < block.length) {
    const { bytesRead } = await file.read(block, filled, block.length - filled, position + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return filled;
}
