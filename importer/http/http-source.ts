// Content that a server gives over HTTP. The first request asks for 64 KiB; what follows depends on the answer: a server that serves ranges is asked for the
// rest from where the first answer ended, over several connections where that is faster; one that ignores them is simply read on. No byte is fetched twice
// unless a connection drops.
// A dropped connection goes on from the last byte if the server proves with its validator that the content is still the same.
import { setTimeout as delay } from 'node:timers/promises';
import { Fault, retryAfterOf } from '../../domain/fault.ts';
import type { SourceVersion } from '../../domain/source-version.ts';
import { firstRequestBytes, type ImageSource, type SourceContinuation, type SourceRanges } from '../image-source.ts';
import { PeekedStream } from '../peeked-stream.ts';
import { chunksOf, type Pace } from './answer-chunks.ts';
import {
  contentLengthOf,
  contentRangeOf,
  identityOf,
  ifRangeOf,
  strongValidatorOf,
  type Validator,
  validatorOf,
  versionOf,
} from './answer-headers.ts';
import type { ContentPlace, ContentServer } from './content-server.ts';
import { accept, firstAnswer } from './first-answer.ts';
import type { HttpAnswer } from './http-answer.ts';
import { faultOfHttpError, isPassingFault, placeOf } from './http-faults.ts';
import { faultOfRange } from './range-answer.ts';
import { type RangedContent, restOfContent } from './rest-of-content.ts';

const resumeLimit = 6;
const firstResumeDelayMs = 100;
/** A server that wants a longer pause than this is asked again by the next attempt: another import may have the place of this one meanwhile. */
const longestResumeDelayMs = 10_000;

export class HttpSource implements ImageSource, SourceRanges {
  readonly #server: ContentServer;
  readonly #url: string;
  readonly #pace: Pace;
  readonly #first: HttpAnswer;
  readonly #bytes: PeekedStream;
  readonly #validator: Validator;
  readonly totalBytes: number | undefined;
  readonly ranges: SourceRanges | undefined;
  /** While only the head is looked at, no more than that is asked for. */
  #wholeWanted = false;
  #headWantedBytes = firstRequestBytes;
  readonly #parts: { offset: number; bytes: Buffer }[] = [];
  #fetchedBytes = 0;
  #answerMs: number;
  onFetched: (bytes: number) => void = () => undefined;

  /** @param answerMs how long it took to come */
  private constructor(server: ContentServer, first: HttpAnswer, answerMs: number, url: string, pace: Pace) {
    this.#answerMs = answerMs;
    this.#server = server;
    this.#first = first;
    this.#url = url;
    this.#pace = pace;
    this.#validator = validatorOf(first);
    this.ranges = first.status === 206 ? this : undefined;
    this.totalBytes = first.status === 206 ? contentRangeOf(first)?.total : contentLengthOf(first);
    this.#bytes = new PeekedStream(this.#read());
  }

  /**
   * Sends the first request. Faults: SourceNotFound, SourceUnauthorized, SourceForbidden, SourceRefused, SourceUnavailable, SourceUnreachable,
   * SourceNameUnknown, SourceUntrusted, SourceStalled, RedirectRefused, NotADiskImage (empty).
   * @param server is this source's own from here on, and closed with it
   * @param pace its signal ends this source
   */
  static async open(server: ContentServer, place: ContentPlace, pace: Pace): Promise<HttpSource> {
    const askedAt = performance.now();
    try {
      const first = place.onePass === true ? accept(await server.get({})) : await firstAnswer(server);
      return new HttpSource(server, first, performance.now() - askedAt, place.url, pace);
    } catch (error) {
      await server.close();
      throw error;
    }
  }

  get fetchedBytes(): number {
    return this.#fetchedBytes;
  }

  get answerMs(): number {
    return this.#answerMs;
  }

