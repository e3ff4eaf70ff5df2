// Expensive looks that many may ask for at once: one run for each key, whoever asks; a limited number of runs at a time, and of those that wait. A run
// ends when the last one that asked for it has gone.
import { Fault, toFault } from '../domain/fault.ts';

export interface SharedRunsOptions {
  /** For the fault's detail, in the plural. */
  what: string;
  atOnce: number;
  mostWaiting: number;
}

interface Run<T> {
  result: Promise<T>;
  abort: AbortController;
  askers: number;
}

export class SharedRuns<T> {
  readonly #options: SharedRunsOptions;
  readonly #runs = new Map<string, Run<T>>();
  readonly #waiting = new Set<() => void>();
  #running = 0;

  constructor(options: SharedRunsOptions) {
    this.#options = options;
  }

  /**
   * Joins the run of that key, or begins one with the work.
   * @throws Fault TooBusy where as many wait as may; the signal's reason; whatever the work throws
   */
  async ask(key: string, signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    if (signal.aborted) throw toFault(signal.reason, { signal });
    const run = this.#runs.get(key) ?? this.#begin(key, work);
    run.askers += 1;
    const gone = Promise.withResolvers<never>();
    const onAbort = () => gone.reject(toFault(signal.reason, { signal }));
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      return await Promise.race([run.result, gone.promise]);
    } finally {
      signal.removeEventListener('abort', onAbort);
      run.askers -= 1;
      if (run.askers === 0) this.#end(key, run);
    }
  }

  #begin(key: string, work: (signal: AbortSignal) => Promise<T>): Run<T> {
    const { what, atOnce, mostWaiting } = this.#options;
    if (this.#running >= atOnce && this.#waiting.size >= mostWaiting) {
      throw new Fault('TooBusy', `${atOnce} ${what} run and ${mostWaiting} wait`);
    }
    const abort = new AbortController();
    const run: Run<T> = { result: this.#inTurn(abort.signal, work), abort, askers: 0 };
    this.#runs.set(key, run);
    return run;
  }

  async #inTurn(signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    if (this.#running < this.#options.atOnce) this.#running += 1;
    else await this.#turn(signal);
    try {
      return await work(signal);
    } finally {
      this.#next();
    }
  }

  /** Resolves with the place of a run that has ended. */
  async #turn(signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const onAbort = () => {
      this.#waiting.delete(resolve);
      reject(toFault(signal.reason, { signal }));
    };
    this.#waiting.add(resolve);
    signal.addEventListener('abort', onAbort, { once: true });
    await promise;
    signal.removeEventListener('abort', onAbort);
  }

  #next(): void {
    const [first] = this.#waiting;
    if (first === undefined) {
      this.#running -= 1;
      return;
    }
    this.#waiting.delete(first);
    first();
  }

  /** Nobody wants it any more, or it has ended: whoever asks now begins another. */
  #end(key: string, run: Run<T>): void {
    if (this.#runs.get(key) === run) this.#runs.delete(key);
    run.result.catch(() => undefined); // who asked has heard of it, or has gone
    run.abort.abort(new Fault('Cancelled', 'nobody waits for it any more'));
  }
}
