// Brings an image whose content lies in its source as it is: qemu-img says where (it alone reads the format), and the bytes go from there straight
// into the disk, hashed on the way. It saves the way through qemu-img and the reading back, which is most of the work beside the hashing.
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { Fault } from '../domain/fault.ts';
import type { DiskWriter } from '../volumes/disk-writer.ts';
import type { MappedExtent } from '../volumes/qemu-img.ts';
import type { Staging } from '../volumes/staging.ts';
import type { Conversion } from './conversion.ts';
import { NbdServer } from './nbd/nbd-server.ts';
import { beyondEnd, type RandomReader } from './nbd/random-reader.ts';
import type { TransferHooks } from './transfer-hooks.ts';

/** Of the disk: that many bytes from `start` on are those of the source from `offset` on. */
export interface PlainExtent {
  start: number;
  length: number;
  offset: number;
}

/** Of extents that follow: as much as is fetched ahead of one. */
const preparedBytes = 8 * 1024 * 1024;
/** Zeros included, so that memory stays bounded: about 8 MiB. An image in more pieces is for qemu-img to convert. */
const mostExtents = 65_536;
/** More than `fewExtents` that are shorter than this on average are for qemu-img too: it asks for several at once. */
const shortBytes = 64 * 1024;
const fewExtents = 1024;

export interface PlainSource extends Pick<Conversion, 'reader' | 'format' | 'signal'> {
  /** Length of the image as a file. */
  totalBytes: number;
}

/**
 * The data of the image, in order; the rest of it is zeros.
 * @returns undefined where qemu-img has to convert it: something is compressed, or it is in too many or too small pieces
 * @throws Fault of the reader, CorruptImage, ConversionFailed, OutOfMemory, TimedOut, StaleAttempt, or the reason of the abort; no child or socket is left
 */
export async function findPlainExtents(
  { reader, format, signal, totalBytes }: PlainSource,
  staging: Staging,
  { qemuImg }: Pick<TransferHooks, 'qemuImg'>,
): Promise<PlainExtent[] | undefined> {
  const server = await NbdServer.listen(join(staging.directory, 'nbd'), reader);
  const map = qemuImg.map({
    source: { nbdSocket: server.socketPath },
    format,
    signal: AbortSignal.any([signal, server.failed]),
    onSpawn: (pid) => staging.adopt(pid),
  });
  try {
    return await plainOnes(map, totalBytes);
  } catch (error) {
    throw server.failed.aborted ? server.failed.reason : error;
  } finally {
    await server.close();
  }
}

async function plainOnes(mapped: AsyncIterable<MappedExtent>, totalBytes: number): Promise<PlainExtent[] | undefined> {
  const extents: PlainExtent[] = [];
  let [end, pieces, dataBytes] = [0, 0, 0];
  for await (const { start, length, zero, offset } of mapped) {
    // An image may have taken qemu-img over: what it says is not believed.
    if (start < end || length === 0 || !Number.isSafeInteger(start + length)) {
      throw new Fault('ConversionFailed', `qemu-img maps ${length} bytes from byte ${start} on, after byte ${end}`);
    }
    end = start + length;
    pieces += 1;
    if (pieces > mostExtents) return undefined;
    if (zero) continue;
    if (offset === undefined) return undefined;
    // Not left to the reader: what a compressed sector may lack at the end of a file, a plain cluster may not.
    if (offset + length > totalBytes) throw beyondEnd(offset + length, totalBytes);
    extents.push({ start, length, offset });
    dataBytes += length;
  }
  const areShort = extents.length > fewExtents && dataBytes < extents.length * shortBytes;
  return areShort ? undefined : extents;
}

/** The writer has all of it afterwards but the zeros at the end; a failure destroys the writer. @throws Fault of the reader, ImageTooLarge, NoSpace */
export async function copyExtents(
  extents: readonly PlainExtent[],
  reader: RandomReader,
  writer: DiskWriter,
  { signal, onCopied }: { signal: AbortSignal; onCopied: (bytes: number) => void },
): Promise<void> {
  const ahead = new FetchingAhead(extents, reader);
  const bytes = async function* (): AsyncGenerator<Buffer, void, undefined> {
    for (const [index, { start, length, offset }] of extents.entries()) {
      await writer.skip(start - writer.bytesWritten);
      ahead.goOn(index);
      for await (const piece of reader.read(offset, length)) {
        try {
          yield piece.bytes; // copied when the writer wants the next
        } finally {
          piece.release();
        }
        onCopied(writer.bytesWritten);
      }
    }
  };
  await pipeline(bytes, writer, { signal });
}

/** What comes next is fetched meanwhile, where it is near: within a long extent the reader sees for itself how reading goes on. Each extent once. */
class FetchingAhead {
  readonly #extents: readonly PlainExtent[];
  readonly #reader: RandomReader;
  /** The first one that is not prepared. */
  #next = 0;
  /** Where the last prepared one ends, and how far reading is; both count the bytes of the extents. */
  #preparedTo = 0;
  #readTo = 0;

  constructor(extents: readonly PlainExtent[], reader: RandomReader) {
    this.#extents = extents;
    this.#reader = reader;
  }

  /** Reading comes to that extent: every index once, in order. */
  goOn(index: number): void {
    this.#readTo += this.#extents[index]?.length ?? 0;
    if (this.#next <= index) [this.#next, this.#preparedTo] = [index + 1, this.#readTo];
    for (; this.#next < this.#extents.length; this.#next += 1) {
      const extent = this.#extents[this.#next];
      if (extent === undefined || this.#preparedTo + extent.length > this.#readTo + preparedBytes) return;
      if (!this.#reader.prepare(extent.offset, extent.length)) return;
      this.#preparedTo += extent.length;
    }
  }
}
