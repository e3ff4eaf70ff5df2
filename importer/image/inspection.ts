// What the inspectors of all formats share: what they are given, what they give, and the words of their faults. Each format has a file of its own:
// pure functions over buffers, and one that reads on by `readAt`. qemu-img sees an image only after its inspector has.
import { Fault } from '../../domain/fault.ts';
import type { FaultCode } from '../../domain/fault-catalogue.ts';

/** Reads a part of the image; both numbers in bytes. The result is as long as asked, or shorter at the end of the file. */
export type ReadAt = (offset: number, length: number) => Promise<Buffer>;

/** An image of which any part can be read. */
export interface ImageFile {
  readAt: ReadAt;
  fileBytes: number;
}

/** What the beginning of an image tells. */
export interface ImageHead {
  /** What the guest will see; undefined where the beginning does not tell. */
  virtualSizeBytes: number | undefined;
}

/** What the whole look at an image tells. */
export interface InspectedImage {
  virtualSizeBytes: number;
  /** How the file is shown to qemu-img; undefined: as it is. */
  shown?: ShownFile;
}

/** An image file as qemu-img wants to see it. */
export interface ShownFile {
  /** In place of the first sector. */
  firstSector?: Buffer;
  /** True for a read that may go on beyond the end of the file, where zeros follow; any other is CorruptImage. */
  mayPassEnd(offset: number, length: number): boolean;
}

/** Most of an image's tables that is read before qemu-img reads them: the rest is checked by the NBD view, as it is read. */
export const mostTableBytes = 4 * 1024 * 1024;

/** Largest table that qemu-img may keep in memory. */
export const largestTableBytes = 512 * 1024 * 1024;

/** Largest disk that we take: far more than any file system holds. */
export const largestVirtualBytes = 2 ** 50;

export const sectorBytes = 512;

/** Faults that begin with the name of the format, and numbers that are safe to calculate with. */
export function judgeOf(format: string) {
  const fault = (code: FaultCode) => (detail: string) => new Fault(code, `${format}: ${detail}`);
  const hostile = fault('HostileImage');
  return {
    hostile,
    corrupt: fault('CorruptImage'),
    unsupported: fault('UnsupportedFormat'),
    /** @throws Fault HostileImage for more than `most` */
    safe(value: bigint, most: number, name: string): number {
      if (value > BigInt(most)) throw hostile(`${name} ${value}`);
      return Number(value);
    },
  };
}

/** The whole part. @throws Fault CorruptImage where the file ends before */
export async function readWhole(
  { readAt, fileBytes }: ImageFile,
  offset: number,
  length: number,
  name: string,
): Promise<Buffer> {
  const bytes = offset + length > fileBytes ? Buffer.alloc(0) : await readAt(offset, length);
  if (bytes.byteLength === length) return bytes;
  throw new Fault('CorruptImage', `${name} ends at byte ${offset + length}, the file at byte ${fileBytes}`);
}

export function isPowerOfTwo(value: number): boolean {
  return Number.isSafeInteger(Math.log2(value));
}
