// What the NBD server shows: content of which any part can be read.

export interface RandomReader {
  /** Says that this part will be read soon. Never fails: a failure comes with the read. */
  prepare(offset: number, length: number): void;
  /**
   * The bytes in order, in pieces. A piece may be overwritten once the next one is asked for.
   * @throws Fault CorruptImage for what lies beyond the end, and whatever the source fails with
   */
  read(offset: number, length: number): AsyncGenerator<Buffer, void, undefined>;
}

/** A compressed cluster is read in whole sectors, of which the last one of a file may be short: that much after the end reads as zeros. */
export const sectorSlackBytes = 511;
