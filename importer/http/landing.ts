// Memory into which a body of known length comes, in order, and from which it is taken in pieces as large as what came meanwhile.

export class Landing {
  readonly #memory: Buffer;
  #filled = 0;
  #taken = 0;

  /** @param memory as long as the body */
  constructor(memory: Buffer) {
    this.#memory = memory;
  }

  /** Where the next bytes belong; empty once all are there. */
  get rest(): Buffer {
    return this.#memory.subarray(this.#filled);
  }

  /** Bytes that came: at the beginning of `rest` already, or elsewhere. @returns false where there were more of them than belong here */
  add(bytes: Buffer): boolean {
    const rest = this.rest;
    if (bytes.buffer !== rest.buffer || bytes.byteOffset !== rest.byteOffset) bytes.copy(rest);
    this.#filled += Math.min(bytes.byteLength, rest.byteLength);
    return bytes.byteLength <= rest.byteLength;
  }

  /** @returns what came since the last time; undefined for nothing */
  take(): Buffer | undefined {
    if (this.#taken === this.#filled) return undefined;
    const piece = this.#memory.subarray(this.#taken, this.#filled);
    this.#taken = this.#filled;
    return piece;
  }
}
