// Passes the body of a request on in large pieces, and holds the sender back while the receiver is behind. Unlike a pipeline it leaves the request
// as it is when the receiver fails: it is still to be answered. TLS brings records of 16 KiB, and each write costs more than to copy its bytes: what one
// turn of the event loop brings is gathered, in two memories of which one is filled while the other is written.
import type { IncomingMessage } from 'node:http';
import type { Writable } from 'node:stream';

const memoryBytes = 131_072;

/**
 * Resolves when the whole body was handed over and `target` has ended well; stays pending where the request breaks off, whose end is told by its signal.
 * @throws what `target` failed with, or the signal's reason; what the request still brings is not looked at any more
 */
export function passBody(request: IncomingMessage, target: Writable, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const gathering = new Gathering(request, target);
  const onData = (record: Buffer): void => gathering.take(record);
  const onEnd = (): void => gathering.end();
  // At once, not when somebody awaits the promise: whoever answers the request early decides then whether it flows.
  const letGo = (): void => {
    gathering.giveUp();
    request.off('data', onData).off('end', onEnd);
    signal.removeEventListener('abort', onAbort);
  };
  const fail = (error: unknown): void => {
    letGo();
    reject(error);
  };
  const onAbort = (): void => fail(signal.reason);
  const onFinish = (): void => {
    letGo();
    resolve();
  };
  request.on('data', onData).once('end', onEnd);
  target.once('finish', onFinish).once('error', fail);
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  return promise;
}

class Gathering {
  readonly #request: IncomingMessage;
  readonly #target: Writable;
  readonly #free: Buffer[] = [Buffer.allocUnsafeSlow(memoryBytes), Buffer.allocUnsafeSlow(memoryBytes)];
  #memory: Buffer | undefined = this.#free.pop();
  #filled = 0;
  /** Came while both memories were being written; the request stands still until it is taken. */
  #rest: Buffer | undefined;
  #sending: NodeJS.Immediate | undefined;
  #isEnding = false;
  #isOver = false;

  constructor(request: IncomingMessage, target: Writable) {
    this.#request = request;
    this.#target = target;
  }

  take(record: Buffer): void {
    for (let taken = 0; taken < record.byteLength; ) {
      if (this.#memory === undefined) {
        this.#rest = record.subarray(taken);
        this.#request.pause();
        return;
      }
      const copied = record.copy(this.#memory, this.#filled, taken);
      [taken, this.#filled] = [taken + copied, this.#filled + copied];
      if (this.#filled === memoryBytes) this.#send();
    }
    this.#sending ??= setImmediate(() => {
      this.#sending = undefined;
      this.#send();
    });
  }

  /** A request that stands still tells its end nevertheless, where its last bytes are the rest: the target ends behind them. */
  end(): void {
    this.#isEnding = true;
    if (this.#rest !== undefined) return;
    this.#send();
    this.#target.end();
  }

  giveUp(): void {
    this.#isOver = true;
    clearImmediate(this.#sending);
  }

  #send(): void {
    const memory = this.#memory;
    if (memory === undefined || this.#filled === 0) return;
    const piece = memory.subarray(0, this.#filled);
    [this.#memory, this.#filled] = [this.#free.pop(), 0];
    this.#target.write(piece, () => this.#release(memory));
  }

  #release(memory: Buffer): void {
    if (this.#isOver) return;
    if (this.#memory !== undefined) {
      this.#free.push(memory);
      return;
    }
    this.#memory = memory;
    const rest = this.#rest;
    if (rest === undefined) return;
    this.#rest = undefined;
    this.take(rest);
    if (this.#rest !== undefined) return;
    if (this.#isEnding) this.end();
    else this.#request.resume();
  }
}
