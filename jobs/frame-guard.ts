// Looks at the frames of JSON-RPC (`Content-Length: n`, empty line, n bytes) as they pass and stops a peer that announces too much, before
// anything of that size is kept in memory.
import { Transform, type TransformCallback } from 'node:stream';
import { Fault } from '../domain/fault.ts';

const longestHeader = 1_024;
const endOfHeader = '\r\n\r\n';

/** Passes bytes on unchanged. Fails with Fault TooLarge at a frame over the limit, MalformedRequest at what is no frame. */
export class FrameGuard extends Transform {
  readonly #largestBytes: number;
  #heard = false;
  #header = '';
  #bodyLeft = 0;

  constructor(largestBytes: number) {
    super();
    this.#largestBytes = largestBytes;
  }

  /** Whether anything has come since this was asked last. */
  takeHeard(): boolean {
    const heard = this.#heard;
    this.#heard = false;
    return heard;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.#heard = true;
    try {
      this.#follow(chunk);
    } catch (error) {
      done(error instanceof Error ? error : new Error(String(error)));
      return;
    }
    done(null, chunk);
  }

  #follow(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#bodyLeft > 0) {
        const taken = Math.min(this.#bodyLeft, chunk.length - at);
        this.#bodyLeft -= taken;
        at += taken;
      } else {
        at += this.#readHeader(chunk.subarray(at, at + longestHeader));
      }
    }
  }

  /** @returns how many bytes of the part belong to the header */
  #readHeader(part: Buffer): number {
    const before = this.#header.length;
    this.#header += part.toString('latin1');
    const end = this.#header.indexOf(endOfHeader);
    if (end < 0) {
      if (this.#header.length > longestHeader) throw new Fault('MalformedRequest', 'a frame without a header');
      return part.length;
    }
    const announced = /^content-length: *(\d+)\r?$/im.exec(this.#header.slice(0, end + 1))?.[1];
    if (announced === undefined) throw new Fault('MalformedRequest', 'a frame without a length');
    const bytes = Number(announced);
    if (bytes > this.#largestBytes) {
      throw new Fault('TooLarge', `a message of ${announced} bytes; at most ${this.#largestBytes} are taken`);
    }
    this.#header = '';
    this.#bodyLeft = bytes;
    return end + endOfHeader.length - before;
  }
}
