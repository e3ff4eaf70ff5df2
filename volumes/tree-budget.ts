// What a tree of files takes of its volume, counted before it is written: blocks as most file systems have them, and something for each entry.
import { Fault } from '../domain/fault.ts';

const entryBytes = 512;
/** Also the least that a directory takes. */
export const blockBytes = 4096;

export class TreeBudget {
  readonly #capBytes: number;
  #usedBytes = 0;

  constructor(capBytes: number) {
    this.#capBytes = capBytes;
  }

  /** One more entry. @param bytes length of a file @throws Fault ImageTooLarge */
  charge(bytes: number): void {
    this.#usedBytes += costOf(bytes);
    if (this.#usedBytes <= this.#capBytes) return;
    const facts = { imageBytes: this.#usedBytes, volumeBytes: this.#capBytes };
    const detail = `the files take at least ${this.#usedBytes} bytes and the volume has ${this.#capBytes}`;
    throw new Fault('ImageTooLarge', detail, { facts });
  }

  /** An entry is gone again. */
  refund(bytes: number): void {
    this.#usedBytes -= costOf(bytes);
  }
}

function costOf(bytes: number): number {
  return entryBytes + Math.ceil(bytes / blockBytes) * blockBytes;
}
