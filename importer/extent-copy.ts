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
import type { RandomReader } from './nbd/random-reader.ts';
import type { TransferHooks } from './transfer-hooks.ts';

/** Of the disk: that many bytes from `start` on are those of the source from `offset` on. */
export interface PlainExtent {
  start: number;
  length: number;
  offset: number;
}

/** Of extents that follow: as much as is fetched ahead of one. */
const preparedBytes = 8 * 1024 * 1024;
/** So that memory stays bounded: about 8 MiB. An image in more pieces is for qemu-img to convert. */
const mostExtents = 65_536;

/**
 * The data of the image, in order; the rest of it is zeros.
 * @returns undefined where qemu-img has to convert it: something is compressed, or it is in too many pieces
 * @throws Fault of the reader, CorruptImage, ConversionFailed, OutOfMemory, TimedOut, or the reason of the abort; no child or socket is left
 */
export async function findPlainExtents(
  { reader, format, signal }: Pick<Conversion, 'reader' | 'format' | 'signal'>,
  staging: Staging,
  { qemuImg }: Pick<TransferHooks, 'qemuImg'>,
): Promise<PlainExtent[] | undefined> {
  const server = await NbdServer.listen(join(staging.directory, 'nbd'), reader);
  const ended = AbortSignal.any([signal, server.failed]);
  try {
    return await plainOnes(qemuImg.map({ source: { nbdSocket: server.socketPath }, format }, ended));
  } catch (error) {
    throw server.failed.aborted ? server.failed.reason : error;
  } finally {
    await server.close();
  }
}

async function plainOnes(mapped: AsyncIterable<MappedExtent>): Promise<PlainExtent[] | undefined> {
  const extents: PlainExtent[] = [];
  let end = 0;
  for await (const { start, length, zero, offset } of mapped) {
    // An image may have taken qemu-img over: what it says is not believed.
    if (start < end) throw new Fault('ConversionFailed', `qemu-img maps byte ${start} after byte ${end}`);
    end = start + length;
    if (zero) continue;
    if (offset === undefined || extents.length === mostExtents) return undefined;
    extents.push({ start, length, offset });
  }
  return extents;
}

/** The writer has all of it afterwards but the zeros at the end; a failure destroys the writer. @throws Fault of the reader, ImageTooLarge, NoSpace */
export async function copyExtents(
  extents: readonly PlainExtent[],
  reader: RandomReader,
  writer: DiskWriter,
  { signal, onCopied }: { signal: AbortSignal; onCopied: (bytes: number) => void },
): Promise<void> {
  const bytes = async function* (): AsyncGenerator<Buffer, void, undefined> {
    for (const [index, { start, length, offset }] of extents.entries()) {
      await writer.skip(start - writer.bytesWritten);
      prepareFrom(extents, index + 1, reader);
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

/** What comes next is fetched meanwhile, where it is near: within a long extent the reader sees for itself how reading goes on. */
function prepareFrom(extents: readonly PlainExtent[], index: number, reader: RandomReader): void {
  let bytes = 0;
  for (let next = index; next < extents.length; next += 1) {
    const extent = extents[next];
    bytes += extent?.length ?? 0;
    if (extent === undefined || bytes > preparedBytes) return;
    reader.prepare(extent.offset, extent.length);
  }
}
