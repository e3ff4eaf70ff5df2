// An image file as qemu-img wants to see it, where that is not as it is: with another first sector, or with zeros after its end for some reads.
import type { ShownFile } from '../image/inspection.ts';
import { keptPiece, type Piece, type RandomReader } from './random-reader.ts';

export class ShownReader implements RandomReader {
  readonly #reader: RandomReader;
  readonly #shown: ShownFile;
  readonly #fileBytes: number;

  constructor(reader: RandomReader, shown: ShownFile, fileBytes: number) {
    this.#reader = reader;
    this.#shown = shown;
    this.#fileBytes = fileBytes;
  }

  prepare(offset: number, length: number): boolean {
    return this.#reader.prepare(offset, length);
  }

  async *read(offset: number, length: number): AsyncGenerator<Piece, void, undefined> {
    const end = offset + length;
    let at = offset;
    const { firstSector } = this.#shown;
    if (firstSector !== undefined && at < firstSector.byteLength) {
      const piece = firstSector.subarray(at, end);
      yield keptPiece(piece);
      at += piece.byteLength;
    }
    const readable = this.#shown.mayPassEnd(offset, length) ? Math.min(end, this.#fileBytes) : end;
    if (at < readable) {
      yield* this.#reader.read(at, readable - at);
      at = readable;
    }
    if (at < end) yield keptPiece(Buffer.alloc(end - at));
  }
}
