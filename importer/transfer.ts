// How bytes get from a source into the disk: straight through, by ranges, or by way of a scratch file. Each leaves the disk unfinished in
// the staging; a failure or abort leaves no child, socket or open file, and whatever lies in the staging is discarded with it.
import { Fault } from '../domain/fault.ts';
import { DiskWriter, type DiskWriterOptions } from '../volumes/disk-writer.ts';
import type { DurableMarksOptions } from '../volumes/durable-marks.ts';
import type { FollowingDigest } from '../volumes/following-digest.ts';
import type { ImageFormat } from '../volumes/qemu-img.ts';
import type { Staging } from '../volumes/staging.ts';
import { type Conversion, convertFromReader } from './conversion.ts';
import { decompressInto } from './decode/decompressor.ts';
import { copyExtents, findPlainExtents, type PlainExtent } from './extent-copy.ts';
import { diskEndOf } from './image/disk-end.ts';
import { partitionWarning } from './image/partition-table.ts';
import type { ImageProbe } from './image/probe-image.ts';
import { imageTooLarge } from './image/too-large.ts';
import { firstRequestBytes, type ImageSource } from './image-source.ts';
import { GrowingFile } from './nbd/growing-file.ts';
import type { RandomReader } from './nbd/random-reader.ts';
import { RangeReader } from './nbd/range-reader.ts';
import { ShownReader } from './nbd/shown-reader.ts';
import type { ByteStream } from './peeked-stream.ts';
import { ScratchWriter } from './scratch-writer.ts';
import { type DiskTarget, type SettledDisk, settleConvertedDisk } from './settled-disk.ts';
import type { SourceDigest } from './source-digest.ts';
import type { StepTimer } from './step-timer.ts';
import type { TransferHooks } from './transfer-hooks.ts';
import { copyPacked } from './unpack/copy-packed.ts';
import { openPackedImage, type PackedImage } from './unpack/packed-image.ts';

export interface Transfer {
  probe: ImageProbe;
  target: DiskTarget;
  staging: Staging;
  hooks: TransferHooks;
  /** Ends the transfer: the abort of the hooks, or the time limit. */
  signal: AbortSignal;
  timer: StepTimer;
}

/** What of the file that is written is there already, and how far it is to be marked. */
export interface KeptFile {
  /** The stream brings them all the same. */
  keptBytes: number;
  marks?: DurableMarksOptions | undefined;
}

/** A disk whose bytes are all there. Disposing gives up what was not settled: its file is closed. */
export interface BroughtDisk extends AsyncDisposable {
  /** What only the bytes told. */
  readonly found: FoundDisk;
  /** Grows the disk to its size, makes it durable and tells its digest. */
  settle(): Promise<SettledDisk>;
}

export interface FoundDisk {
  format: ImageFormat;
  /** Sentences for a person: the disk is as the source has it, and may not be what was meant. */
  warnings: string[];
}

/** Content in order: decompressed by native children, zeros and the footer of a VHD left out, digests made on the way. */
export async function streamToDisk(
  source: ByteStream,
  digest: SourceDigest,
  transfer: Transfer,
  kept: KeptFile = { keptBytes: 0 },
): Promise<BroughtDisk> {
  const { target, signal, hooks, timer, probe } = transfer;
  // Whoever takes the pieces, the writer or the pipe to a child, has taken one before it asks for the next.
  const passing = digest.through(source.pieces(), (done) => timer.advance({ bytesDone: done }));
  const found: FoundDisk = { format: probe.format, warnings: [] };
  const withoutTrailer = (lastSector: Buffer, totalBytes: number): number => {
    const { format, diskBytes } = diskEndOf(lastSector, totalBytes);
    found.format = format;
    return diskBytes;
  };
  return writeDisk({ ...target, ...kept, withoutTrailer }, found, async (writer) => {
    await decompressInto(passing, probe.compressions, writer, { ...hooks, signal });
    const warning = partitionWarning(probe.partitions, writer.bytesWritten);
    if (warning !== undefined) found.warnings.push(warning);
  });
}

