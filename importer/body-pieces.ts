// The body of an upload in large pieces, all in one buffer: one promise and one update of a hash for each MiB in place of one for each record of TLS.
// A wait ends at once when the signal aborts or nobody wants the rest; the body is never destroyed, so that its request can still be answered.
import type { Readable } from 'node:stream';
import { Fault, toFault } from '../domain/fault.ts';

const pieceBytes = 1_048_576;
/** What a slow sender sent is passed on after this time, however little it is. */
const longestGatherMs = 100;

export interface ExpectedBody {
  /** Content-Length of the request. */
  declaredBytes: number | undefined;
  signal: AbortSignal;
  /** Told the bytes so far, with each piece. */
  onBytes(bytes: number): void;
}

/**
 * A piece may be overwritten once the next one is asked for. While none is asked for the body stands still, so that its sender is held back.
 * `return` is owed: it lets go of the body.
 */
export class BodyPieces implements AsyncIterableIterator<Buffer, undefined> {
  readonly #body: Readable;
  readonly #expected: ExpectedBody;
  readonly #piece = Buffer.allocUnsafeSlow(pieceBytes);
  #filled = 0;
  /** Came while the piece was full or not free; the body stands still until it is taken. */
  #rest: Buffer | undefined;
  #bytes = 0;
  #end: 'ended' | Fault | undefined;
  #waiting: PromiseWithResolvers<IteratorResult<Buffer, undefined>> | undefined;
  readonly #timer: NodeJS.Timeout;
  readonly #onData = (record: Buffer): void => this.#take(record);
  readonly #onEnd = (): void => this.#finish(this.#bytes < (this.#expected.declaredBytes ?? 0) ? this.#cut() : 'ended');
  /** A body that breaks off is the client's doing, whichever event tells it. */
  readonly #onBreak = (cause?: unknown): void => this.#finish(cause instanceof Fault ? cause : this.#cut(cause));

  /** Faults of `next`: UploadInterrupted where the body breaks off or ends early, SourceTooLong, the signal's reason. */
  constructor(body: Readable, expected: ExpectedBody) {
    this.#body = body;
    this.#expected = expected;
    this.#timer = setInterval(() => this.#give(), longestGatherMs);
    body.pause().on('data', this.#onData).on('end', this.#onEnd).on('error', this.#onBreak).on('close', this.#onBreak);
    expected.signal.addEventListener('abort', this.#onBreak, { once: true });
    if (body.destroyed || expected.signal.aborted) this.#onBreak();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Buffer, undefined>> {
    const waiting = Promise.withResolvers<IteratorResult<Buffer, undefined>>();
    this.#waiting = waiting;
    this.#filled = 0;
    const rest = this.#rest;
    this.#rest = undefined;
    if (rest !== undefined) this.#fill(rest);
    if (this.#end !== undefined) this.#settle();
    else if (this.#rest === undefined) this.#body.resume();
    return waiting.promise;
  }

  async return(): Promise<IteratorResult<Buffer, undefined>> {
    this.#finish('ended');
    return { done: true, value: undefined };
  }

  #take(record: Buffer): void {
    this.#bytes += record.byteLength;
    const { declaredBytes } = this.#expected;
    if (declaredBytes !== undefined && this.#bytes > declaredBytes) {
      this.#finish(new Fault('SourceTooLong', `the upload declared ${declaredBytes} bytes and sent more`));
    } else this.#fill(record);
  }

  #fill(record: Buffer): void {
    const taken = this.#waiting === undefined ? 0 : record.copy(this.#piece, this.#filled);
    this.#filled += taken;
    if (taken < record.byteLength) {
      this.#rest = record.subarray(taken);
      this.#body.pause();
    }
    if (this.#filled === pieceBytes) this.#give();
  }

  #give(): void {
    if (this.#waiting === undefined || this.#filled === 0) return;
    this.#expected.onBytes(this.#bytes);
    this.#waiting.resolve({ done: false, value: this.#piece.subarray(0, this.#filled) });
    this.#waiting = undefined;
  }

  #finish(end: 'ended' | Fault): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    clearInterval(this.#timer);
    const { signal } = this.#expected;
    signal.removeEventListener('abort', this.#onBreak);
    const body = this.#body;
    body.off('data', this.#onData).off('end', this.#onEnd).off('error', this.#onBreak).off('close', this.#onBreak);
    body.pause();
    this.#settle();
  }

  #settle(): void {
    if (this.#end === 'ended') this.#give();
    if (this.#end instanceof Fault) this.#waiting?.reject(this.#end);
    else this.#waiting?.resolve({ done: true, value: undefined });
    this.#waiting = undefined;
  }

  #cut(cause?: unknown): Fault {
    const { signal, declaredBytes } = this.#expected;
    if (signal.aborted) return toFault(signal.reason, { signal });
    const of = declaredBytes ?? 'an unknown number of';
    return new Fault('UploadInterrupted', `the upload ended after ${this.#bytes} of ${of} bytes`, { cause });
  }
}
