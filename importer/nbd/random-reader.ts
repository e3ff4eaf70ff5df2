// What the NBD server shows: content of which any part can be read.
import { Fault } from '../../domain/fault.ts';

export interface Piece {
  readonly bytes: Buffer;
  /** Owed once by who got it, when the bytes are no longer needed: their memory may be used again then. */
  release(): void;
}

export interface RandomReader {
  /**
   * Says that this part will be read soon. Never fails: a failure comes with the read.
   * @returns false where there is no memory for it yet, so that asking again later may help
   */
  prepare(offset: number, length: number): boolean;
  /**
   * The bytes in order, in pieces. A few may be held while the next ones are asked for; a reader waits for memory in the end.
   * @throws Fault CorruptImage for what lies beyond the end, and whatever the source fails with
   */
  read(offset: number, length: number): AsyncGenerator<Piece, void, undefined>;
}

/** A compressed cluster is read in whole sectors, of which the last one of a file may be short: that much after the end reads as zeros. */
export const sectorSlackBytes = 511;

/** A piece whose memory nobody uses again. */
export function keptPiece(bytes: Buffer): Piece {
  return { bytes, release: () => undefined };
}

/** What a read throws whose end the content does not reach. */
export function beyondEnd(end: number, totalBytes: number): Fault {
  return new Fault('CorruptImage', `the image needs byte ${end} of a file of ${totalBytes} bytes`);
}
