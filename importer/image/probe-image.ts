// Finds out what the content is from its beginning: what it is compressed with, its format, its virtual size. Everything that makes an
// import impossible and can be known from the beginning is refused here, with far less than 1 MiB fetched (of bzip2, whose blocks are long, 2 MiB).
import type { ImageFormat } from '../../volumes/qemu-img.ts';
import type { DecoderSurroundings } from '../decode/decompressor.ts';
import type { ByteStream } from '../peeked-stream.ts';
import { type Compression, contentKindOf } from './content-kind.ts';
import { type DiskEnd, diskEndOf } from './disk-end.ts';
import { inspectImage, readImageHead } from './inspect-image.ts';
import { type ImageFile, type ReadAt, type ShownFile, sectorBytes } from './inspection.ts';
import { type InsideContent, lookInside } from './look-inside.ts';
import { type PartitionTable, partitionTableOf } from './partition-table.ts';
import { imageTooLarge } from './too-large.ts';

export interface ImageProbe {
  /** Outermost first. */
  compressions: Compression[];
  format: ImageFormat;
  /** True for a VHD that is a raw disk with a footer at its end. */
  fixed?: boolean;
  /** What the guest will see; undefined where the beginning does not tell. */
  virtualSizeBytes: number | undefined;
  /** How qemu-img has to be shown the file; undefined: as it is, or not looked at as a whole yet. */
  shown?: ShownFile;
  /** Of a raw disk. */
  partitions?: PartitionTable;
}

/** True where the bytes of the disk come one after the other, as in a raw file. */
export function isInOrder({ format, fixed }: Pick<ImageProbe, 'format' | 'fixed'>): boolean {
  return format === 'raw' || fixed === true;
}

export interface ProbedSource extends ByteStream {
  /** Length as served, where known. */
  readonly totalBytes: number | undefined;
  /** Reads any part; undefined where the source comes only in order. */
  readonly ranges?: { readAt: ReadAt } | undefined;
}

/** A disk of a whole number of these has hardly ever a footer behind it; one that has is found when all of it has come. */
const usualDiskUnitBytes = 1_048_576;

/**
 * @param claimBytes size of the volume
 * @throws Fault NotADiskImage, UnsupportedFormat, HostileImage, CorruptImage, CorruptCompression, DecoderMemory, ImageTooLarge
 */
export async function probeImage(
  source: ProbedSource,
  claimBytes: number,
  surroundings: DecoderSurroundings,
): Promise<ImageProbe> {
  const inside = await lookInside(source, surroundings, contentKindOf);
  const { compressions, format, head } = inside;
  const file = fileOf(inside, source);
  if (format === 'raw') return probeRaw(inside, file, claimBytes);
  const told = readImageHead(format, head, file.fileBytes);
  refuseLarger(told.virtualSizeBytes, claimBytes);
  const { readAt, fileBytes } = file;
  if (readAt === undefined || fileBytes === undefined) return { compressions, format, ...told };
  const { virtualSizeBytes, shown } = await inspectImage(format, { readAt, fileBytes });
  refuseLarger(virtualSizeBytes, claimBytes);
  return { compressions, format, virtualSizeBytes, ...(shown === undefined ? {} : { shown }) };
}

/** The innermost content, as far as it can be read. */
type PartlyKnownFile = { [K in keyof ImageFile]: ImageFile[K] | undefined };

function fileOf({ compressions, head, whole }: InsideContent, { totalBytes, ranges }: ProbedSource): PartlyKnownFile {
  if (whole) {
    const readAt: ReadAt = async (offset, length) => head.subarray(offset, offset + length);
    return { fileBytes: head.byteLength, readAt };
  }
  if (compressions.length > 0) return { fileBytes: undefined, readAt: undefined };
  return { fileBytes: totalBytes, readAt: ranges?.readAt.bind(ranges) };
}

async function probeRaw(
  { compressions, head, declaredBytes }: InsideContent,
  file: PartlyKnownFile,
  claimBytes: number,
): Promise<ImageProbe> {
  const contentBytes = file.fileBytes ?? declaredBytes;
  const end = await lookAtEnd(file, claimBytes);
  if (end !== undefined) refuseLarger(end.diskBytes, claimBytes);
  // Where the end cannot be read yet, a footer may still make it fit.
  else if (!isDiskAndFooter(contentBytes, claimBytes)) refuseLarger(contentBytes, claimBytes);
  const partitions = partitionTableOf(head);
  const plainBytes = end?.diskBytes ?? file.fileBytes;
  return {
    compressions,
    format: end?.format ?? 'raw',
    virtualSizeBytes: compressions.length === 0 ? plainBytes : undefined,
    ...(end?.format === 'vpc' ? { fixed: true } : {}),
    ...(partitions === undefined ? {} : { partitions }),
  };
}

/** @returns undefined where the end cannot be read, or is hardly more than that of a raw disk */
async function lookAtEnd({ readAt, fileBytes }: PartlyKnownFile, claimBytes: number): Promise<DiskEnd | undefined> {
  if (readAt === undefined || fileBytes === undefined || fileBytes % sectorBytes !== 0) return undefined;
  if (fileBytes % usualDiskUnitBytes === 0 && !isDiskAndFooter(fileBytes, claimBytes)) return undefined;
  if (fileBytes < sectorBytes || fileBytes > claimBytes + sectorBytes) return undefined;
  return diskEndOf(await readAt(fileBytes - sectorBytes, sectorBytes), fileBytes);
}

/** True for content that does not fit as it is, and would without its last sector. */
function isDiskAndFooter(contentBytes: number | undefined, claimBytes: number): boolean {
  if (contentBytes === undefined || contentBytes % sectorBytes !== 0) return false;
  return contentBytes > claimBytes && contentBytes <= claimBytes + sectorBytes;
}

function refuseLarger(neededBytes: number | undefined, claimBytes: number): void {
  if (neededBytes !== undefined && neededBytes > claimBytes) throw imageTooLarge(neededBytes, claimBytes);
}
