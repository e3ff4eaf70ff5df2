// How bytes get from a source into the disk: straight through, by ranges, or by way of a scratch file. Each leaves the disk unfinished in
// the staging; a failure or abort leaves no child, socket or open file, and whatever lies in the staging is discarded with it.
import { Fault } from '../domain/fault.ts';
import { DiskWriter } from '../volumes/disk-writer.ts';
import type { FollowingDigest } from '../volumes/following-digest.ts';
import type { Staging } from '../volumes/staging.ts';
import { type Conversion, convertFromReader } from './conversion.ts';
import { decompressInto } from './decode/decompressor.ts';
import { copyExtents, findPlainExtents, type PlainExtent } from './extent-copy.ts';
import type { ImageProbe } from './image/probe-image.ts';
import { imageTooLarge } from './image/too-large.ts';
import { firstRequestBytes, type ImageSource } from './image-source.ts';
import { GrowingFile } from './nbd/growing-file.ts';
import { RangeReader } from './nbd/range-reader.ts';
import type { ByteStream } from './peeked-stream.ts';
import { ScratchWriter } from './scratch-writer.ts';
import { type DiskTarget, type SettledDisk, settleConvertedDisk } from './settled-disk.ts';
import type { SourceDigest } from './source-digest.ts';
import type { StepTimer } from './step-timer.ts';
import type { TransferHooks } from './transfer-hooks.ts';

export interface Transfer {
  probe: ImageProbe;
  target: DiskTarget;
  staging: Staging;
  hooks: TransferHooks;
  /** Ends the transfer: the abort of the hooks, or the time limit. */
  signal: AbortSignal;
  timer: StepTimer;
}

/** A disk whose bytes are all there. Disposing gives up what was not settled: its file is closed. */
export interface BroughtDisk extends AsyncDisposable {
  /** Grows the disk to its size, makes it durable and tells its digest. */
  settle(): Promise<SettledDisk>;
}

/** Raw content: decompressed by native children, zeros left out, digests made on the way. */
export async function streamToDisk(source: ByteStream, digest: SourceDigest, transfer: Transfer): Promise<BroughtDisk> {
  const { target, signal, hooks, timer, probe } = transfer;
  // The writer copies a piece before it wants the next; a pipe to a child does not.
  const bytes = probe.compressions.length === 0 ? source.pieces() : source.stream();
  const passing = digest.through(bytes, (done) => timer.advance({ bytesDone: done }));
  return writeDisk(target, (writer) => decompressInto(passing, probe.compressions, writer, { ...hooks, signal }));
}

/** An image that is read by ranges, only where it has data: copied from where its clusters lie, or converted by qemu-img. */
export async function convertByRanges(source: ImageSource, transfer: Transfer): Promise<BroughtDisk> {
  const { totalBytes, ranges } = source;
  if (totalBytes === undefined || ranges === undefined)
    throw new Fault('Internal', 'ranges of a source of unknown length');
  const head = await source.head(firstRequestBytes);
  const reader = new RangeReader({
    totalBytes,
    head,
    parts: ranges.parts,
    fill: (start, memory, onFilled) => ranges.fill(start, memory, onFilled),
  });
  const { timer, staging, hooks, probe } = transfer;
  const onPercent = (percent: number): void => timer.advance({ bytesDone: Math.floor((totalBytes * percent) / 100) });
  const conversion = { ...conversionOf(transfer), reader, onPercent };
  try {
    const plain = { ...conversion, totalBytes };
    const extents = probe.format === 'qcow2' ? await findPlainExtents(plain, staging, hooks) : undefined;
    if (extents !== undefined) return await copyPlainly(extents, conversion, transfer);
    return convertedDisk(transfer, await convertFromReader(conversion, staging, hooks));
  } finally {
    await source.close();
    await reader.close();
  }
}