  get validator(): string | undefined {
    return ifRangeOf(this.#validator);
  }

  get identity(): string | undefined {
    return identityOf(this.#first, this.totalBytes);
  }

  get version(): SourceVersion {
    return { ...versionOf(this.#first), ...(this.totalBytes === undefined ? {} : { bytes: this.totalBytes }) };
  }

  get continuation(): SourceContinuation | undefined {
    const validator = strongValidatorOf(this.#first);
    const { totalBytes } = this;
    if (this.ranges === undefined || totalBytes === undefined || validator === undefined) return undefined;
    const { origin, pathname } = new URL(this.#first.url);
    const piecesFrom = (offset: number) => restOfContent(this.#content, offset, totalBytes);
    return { place: `${origin}${pathname}`, validator, piecesFrom };
  }

  head(bytes: number): Promise<Buffer> {
    this.#headWantedBytes = Math.max(this.#headWantedBytes, bytes);
    return this.#bytes.head(bytes);
  }

  pieces(): AsyncGenerator<Buffer, void, undefined> {
    this.#wholeWanted = true;
    return this.#bytes.pieces();
  }

  /**
   * The bytes from `start` up to `end`, in one request, with more where the connection drops. A piece may be overwritten once the next one is asked for.
   * Faults: SourceChanged, SourceTruncated, SourceInterrupted and those of a request.
   */
  range(start: number, end: number): AsyncGenerator<Buffer, void, undefined> {
    return this.#range(start, end);
  }

  /** Fills the memory with the bytes from `start` on, in order, and tells of each piece how long it is. Faults: those of `range`. */
  async fill(start: number, memory: Buffer, onFilled: (bytes: number) => void = () => undefined): Promise<void> {
    for await (const piece of this.#range(start, start + memory.byteLength, memory)) onFilled(piece.byteLength);
  }

  /** @param memory into which the pieces are put too, one after the other */
  async *#range(
    start: number,
    end: number,
    memory?: Buffer,
    unwanted?: AbortSignal,
  ): AsyncGenerator<Buffer, void, undefined> {
    let offset = start;
    const isOver = (): boolean => offset >= end || unwanted?.aborted === true;
    for (let failures = 0; !isOver(); ) {
      try {
        const answer = await this.#askRange(offset, end);
        for await (const chunk of this.#chunksOf(answer, memory?.subarray(offset - start))) {
          offset += chunk.byteLength;
          this.#count(chunk);
          failures = 0;
          if (offset > end) throw new Fault('SourceTooLong', `${placeOf(this.#url)} sent more than was asked`);
          yield chunk;
          if (unwanted !== undefined && isOver()) return;
        }
        if (offset < end)
          throw new Fault('SourceInterrupted', `${placeOf(this.#url)} ended at byte ${offset} of ${end}`);
      } catch (error) {
        failures += 1;
        if (unwanted !== undefined && !cameInPart(error)) throw error;
        await this.#pauseBeforeResume(error, failures);
      }
    }
  }

  /** Reads a part, such as a table of an image. */
  async readAt(offset: number, length: number): Promise<Buffer> {
    const end = Math.min(offset + length, this.totalBytes ?? 0);
    const known = await this.head(firstRequestBytes);
    if (end <= known.byteLength) return known.subarray(offset, end);
    const part = Buffer.allocUnsafe(Math.max(0, end - offset));
    await this.fill(offset, part);
    this.#parts.push({ offset, bytes: part });
    return part;
  }

  /** What was read by `readAt` so far. */
  get parts(): readonly { offset: number; bytes: Buffer }[] {
    return this.#parts;
  }

  async close(): Promise<void> {
    this.#first.body.destroy();
    await this.#server.close();
  }

  async *#read(): AsyncGenerator<Buffer, void, undefined> {
    let offset = 0;
    try {
      for await (const chunk of this.#chunksOf(this.#first)) {
        offset += chunk.byteLength;
        this.#count(chunk);
        yield chunk;
      }
    } catch (error) {
      if (this.ranges === undefined) throw await this.#whyItEnded(error, offset);
      await this.#pauseBeforeResume(error, 1);
    }
    if (this.ranges !== undefined && this.totalBytes !== undefined) {
      while (offset < this.totalBytes) {
        const end = Math.min(this.totalBytes, this.#headWantedBytes);
        const rest = this.#wholeWanted
          ? restOfContent(this.#content, offset, this.totalBytes)
          : this.range(offset, end);
        for await (const chunk of rest) {
          offset += chunk.byteLength;
          yield chunk;
        }
      }
    }
    this.assertLength(offset);
  }

  /** @throws Fault where that many bytes are not what was declared */
  assertLength(bytes: number): void {
    if (this.#server.sentTooMuch || (this.totalBytes !== undefined && bytes > this.totalBytes)) {
      throw new Fault('SourceTooLong', `${placeOf(this.#url)} declared ${this.totalBytes ?? 0} bytes and sent more`);
    }
    if (this.totalBytes !== undefined && bytes < this.totalBytes) {
      throw new Fault('SourceInterrupted', `${placeOf(this.#url)} ended at byte ${bytes} of ${this.totalBytes}`);
    }
  }

  /**
   * A server without ranges that ends early has lost its connection, or has no more. It is asked once more: what ends twice at the same byte is
   * short, and asking for it again and again would only cost.
   */
  async #whyItEnded(error: unknown, endedAt: number): Promise<Fault> {
    const fault = faultOfHttpError(error, this.#url, { signal: this.#pace.signal, bodyBegan: true });
    if (fault.code !== 'SourceInterrupted') return fault;
    let again = 0;
    try {
      const answer = accept(await this.#server.get({}));
      for await (const chunk of this.#chunksOf(answer)) {
        again += chunk.byteLength;
        this.#count(chunk);
        if (again > endedAt) break;
      }
    } catch (second) {
      const code = faultOfHttpError(second, this.#url, { signal: this.#pace.signal, bodyBegan: true }).code;
      if (code !== 'SourceInterrupted' || again !== endedAt) return fault;
      const total = this.totalBytes === undefined ? '' : ` of ${this.totalBytes}`;
      return new Fault('SourceTruncated', `${placeOf(this.#url)} ended twice at byte ${endedAt}${total}`, {
        cause: error,
      });
    }
    return fault;
  }

  get #content(): RangedContent {
    return {
      range: (start, end) => this.range(start, end),
      fillImpatiently: async (start, memory, onFilled, unwanted) => {
        const pieces = this.#range(start, start + memory.byteLength, memory, unwanted);
        for await (const piece of pieces) onFilled(piece.byteLength);
      },
      signal: this.#pace.signal,
    };
  }

  #chunksOf(answer: HttpAnswer, memory?: Buffer): AsyncGenerator<Buffer, void, undefined> {
    return chunksOf(answer, this.#pace, memory);
  }

  #count(chunk: Buffer): void {
    this.#fetchedBytes += chunk.byteLength;
    this.onFetched(this.#fetchedBytes);
  }

  async #askRange(start: number, end: number): Promise<HttpAnswer> {
    const ifRange = this.validator;
    const condition = ifRange === undefined ? {} : { 'if-range': ifRange };
    const askedAt = performance.now();
    const answer = await this.#server.getRange({ range: `bytes=${start}-${end - 1}`, ...condition });
    this.#answerMs = Math.min(this.#answerMs, performance.now() - askedAt);
    const begun = { url: this.#url, totalBytes: this.totalBytes, validator: this.#validator };
    const fault = faultOfRange(answer, start, begun);
    if (fault === undefined) return answer;
    answer.body.destroy();
    throw fault;
  }

  /** Waits a little where going on may help, else throws what happened. */
  async #pauseBeforeResume(error: unknown, failures: number): Promise<void> {
    const fault = faultOfHttpError(error, this.#url, { signal: this.#pace.signal, bodyBegan: true });
    const mayGoOn = isPassingFault(fault) && this.validator !== undefined && failures < resumeLimit;
    const wishedMs = 1_000 * (retryAfterOf(fault) ?? 0);
    if (!mayGoOn || wishedMs > longestResumeDelayMs || this.#pace.signal.aborted) throw fault;
    const delayMs = Math.max(wishedMs, firstResumeDelayMs * 2 ** (failures - 1));
    await delay(delayMs, undefined, { signal: this.#pace.signal });
  }
}

/** A server that refuses a request, or does not answer it, may take fewer at once. */
function cameInPart(error: unknown): boolean {
  return error instanceof Fault && error.code === 'SourceInterrupted';
}