/** An image that is read by ranges, only where it has data: copied from where its clusters lie, unpacked, or converted by qemu-img. */
export async function convertByRanges(source: ImageSource, transfer: Transfer): Promise<BroughtDisk> {
  const { totalBytes, ranges } = source;
  if (totalBytes === undefined || ranges === undefined)
    throw new Fault('Internal', 'ranges of a source of unknown length');
  const head = await source.head(firstRequestBytes);
  const rangeReader = new RangeReader({
    totalBytes,
    head,
    parts: ranges.parts,
    answerMs: ranges.answerMs,
    fill: (start, memory, onFilled) => ranges.fill(start, memory, onFilled),
  });
  const { timer, staging, hooks, probe } = transfer;
  const reader = shownBy(rangeReader, probe, totalBytes);
  const onPercent = (percent: number): void => timer.advance({ bytesDone: Math.floor((totalBytes * percent) / 100) });
  const conversion = { ...conversionOf(transfer), reader, onPercent };
  try {
    const image = await openPackedImage({ ...conversion, totalBytes });
    if (image !== undefined) return await unpackDisk(image, conversion, transfer);
    const plain = { ...conversion, totalBytes };
    // Of a VHDX qemu-img does not tell where its content lies.
    const extents = probe.format === 'vhdx' ? undefined : await findPlainExtents(plain, staging, hooks);
    if (extents !== undefined) return await copyPlainly(extents, conversion, transfer);
    return convertedDisk(transfer, await convertFromReader(conversion, staging, hooks));
  } finally {
    await source.close();
    await rangeReader.close();
  }
}

async function copyPlainly(
  extents: readonly PlainExtent[],
  { reader, onPercent }: Pick<Conversion, 'reader' | 'onPercent'>,
  { target, signal, probe }: Transfer,
): Promise<BroughtDisk> {
  const onCopied = (bytes: number): void => onPercent((100 * bytes) / target.sizeBytes);
  const found = { format: probe.format, warnings: [] };
  return writeDisk(target, found, (writer) => copyExtents(extents, reader, writer, { signal, onCopied }));
}

async function unpackDisk(
  image: PackedImage,
  { reader, signal, onPercent }: Pick<Conversion, 'reader' | 'signal' | 'onPercent'>,
  { target, probe, staging, hooks }: Transfer,
): Promise<BroughtDisk> {
  const onCopied = (bytes: number): void => onPercent((100 * bytes) / target.sizeBytes);
  const found = { format: probe.format, warnings: [] };
  return writeDisk(target, found, (writer) => copyPacked(image, writer, { reader, staging, hooks, signal, onCopied }));
}

/** An image in the staging: unpacked, or converted by qemu-img. @param totalBytes undefined while it comes */
async function convertStagedFile(
  conversion: Conversion,
  totalBytes: number | undefined,
  transfer: Transfer,
): Promise<BroughtDisk> {
  const image = await openPackedImage({ ...conversion, totalBytes });
  if (image !== undefined) return unpackDisk(image, conversion, transfer);
  return convertedDisk(transfer, await convertFromReader(conversion, transfer.staging, transfer.hooks));
}

/** One pass into the scratch file, which qemu-img reads while it grows. Both end together: the failure of one ends the other. */
export async function convertStaged(
  source: ByteStream,
  digest: SourceDigest,
  { scratchBytes, keptBytes, marks }: KeptFile & { scratchBytes: number },
  transfer: Transfer,
): Promise<BroughtDisk> {
  const { staging, hooks, timer, probe } = transfer;
  await staging.reserveScratch(scratchBytes);
  const stop = new AbortController();
  const signal = AbortSignal.any([transfer.signal, stop.signal]);
  let reader: GrowingFile | undefined;
  const onGrown = (bytes: number): void => reader?.grow(bytes);
  const kept = { keptBytes, marks, onGrown };
  const writer = await ScratchWriter.open(staging.sourcePath, { capBytes: scratchBytes, durable: false, ...kept });
  const growing = await GrowingFile.open(staging.sourcePath, false).catch((error: unknown) => {
    writer.destroy();
    throw error;
  });
  reader = growing;
  const passing = digest.through(source.pieces(), (bytes) => timer.advance({ bytesDone: bytes }));
  const fetching = decompressInto(passing, probe.compressions, writer, { ...hooks, signal }).then(
    () => growing.end(),
    (error: unknown) => {
      growing.fail(error);
      throw error;
    },
  );
  const conversion = { ...conversionOf(transfer), signal, reader: growing, onPercent: () => undefined };
  const converting = convertStagedFile(conversion, undefined, transfer);
  try {
    await bothOrFirstFailure(fetching, converting, stop);
  } finally {
    await growing.close();
  }
  return converting;
}

