// Lets a wait for the next bytes end before they come: by an abort, or because the reader has had enough. Without it a sender that stands still would
// hold up a cancel, since an async generator that waits can be neither thrown into nor returned from.
import { toFault } from '../domain/fault.ts';

/** @returns the same items; `next` rejects with the signal's reason when it aborts, `return` is never held up by a `next` that waits */
export function interruptible<T>(source: AsyncIterable<T>, signal: AbortSignal): AsyncIterable<T> {
  return { [Symbol.asyncIterator]: () => new InterruptibleIterator(source[Symbol.asyncIterator](), signal) };
}

class InterruptibleIterator<T> implements AsyncIterator<T, undefined> {
  readonly #source: AsyncIterator<T>;
  readonly #signal: AbortSignal;
  /** Of the wait that goes on now. One listener for all of them: a race for each would keep something of every item. */
  #waiting: PromiseWithResolvers<IteratorResult<T, undefined>> | undefined;
  readonly #onAbort = () => this.#waiting?.reject(toFault(this.#signal.reason, { signal: this.#signal }));

  constructor(source: AsyncIterator<T>, signal: AbortSignal) {
    this.#source = source;
    this.#signal = signal;
    signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  next(): Promise<IteratorResult<T, undefined>> {
    const waiting = Promise.withResolvers<IteratorResult<T, undefined>>();
    this.#waiting = waiting;
    if (this.#signal.aborted) this.#onAbort();
    else this.#source.next().then(waiting.resolve, waiting.reject);
    return waiting.promise;
  }

  async return(): Promise<IteratorResult<T, undefined>> {
    this.#signal.removeEventListener('abort', this.#onAbort);
    this.#waiting?.resolve({ done: true, value: undefined });
    // Queued behind the wait that goes on; what it says is of no interest any more.
    this.#source.return?.().catch(() => undefined);
    return { done: true, value: undefined };
  }
}
