// Copies the data of a disk into a writer, which digests it on the way and leaves holes for zeros: one reading and one writing, in bounded memory. Where the disk
// is written meanwhile, what was copied is of no single moment; a digest tells.
import { open } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { Fault } from '../domain/fault.ts';
import type { DiskWriter } from './disk-writer.ts';
import { dataExtents } from './qemu-img.ts';

const pieceBytes = 1_048_576;

export interface CopyDataOptions {
  /** Nothing is copied from there on: the rest of the disk is zeros. */
  endBytes: number;
  signal: AbortSignal;
  onCopied: (bytes: number) => void;
}

/** The writer has all of it afterwards but the zeros at the end; a failure destroys the writer. @throws Fault SourceChanged, NoSpace, or the reason of the abort */
export async function copyData(path: string, writer: DiskWriter, options: CopyDataOptions): Promise<void> {
  const { endBytes, signal, onCopied } = options;
  const file = await open(path, 'r');
  // Taken by the writer before the next piece is read into it.
  const memory = Buffer.allocUnsafeSlow(pieceBytes);
  const pieces = async function* (): AsyncGenerator<Buffer, void, undefined> {
    for await (const { start, length } of dataExtents(path, { signal })) {
      if (start >= endBytes) return;
      await writer.skip(start - writer.bytesWritten);
      const end = Math.min(start + length, endBytes);
      for (let at = start; at < end; ) {
        const { bytesRead } = await file.read(memory, 0, Math.min(pieceBytes, end - at), at);
        if (bytesRead === 0) throw new Fault('SourceChanged', `${path} became shorter while it was copied`);
        yield memory.subarray(0, bytesRead);
        at += bytesRead;
        onCopied(at);
      }
    }
  };
  try {
    await pipeline(pieces, writer, { signal });
  } finally {
    await file.close();
  }
}
