// Parts of a source that are in memory: its beginning, what was known before, and the tables that were read last. Found by bisection, since an
// image with small clusters may have brought thousands of them.

/** A piece of the source in memory. */
export interface KnownPart {
  offset: number;
  bytes: Buffer;
}

const mostRemembered = 32;

export class KnownParts {
  /** Always kept. */
  readonly #head: Buffer;
  /** By offset; of those with the same one the newest is last. */
  readonly #sorted: KnownPart[];
  /** The oldest first. */
  readonly #byAge: KnownPart[];

  constructor(head: Buffer, parts: readonly KnownPart[]) {
    this.#head = head;
    this.#byAge = [...parts];
    this.#sorted = parts.toSorted((one, other) => one.offset - other.offset);
  }

  /** The bytes, where one part has all of them. Of parts that overlap only the one that begins last is looked at. */
  find(offset: number, length: number): Buffer | undefined {
    if (offset + length <= this.#head.byteLength) return this.#head.subarray(offset, offset + length);
    const part = this.#sorted[this.#endOf(offset) - 1];
    if (part === undefined || offset + length > part.offset + part.bytes.byteLength) return undefined;
    return part.bytes.subarray(offset - part.offset, offset - part.offset + length);
  }

  /** In place of the oldest one, where there are many. */
  remember(part: KnownPart): void {
    this.#sorted.splice(this.#endOf(part.offset), 0, part);
    this.#byAge.push(part);
    const oldest = this.#byAge.length > mostRemembered ? this.#byAge.shift() : undefined;
    if (oldest !== undefined) this.#sorted.splice(this.#sorted.indexOf(oldest), 1);
  }

  /** Index after the last part that begins at the offset or before it. */
  #endOf(offset: number): number {
    let [low, high] = [0, this.#sorted.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#sorted[middle]?.offset ?? Number.POSITIVE_INFINITY) <= offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