/** One pass into the scratch file. @param durable whether it has to outlive a crash. @returns how many bytes are in it then, unpacked */
export async function bringToScratch(
  source: ByteStream,
  digest: SourceDigest,
  { scratchBytes, durable, ...kept }: { scratchBytes: number; durable: boolean } & Partial<KeptFile>,
  { staging, hooks, timer, probe, signal }: Transfer,
): Promise<number> {
  await staging.reserveScratch(scratchBytes);
  const writer = await ScratchWriter.open(staging.sourcePath, { capBytes: scratchBytes, durable, ...kept });
  const passing = digest.through(source.pieces(), (bytes) => timer.advance({ bytesDone: bytes }));
  await decompressInto(passing, probe.compressions, writer, { ...hooks, signal });
  return writer.bytesWritten;
}

/** An image that lies in the staging already. @param transfer with the probe of that very file */
export async function convertReceivedFile(
  transfer: Transfer,
  fileBytes: number,
  onPercent: (percent: number) => void = () => undefined,
): Promise<BroughtDisk> {
  const file = await GrowingFile.open(transfer.staging.sourcePath, true);
  const reader = shownBy(file, transfer.probe, fileBytes);
  try {
    return await convertStagedFile({ ...conversionOf(transfer), reader, onPercent }, fileBytes, transfer);
  } finally {
    await file.close();
  }
}

function shownBy(reader: RandomReader, { shown }: ImageProbe, fileBytes: number): RandomReader {
  return shown === undefined ? reader : new ShownReader(reader, shown, fileBytes);
}

/** A new disk, to which `write` gives all that it has. Where that fails, its file is closed when this rejects. */
async function writeDisk(
  target: DiskTarget & Pick<DiskWriterOptions, 'withoutTrailer' | 'keptBytes' | 'marks'>,
  found: FoundDisk,
  write: (writer: DiskWriter) => Promise<void>,
): Promise<BroughtDisk> {
  const { path, sizeBytes, ...options } = target;
  const writer = await DiskWriter.open(path, { capBytes: sizeBytes, ...options });
  try {
    await write(writer);
  } catch (error) {
    await writer.leave();
    throw isTooLarge(error) ? imageTooLarge(undefined, sizeBytes) : error;
  }
  return { found, settle: () => writer.finish(sizeBytes), [Symbol.asyncDispose]: () => writer.leave() };
}

/** qemu-img has closed it already. */
function convertedDisk({ target, signal, probe }: Transfer, digest: FollowingDigest): BroughtDisk {
  return {
    found: { format: probe.format, warnings: [] },
    settle: () => settleConvertedDisk(target, digest, signal),
    [Symbol.asyncDispose]: () => digest[Symbol.asyncDispose](),
  };
}

function conversionOf({ probe, target, signal }: Transfer) {
  return { format: probe.format, capBytes: target.sizeBytes, signal };
}

async function bothOrFirstFailure(
  fetching: Promise<void>,
  converting: Promise<BroughtDisk>,
  stop: AbortController,
): Promise<void> {
  try {
    await Promise.all([fetching, converting]);
  } catch (error) {
    stop.abort(error instanceof Fault ? error : new Fault('Cancelled', 'another part of the transfer failed'));
    const [, converted] = await Promise.allSettled([fetching, converting]);
    if (converted.status === 'fulfilled') await converted.value[Symbol.asyncDispose]();
    throw error;
  }
}

function isTooLarge(error: unknown): boolean {
  return error instanceof Fault && error.code === 'ImageTooLarge';
}
