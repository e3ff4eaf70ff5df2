// Two ways to read an archive forward: from bytes that come in order, and from ranges, where a body that nobody wants is not fetched.
import { Fault } from '../../domain/fault.ts';

export interface TarInput {
  /** Bytes taken or skipped so far. */
  readonly position: number;
  /** The next bytes, which stay; fewer only where there are no more. */
  take(length: number): Promise<Buffer>;
  /** @throws Fault CorruptImage where there are not that many */
  skip(length: number): Promise<void>;
}

function endsEarly(position: number): Fault {
  return new Fault('CorruptImage', `the tar archive ends early, at byte ${position}`);
}

/** Bytes that come in order. */
export class TarStream implements TarInput {
  readonly #source: AsyncIterator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);
  #position = 0;

  /** @param source whose pieces may be overwritten once the next one is asked for */
  constructor(source: AsyncIterable<Buffer>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  get position(): number {
    return this.#position;
  }

  async take(length: number): Promise<Buffer> {
    const taken = Buffer.allocUnsafe(length);
    let filled = 0;
    while (filled < length) {
      const piece = await this.#next(length - filled);
      if (piece === undefined) break;
      filled += piece.copy(taken, filled);
    }
    return taken.subarray(0, filled);
  }

  async skip(length: number): Promise<void> {
    for await (const _ of this.pieces(length));
  }

  /** The next bytes as they come. A piece may be overwritten once the next one is asked for. @throws Fault CorruptImage where there are not that many */
  async *pieces(length: number): AsyncGenerator<Buffer, void, undefined> {
    for (let left = length; left > 0; ) {
      const piece = await this.#next(left);
      if (piece === undefined) throw endsEarly(this.#position);
      left -= piece.byteLength;
      yield piece;
    }
  }

  /** Reads to the end of the source, so that whoever checks its bytes sees all of them. */
  async drain(): Promise<void> {
    while ((await this.#next(Number.MAX_SAFE_INTEGER)) !== undefined);
  }

  async #next(most: number): Promise<Buffer | undefined> {
    if (this.#rest.byteLength === 0) {
      const next = await this.#source.next();
      if (next.done === true) return undefined;
      this.#rest = next.value;
    }
    const piece = this.#rest.subarray(0, most);
    this.#rest = this.#rest.subarray(piece.byteLength);
    this.#position += piece.byteLength;
    return piece;
  }
}

const shortestLookBytes = 64 * 1024;
const longestLookBytes = 4 * 1024 * 1024;

/** Reads a part; beyond the end fewer bytes, or none. */
export type ReadPart = (offset: number, length: number) => Promise<Buffer>;

/** Ranges: what lies close together is read in growing steps, what is far is jumped over. */
export class TarRanges implements TarInput {
  readonly #read: ReadPart;
  readonly #totalBytes: number;
  #position = 0;
  #window: { start: number; bytes: Buffer } = { start: 0, bytes: Buffer.alloc(0) };
  #lookBytes = shortestLookBytes;

  constructor(totalBytes: number, read: ReadPart) {
    this.#totalBytes = totalBytes;
    this.#read = read;
  }

  get position(): number {
    return this.#position;
  }

  async take(length: number): Promise<Buffer> {
    const start = this.#position;
    const end = Math.min(start + length, this.#totalBytes);
    if (end > this.#window.start + this.#window.bytes.byteLength) await this.#look(end - start);
    this.#position = end;
    return this.#window.bytes.subarray(start - this.#window.start, end - this.#window.start);
  }

  async skip(length: number): Promise<void> {
    if (this.#position + length > this.#totalBytes) throw endsEarly(this.#totalBytes);
    this.#position += length;
  }

  async #look(least: number): Promise<void> {
    const windowEnd = this.#window.start + this.#window.bytes.byteLength;
    const goesOn = this.#position <= windowEnd;
    this.#lookBytes = goesOn ? Math.min(this.#lookBytes * 2, longestLookBytes) : shortestLookBytes;
    const length = Math.min(Math.max(least, this.#lookBytes), this.#totalBytes - this.#position);
    this.#window = { start: this.#position, bytes: await this.#read(this.#position, length) };
    if (this.#window.bytes.byteLength < length) throw endsEarly(this.#position);
  }
}
