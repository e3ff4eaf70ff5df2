// Brings an image with compressed clusters straight into the disk: its bytes are fetched ahead, the compressed ones go through the unpacking child, and all
// meet in the order of the disk, where they are hashed on the way. It saves the way through qemu-img and the reading back.
import { PassThrough } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Fault } from '../../domain/fault.ts';
import type { DiskWriter } from '../../volumes/disk-writer.ts';
import type { Staging } from '../../volumes/staging.ts';
import type { DiskPiece } from '../image/qcow2-pieces.ts';
import type { RandomReader } from '../nbd/random-reader.ts';
import type { TransferHooks } from '../transfer-hooks.ts';
import { ClusterUnpacker, type PackedPiece } from './cluster-unpacker.ts';
import { type FetchedPiece, fetchAhead } from './fetch-ahead.ts';
import type { PackedImage } from './packed-image.ts';

export interface PackedCopy {
  reader: RandomReader;
  staging: Staging;
  hooks: Pick<TransferHooks, 'config'>;
  signal: AbortSignal;
  /** Told of how much of the disk is there. */
  onCopied(bytes: number): void;
}

/** Pieces that were sent on and whose clusters were not taken yet; the socket holds less. */
const mostSent = 16;

/**
 * The writer has all of the disk afterwards but the zeros at the end; a failure destroys the writer. No child is left.
 * @throws Fault of the reader, CorruptImage, ImageTooLarge, NoSpace, OutOfMemory, TimedOut, StaleAttempt, or the reason of the abort
 */
export async function copyPacked(
  image: PackedImage,
  writer: DiskWriter,
  { reader, staging, hooks, signal, onCopied }: PackedCopy,
): Promise<void> {
  const { compression, clusterBytes } = image;
  await using unpacker = await ClusterUnpacker.start({ compression, clusterBytes, ...hooks, signal }, staging);
  const stop = new AbortController();
  const fetched = fetchAhead(image.pieces(), reader, AbortSignal.any([signal, stop.signal]));
  const sent = async function* (): AsyncGenerator<FetchedPiece, void, undefined> {
    for await (const each of fetched) {
      yield each;
      if (!isPacked(each.piece)) continue;
      await unpacker.send(each.piece, each.bytes);
      each.release();
    }
  };
  const disk = async function* (pieces: AsyncIterable<FetchedPiece>): AsyncGenerator<Buffer, void, undefined> {
    try {
      for await (const { piece, bytes, release } of pieces) {
        await writer.skip(piece.start - writer.bytesWritten);
        if (isPacked(piece)) yield* unpacker.clustersOf(piece);
        else {
          yield bytes; // copied when the writer wants the next
          release();
        }
        onCopied(writer.bytesWritten);
      }
      await unpacker.end();
    } catch (error) {
      stop.abort(error); // of both failures this is the reason
      throw error;
    } finally {
      // Whoever fetches or sends for a disk that is given up is not waited for.
      stop.abort(new Fault('Cancelled', 'the disk was given up'));
      unpacker.giveUp();
    }
  };
  const queue = new PassThrough({ objectMode: true, highWaterMark: mostSent });
  await pipeline(sent, queue, disk, writer, { signal });
}

function isPacked(piece: DiskPiece): piece is PackedPiece {
  return piece.packed !== undefined;
}