async function copyPlainly(
  extents: readonly PlainExtent[],
  { reader, onPercent }: Pick<Conversion, 'reader' | 'onPercent'>,
  { target, signal }: Transfer,
): Promise<BroughtDisk> {
  const onCopied = (bytes: number): void => onPercent((100 * bytes) / target.sizeBytes);
  return writeDisk(target, (writer) => copyExtents(extents, reader, writer, { signal, onCopied }));
}

/** One pass into the scratch file, which qemu-img reads while it grows. Both end together: the failure of one ends the other. */
export async function convertStaged(
  source: ByteStream,
  digest: SourceDigest,
  scratchBytes: number,
  transfer: Transfer,
): Promise<BroughtDisk> {
  const { staging, hooks, timer, probe } = transfer;
  staging.reserveScratch(scratchBytes);
  const stop = new AbortController();
  const signal = AbortSignal.any([transfer.signal, stop.signal]);
  let reader: GrowingFile | undefined;
  const writer = await ScratchWriter.open(staging.sourcePath, scratchBytes, (bytes) => reader?.grow(bytes));
  const growing = await GrowingFile.open(staging.sourcePath, false);
  reader = growing;
  const passing = digest.through(source.stream(), (bytes) => timer.advance({ bytesDone: bytes }));
  const fetching = decompressInto(passing, probe.compressions, writer, { ...hooks, signal }).then(
    () => growing.end(),
    (error: unknown) => {
      growing.fail(error);
      throw error;
    },
  );
  const converting = convertFromReader(
    { ...conversionOf(transfer), signal, reader: growing, onPercent: () => undefined },
    staging,
    hooks,
  );
  try {
    await bothOrFirstFailure(fetching, converting, stop);
  } finally {
    await growing.close();
  }
  return convertedDisk(transfer, await converting);
}

/** An image that lies in the staging already. */
export async function convertReceivedFile(transfer: Transfer, fileBytes: number): Promise<BroughtDisk> {
  const reader = await GrowingFile.open(transfer.staging.sourcePath, true);
  const onPercent = (percent: number): void =>
    transfer.timer.advance({ bytesDone: Math.floor((fileBytes * percent) / 100), bytesTotal: fileBytes });
  let digest: FollowingDigest;
  try {
    digest = await convertFromReader(
      { ...conversionOf(transfer), reader, onPercent },
      transfer.staging,
      transfer.hooks,
    );
  } finally {
    await reader.close();
  }
  return convertedDisk(transfer, digest);
}

/** A new disk, to which `write` gives all that it has. Where that fails, its file is closed when this rejects. */
async function writeDisk(target: DiskTarget, write: (writer: DiskWriter) => Promise<void>): Promise<BroughtDisk> {
  const { path, sizeBytes, preallocation } = target;
  const writer = await DiskWriter.open(path, { capBytes: sizeBytes, preallocation });
  try {
    await write(writer);
  } catch (error) {
    await giveUp(writer);
    throw isTooLarge(error) ? imageTooLarge(undefined, sizeBytes) : error;
  }
  return { settle: () => writer.finish(sizeBytes), [Symbol.asyncDispose]: () => giveUp(writer) };
}

/** Returns when the file is closed; who destroyed the writer before does not wait for that. */
async function giveUp(writer: DiskWriter): Promise<void> {
  if (writer.closed) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  writer.on('error', () => undefined); // the attempt has its reason already, and discards the file
  writer.once('close', () => resolve());
  writer.destroy();
  await promise;
}

/** qemu-img has closed it already. */
function convertedDisk({ target, signal }: Transfer, digest: FollowingDigest): BroughtDisk {
  return {
    settle: () => settleConvertedDisk(target, digest, signal),
    [Symbol.asyncDispose]: () => digest[Symbol.asyncDispose](),
  };
}

function conversionOf({ probe, target, signal }: Transfer) {
  return { format: probe.format, capBytes: target.sizeBytes, signal };
}

async function bothOrFirstFailure(
  fetching: Promise<void>,
  converting: Promise<FollowingDigest>,
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
