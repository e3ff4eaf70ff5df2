// Finds out what the content is from its beginning: what it is compressed with, its format, its virtual size. Everything that makes an
// import impossible and can be known from the beginning is refused here, with far less than 1 MiB fetched.
import { Fault } from '../../domain/fault.ts';
import { decompressedHead } from '../decode/decompressed-head.ts';
import type { DecoderSurroundings } from '../decode/decompressor.ts';
import type { ByteStream } from '../peeked-stream.ts';
import { type Compression, contentKindOf, type ImageFormat } from './content-kind.ts';
import { parseQcow2Header, type Qcow2Header, qcow2HeadBytes } from './qcow2-header.ts';
import { checkQcow2Tables, type ReadAt } from './qcow2-tables.ts';
import { imageTooLarge } from './too-large.ts';
import { zstdContentBytes } from './zstd-frame.ts';

export interface ImageProbe {
  /** Outermost first. */
  compressions: Compression[];
  format: ImageFormat;
  /** What the guest will see; undefined where only the end of the content tells. */
  virtualSizeBytes: number | undefined;
}

export interface ProbedSource extends ByteStream {
  /** Length as served, where known. */
  readonly totalBytes: number | undefined;
  /** Reads any part; undefined where the source comes only in order. */
  readonly ranges?: { readAt: ReadAt } | undefined;
}

/** As much as the header of any format wants. */
const headBytes = 65_536;
/** A zstd block has up to 128 KiB, an xz header is small: this much always yields something. */
const longHeadBytes = 524_288;
const deepestCompression = 2;

/**
 * @param claimBytes size of the volume
 * @throws Fault NotADiskImage, UnsupportedFormat, HostileImage, CorruptImage, CorruptCompression, DecoderMemory, ImageTooLarge
 */
export async function probeImage(
  source: ProbedSource,
  claimBytes: number,
  surroundings: DecoderSurroundings,
): Promise<ImageProbe> {
  const { compressions, head, whole, format, declaredBytes } = await lookInside(source, surroundings);
  const plain = compressions.length === 0;
  if (format === 'qcow2') {
    const fileBytes = plain ? source.totalBytes : whole ? head.byteLength : undefined;
    const header = parseQcow2Header(head.subarray(0, qcow2HeadBytes), fileBytes);
    refuseLarger(header.virtualSizeBytes, claimBytes);
    if (plain) await checkTables(header, source);
    return { compressions, format, virtualSizeBytes: header.virtualSizeBytes };
  }
  const virtualSizeBytes = plain ? source.totalBytes : declaredBytes;
  if (virtualSizeBytes !== undefined) refuseLarger(virtualSizeBytes, claimBytes);
  return { compressions, format, virtualSizeBytes: plain ? source.totalBytes : undefined };
}

interface Inside {
  compressions: Compression[];
  format: ImageFormat;
  head: Buffer;
  whole: boolean;
  /** Length of the innermost content as a compressed header declares it. */
  declaredBytes: number | undefined;
}

async function lookInside(source: ProbedSource, surroundings: DecoderSurroundings): Promise<Inside> {
  const first = await source.head(headBytes);
  const kind = contentKindOf(first, first.byteLength < headBytes || first.byteLength === source.totalBytes);
  if (kind.kind === 'image') {
    const whole = first.byteLength < headBytes;
    return { compressions: [], format: kind.format, head: first, whole, declaredBytes: undefined };
  }
  return (
    (await unpack(first, first.byteLength < headBytes, surroundings)) ?? (await unpackLonger(source, surroundings))
  );
}

async function unpackLonger(source: ProbedSource, surroundings: DecoderSurroundings): Promise<Inside> {
  const longer = await source.head(longHeadBytes);
  const found = await unpack(longer, longer.byteLength < longHeadBytes, surroundings);
  if (found === undefined) throw new Fault('CorruptCompression', 'its beginning cannot be decompressed');
  return found;
}

/** @returns undefined where the beginning is too short to see what is inside */
async function unpack(
  outer: Buffer,
  complete: boolean,
  surroundings: DecoderSurroundings,
): Promise<Inside | undefined> {
  const compressions: Compression[] = [];
  let inside = { bytes: outer, whole: complete };
  let declaredBytes: number | undefined;
  for (;;) {
    if (inside.bytes.byteLength < 4096 && !inside.whole) return undefined;
    const kind = contentKindOf(inside.bytes, inside.whole);
    if (kind.kind === 'image') {
      return { compressions, format: kind.format, head: inside.bytes, whole: inside.whole, declaredBytes };
    }
    if (compressions.length === deepestCompression) {
      throw new Fault('UnsupportedFormat', `it is compressed more than ${deepestCompression} times`);
    }
    compressions.push(kind.compression);
    declaredBytes = kind.compression === 'zst' ? zstdContentBytes(inside.bytes) : undefined;
    inside = await decompressedHead(kind.compression, inside.bytes, headBytes, inside.whole, surroundings);
  }
}

async function checkTables(header: Qcow2Header, source: ProbedSource): Promise<void> {
  const { ranges, totalBytes } = source;
  if (ranges === undefined || totalBytes === undefined) return;
  await checkQcow2Tables(header, totalBytes, (offset, length) => ranges.readAt(offset, length));
}

function refuseLarger(neededBytes: number, claimBytes: number): void {
  if (neededBytes > claimBytes) throw imageTooLarge(neededBytes, claimBytes);
}
