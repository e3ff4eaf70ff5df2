// Makes a file that is written from its beginning durable from time to time, beside the writing, and tells how far it is: the next attempt may go on from there if this process is killed.
import type { FileHandle } from 'node:fs/promises';

export interface DurableMarksOptions {
  /** News that are worth a mark. It waits for two seconds after the one before, or for sixteen times as many news. */
  everyBytes: number;
  /** Told after the file system has them: so many bytes from the beginning, and how long the file is at least. Not told again before it has settled. */
  onDurable(bytes: number, fileBytes: number): Promise<void>;
}

const pauseMs = 2_000;
const pausesInHaste = 16;

export class DurableMarks {
  readonly #file: FileHandle;
  readonly #options: DurableMarksOptions;
  #markedBytes: number;
  #markedAt = performance.now();
  #marking: Promise<void> | undefined;

  /** @param durableBytes that are durable already */
  constructor(file: FileHandle, durableBytes: number, options: DurableMarksOptions) {
    this.#file = file;
    this.#markedBytes = durableBytes;
    this.#options = options;
  }

  /**
   * @param bytes from the beginning that are in the file once `written` has settled
   * @returns the mark, where it is time for one; what it rejects with is the failure of the writing
   */
  reached(bytes: number, written: () => Promise<unknown>): Promise<void> | undefined {
    const { everyBytes } = this.#options;
    const news = bytes - this.#markedBytes;
    if (this.#marking !== undefined || news < everyBytes) return undefined;
    if (news < pausesInHaste * everyBytes && performance.now() - this.#markedAt < pauseMs) return undefined;
    this.#marking = this.#mark(bytes, written()).finally(() => {
      this.#marking = undefined;
    });
    return this.#marking;
  }

  /** Never rejects. Afterwards nothing is told any more, if nothing more is reached. */
  async settled(): Promise<void> {
    await this.#marking?.catch(() => undefined); // told to who reached it
  }

  async #mark(bytes: number, written: Promise<unknown>): Promise<void> {
    await written;
    const { size } = await this.#file.stat();
    await this.#file.datasync();
    await this.#options.onDurable(bytes, Math.min(bytes, size));
    this.#markedBytes = bytes;
    this.#markedAt = performance.now();
  }
}
