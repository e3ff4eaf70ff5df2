// Bytes that come once and in order, of which the beginning can be looked at before they are passed on. Nothing is read twice.
import { Fault } from '../domain/fault.ts';

/** The content to import as it arrives: an answer of a web server, or the body of an upload. */
export interface ByteStream {
  /** The first bytes, as many as there are up to `bytes`. May be called again for more, but not after `pieces`. */
  head(bytes: number): Promise<Buffer>;
  /** All bytes from the first on; may be called once. A piece may be overwritten once the next one is asked for. */
  pieces(): AsyncGenerator<Buffer, void, undefined>;
}

export class PeekedStream implements ByteStream {
  readonly #source: AsyncIterator<Buffer>;
  #peeked: Buffer[] = [];
  #peekedBytes = 0;
  #ended = false;
  #passedOn = false;

  constructor(source: AsyncIterable<Buffer>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  async head(bytes: number): Promise<Buffer> {
    if (this.#passedOn) throw new Fault('Internal', 'the stream has been passed on already');
    while (this.#peekedBytes < bytes && !this.#ended) {
      const next = await this.#source.next();
      if (next.done === true) this.#ended = true;
      else {
        this.#peeked.push(Buffer.from(next.value)); // the next piece may overwrite it
        this.#peekedBytes += next.value.byteLength;
      }
    }
    // At most the few hundred KiB that the probe asks for, and the rest of a piece.
    const joined = Buffer.concat(this.#peeked);
    this.#peeked = [joined];
    return joined.subarray(0, bytes);
  }

  async *pieces(): AsyncGenerator<Buffer, void, undefined> {
    if (this.#passedOn) throw new Fault('Internal', 'the stream has been passed on already');
    this.#passedOn = true;
    try {
      for (const chunk of this.#peeked) yield chunk;
      this.#peeked = [];
      while (!this.#ended) {
        const next = await this.#source.next();
        if (next.done === true) return;
        yield next.value;
      }
    } finally {
      await this.#source.return?.();
    }
  }
}
