// Writes bytes in order into the staging file `source` and says how far it has come, so that somebody may read it while it grows.
// A destroyed writer leaves the file as it is; the staging is discarded whole.
import { type FileHandle, open } from 'node:fs/promises';
import { Writable } from 'node:stream';
import { Fault, toFault } from '../domain/fault.ts';

export class ScratchWriter extends Writable {
  readonly #file: FileHandle;
  readonly #capBytes: number;
  readonly #onGrown: (bytes: number) => void;
  #bytesWritten = 0;

  private constructor(file: FileHandle, capBytes: number, onGrown: (bytes: number) => void) {
    super({ highWaterMark: 4 * 1024 * 1024 });
    this.#file = file;
    this.#capBytes = capBytes;
    this.#onGrown = onGrown;
  }

  /** @param capBytes one byte more is ImageTooLarge */
  static async open(
    path: string,
    capBytes: number,
    onGrown: (bytes: number) => void = () => undefined,
  ): Promise<ScratchWriter> {
    const file = await open(path, 'wx', 0o600).catch((error: unknown) => {
      throw toFault(error);
    });
    return new ScratchWriter(file, capBytes, onGrown);
  }

  get bytesWritten(): number {
    return this.#bytesWritten;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#append([chunk]).then(() => done(), done);
  }

  override _writev(chunks: { chunk: Buffer }[], done: (error?: Error | null) => void): void {
    this.#append(chunks.map(({ chunk }) => chunk)).then(() => done(), done);
  }

  /** Durable when the stream finishes. */
  override _final(done: (error?: Error | null) => void): void {
    this.#file.datasync().then(
      () => done(),
      (error: unknown) => done(toFault(error)),
    );
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#file.close().then(
      () => done(error),
      () => done(error),
    );
  }

  async #append(chunks: Buffer[]): Promise<void> {
    const bytes = chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
    if (this.#bytesWritten + bytes > this.#capBytes) {
      throw new Fault('ImageTooLarge', `the image file has more than ${this.#capBytes} bytes`);
    }
    try {
      await this.#writeAll(chunks, bytes);
    } catch (error) {
      throw toFault(error);
    }
    this.#bytesWritten += bytes;
    this.#onGrown(this.#bytesWritten);
  }

  async #writeAll(chunks: Buffer[], bytes: number): Promise<void> {
    let { bytesWritten: done } = await this.#file.writev(chunks, this.#bytesWritten);
    // The rare short write: the rest chunk by chunk.
    let start = 0;
    for (const chunk of chunks) {
      while (done < bytes && done < start + chunk.byteLength) {
        const from = Math.max(0, done - start);
        done += (await this.#file.write(chunk, from, chunk.byteLength - from, this.#bytesWritten + done)).bytesWritten;
      }
      start += chunk.byteLength;
    }
  }
}
