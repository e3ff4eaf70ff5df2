// The bytes of one file of a tree, written in order: long zeros stay holes, and dirty pages stay few.
import type { FileHandle } from 'node:fs/promises';
import { isZero } from './block-hasher.ts';

/** Shorter zeros are written. */
const holeBytes = 65_536;
const syncEveryBytes = 64 * 1_048_576;

/**
 * @param file new and empty
 * @param pieces of which each is taken before the next one is asked for
 * @returns how many bytes it has
 */
export async function writeSparseBody(file: FileHandle, pieces: AsyncIterable<Buffer>): Promise<number> {
  let end = 0;
  let written = 0;
  let unsynced = 0;
  for await (const piece of pieces) {
    for (const part of partsOf(piece)) {
      if (part.byteLength < holeBytes || !isZero(part)) {
        await writeAll(file, part, end);
        written = end + part.byteLength;
        unsynced += part.byteLength;
      }
      end += part.byteLength;
    }
    if (unsynced >= syncEveryBytes) {
      await file.datasync();
      unsynced = 0;
    }
  }
  if (written < end) await file.truncate(end);
  return end;
}

function* partsOf(piece: Buffer): Generator<Buffer> {
  for (let at = 0; at < piece.byteLength; at += holeBytes) yield piece.subarray(at, at + holeBytes);
}

async function writeAll(file: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let done = 0; done < bytes.byteLength; ) {
    done += (await file.write(bytes, done, bytes.byteLength - done, position + done)).bytesWritten;
  }
}
