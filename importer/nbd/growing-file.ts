// Random access to a file that is still being written from its beginning: a read of what is not there yet waits for it.
import { type FileHandle, open } from 'node:fs/promises';
import { Fault } from '../../domain/fault.ts';
import { beyondEnd, keptPiece, type Piece, type RandomReader, sectorSlackBytes } from './random-reader.ts';

const pieceBytes = 2 * 1024 * 1024;

export class GrowingFile implements RandomReader {
  readonly #file: FileHandle;
  readonly #memory = Buffer.allocUnsafeSlow(pieceBytes);
  #availableBytes: number;
  #complete: boolean;
  #failure: unknown;
  #change = Promise.withResolvers<void>();
  /** One memory for all: reads take turns. */
  #turn: Promise<void> = Promise.resolve();

  private constructor(file: FileHandle, availableBytes: number, complete: boolean) {
    this.#file = file;
    this.#availableBytes = availableBytes;
    this.#complete = complete;
  }

  /** @param complete true where the file is there as a whole already */
  static async open(path: string, complete: boolean): Promise<GrowingFile> {
    const file = await open(path, 'r');
    return new GrowingFile(file, complete ? (await file.stat()).size : 0, complete);
  }

  /** Says that the file is valid up to here. */
  grow(availableBytes: number): void {
    this.#availableBytes = availableBytes;
    this.#tellChange();
  }

  /** Nothing more comes. */
  end(): void {
    this.#complete = true;
    this.#tellChange();
  }

  /** Reads of what is not there yet, and later ones, fail with this. */
  fail(error: unknown): void {
    this.#failure = error;
    this.#tellChange();
  }

  /** The kernel reads ahead. */
  prepare(): boolean {
    return true;
  }

  async *read(offset: number, length: number): AsyncGenerator<Piece, void, undefined> {
    const before = this.#turn;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#turn = promise;
    try {
      await before;
      yield* this.#readInTurn(offset, length);
    } finally {
      resolve();
    }
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  async *#readInTurn(offset: number, length: number): AsyncGenerator<Piece, void, undefined> {
    const end = offset + length;
    await this.#waitFor(end);
    const known = Math.min(end, this.#availableBytes);
    if (end - known > sectorSlackBytes || known <= offset) throw beyondEnd(end, this.#availableBytes);
    for (let at = offset; at < known; ) {
      const { bytesRead } = await this.#file.read(this.#memory, 0, Math.min(pieceBytes, known - at), at);
      if (bytesRead === 0) throw new Fault('Internal', 'the staged file is shorter than it was');
      const released = Promise.withResolvers<void>();
      yield { bytes: this.#memory.subarray(0, bytesRead), release: released.resolve };
      await released.promise;
      at += bytesRead;
    }
    if (end > known) yield keptPiece(Buffer.alloc(end - known));
  }

  async #waitFor(end: number): Promise<void> {
    while (this.#availableBytes < end && !this.#complete && this.#failure === undefined) await this.#change.promise;
    if (this.#availableBytes < end && this.#failure !== undefined) throw this.#failure;
  }

  #tellChange(): void {
    this.#change.resolve();
    this.#change = Promise.withResolvers<void>();
  }
}
