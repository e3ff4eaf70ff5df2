// Writes bytes in order into the staging file `source` and says how far it has come, so that somebody may read it while it grows.
// Pieces are gathered into blocks: their memory may be used again once the next one is asked for. A destroyed writer leaves the file as it is; the
// staging is discarded whole.
import { type FileHandle, open } from 'node:fs/promises';
import { Writable } from 'node:stream';
import { Fault, toFault } from '../domain/fault.ts';
import { DurableMarks, type DurableMarksOptions } from '../volumes/durable-marks.ts';

const blockBytes = 1_048_576;

export interface ScratchWriterOptions {
  /** One byte more is ImageTooLarge. */
  capBytes: number;
  /** Flushed when the stream finishes: for what has to outlive a crash. What is only converted has not, and is spared the writing of all of it. */
  durable: boolean;
  /** Told how many bytes the file has now. */
  onGrown?: (bytes: number) => void;
  /** The file is there, and these bytes of it are right, in whole blocks: they are to come once more. What follows them is cut off. */
  keptBytes?: number;
  marks?: DurableMarksOptions | undefined;
}

export class ScratchWriter extends Writable {
  readonly #file: FileHandle;
  readonly #options: ScratchWriterOptions;
  readonly #keptBytes: number;
  readonly #marks: DurableMarks | undefined;
  #failure: unknown;
  /** One is filled while the other is written. */
  #block = Buffer.allocUnsafeSlow(blockBytes);
  #other = Buffer.allocUnsafeSlow(blockBytes);
  #filled = 0;
  #bytesTaken = 0;
  #bytesWritten = 0;
  #writing: Promise<void> = Promise.resolve();

  private constructor(file: FileHandle, options: ScratchWriterOptions) {
    // With a mark of 1 each piece has been copied before a pipeline asks for the next.
    super({ highWaterMark: 1 });
    this.#file = file;
    this.#options = options;
    const { keptBytes = 0, marks } = options;
    this.#keptBytes = keptBytes;
    this.#marks = marks === undefined ? undefined : new DurableMarks(file, keptBytes, marks);
  }

  static async open(path: string, options: ScratchWriterOptions): Promise<ScratchWriter> {
    const { keptBytes = 0 } = options;
    const file = await open(path, keptBytes === 0 ? 'wx' : 'r+', 0o600).catch((error: unknown) => {
      throw toFault(error);
    });
    if (keptBytes > 0) await file.truncate(keptBytes);
    return new ScratchWriter(file, options);
  }

  /** All of them once the stream has finished. */
  get bytesWritten(): number {
    return this.#bytesWritten;
  }

  override _write(piece: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#take(piece).then(() => done(), done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#finish().then(() => done(), done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#close().then(
      () => done(error),
      () => done(error),
    );
  }

  async #close(): Promise<void> {
    await this.#marks?.settled();
    await this.#file.close();
  }

  async #take(piece: Buffer): Promise<void> {
    this.#bytesTaken += piece.byteLength;
    const { capBytes } = this.#options;
    if (this.#bytesTaken > capBytes) {
      throw new Fault('ImageTooLarge', `the image file has more than ${capBytes} bytes`);
    }
    for (let at = 0; at < piece.byteLength; ) {
      const taken = piece.copy(this.#block, this.#filled, at);
      this.#filled += taken;
      at += taken;
      if (this.#filled === blockBytes) await this.#passOn();
    }
  }

  /** Begins to write the block, once the one before is in the file. */
  async #passOn(): Promise<void> {
    await this.#writing;
    this.#writing = this.#append(this.#block.subarray(0, this.#filled));
    this.#writing.catch(() => undefined); // told by the next block, or at the end
    [this.#block, this.#other] = [this.#other, this.#block];
    this.#filled = 0;
  }

  async #append(bytes: Buffer): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    try {
      const isThere = this.#bytesWritten < this.#keptBytes;
      for (let done = isThere ? bytes.byteLength : 0; done < bytes.byteLength; ) {
        const left = bytes.byteLength - done;
        done += (await this.#file.write(bytes, done, left, this.#bytesWritten + done)).bytesWritten;
      }
    } catch (error) {
      throw toFault(error);
    }
    this.#bytesWritten += bytes.byteLength;
    this.#options.onGrown?.(this.#bytesWritten);
    const isWhole = bytes.byteLength === blockBytes;
    const mark = isWhole ? this.#marks?.reached(this.#bytesWritten, async () => undefined) : undefined;
    mark?.catch((error: unknown) => {
      this.#failure ??= toFault(error);
    });
  }

  async #finish(): Promise<void> {
    await this.#passOn();
    await this.#writing;
    await this.#marks?.settled();
    if (!this.#options.durable) return;
    await this.#file.datasync().catch((error: unknown) => {
      throw toFault(error);
    });
  }
}
