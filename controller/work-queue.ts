// Keys that have to be looked at. One round at a time for each key, a limited number at once, a key that is added while its round runs gets another
// round after it. Rounds that fail are repeated with a delay that doubles up to a cap.
import { Fault } from '../domain/fault.ts';

export interface WorkQueueOptions {
  /** @returns milliseconds after which the key is to be looked at again, undefined: when it is added again */
  work(key: string): Promise<number | undefined>;
  onError(key: string, error: unknown): void;
  concurrency: number;
  retryBaseMs: number;
  retryCapMs: number;
}

interface Entry {
  state: 'idle' | 'queued' | 'running' | 'running-again';
  failures: number;
  timer?: NodeJS.Timeout;
  timerAt?: number;
  /** Wait for a round that begins after they came. */
  waiters: PromiseWithResolvers<void>[];
}

const stops = () => new Fault('Interrupted', 'the controller stops');

export class WorkQueue {
  readonly #options: WorkQueueOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #queued: string[] = [];
  readonly #ended = Promise.withResolvers<void>();
  #running = 0;
  #begun = false;
  #stopped = false;

  constructor(options: WorkQueueOptions) {
    this.#options = options;
  }

  /** Until then keys are only collected: a round that sees half of what exists decides wrongly. */
  begin(): void {
    this.#begun = true;
    this.#next();
  }

  /** Looks at the key as soon as possible. */
  add(key: string): void {
    if (this.#stopped) return;
    const entry = this.#entryOf(key);
    if (entry.state === 'queued' || entry.state === 'running-again') return;
    if (entry.state === 'running') {
      entry.state = 'running-again';
      return;
    }
    this.#clearTimer(entry);
    entry.state = 'queued';
    this.#queued.push(key);
    this.#next();
  }

  /** Looks at the key then, unless it is looked at before. */
  addAfter(key: string, delayMs: number): void {
    if (this.#stopped) return;
    const entry = this.#entryOf(key);
    const at = Date.now() + delayMs;
    if (entry.timerAt !== undefined && entry.timerAt <= at) return;
    this.#clearTimer(entry);
    entry.timerAt = at;
    entry.timer = setTimeout(() => {
      this.#clearTimer(entry);
      this.add(key);
    }, delayMs);
  }

  /** Resolves when a round that begins from now on has ended well; rejects with its error. */
  run(key: string): Promise<void> {
    if (this.#stopped) return Promise.reject(stops());
    const waiter = Promise.withResolvers<void>();
    this.#entryOf(key).waiters.push(waiter);
    this.add(key);
    return waiter.promise;
  }

  /** No round begins any more; resolves when the last one has ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const entry of this.#entries.values()) {
      this.#clearTimer(entry);
      if (entry.state === 'queued') this.#settle(entry.waiters.splice(0), stops());
    }
    this.#queued.length = 0;
    if (this.#running > 0) await this.#ended.promise;
  }

  #entryOf(key: string): Entry {
    const known = this.#entries.get(key);
    if (known !== undefined) return known;
    const made: Entry = { state: 'idle', failures: 0, waiters: [] };
    this.#entries.set(key, made);
    return made;
  }

  #next(): void {
    while (this.#begun && !this.#stopped && this.#running < this.#options.concurrency) {
      const key = this.#queued.shift();
      if (key === undefined) return;
      this.#running += 1;
      void this.#round(key, this.#entryOf(key));
    }
  }

  async #round(key: string, entry: Entry): Promise<void> {
    entry.state = 'running';
    const waiters = entry.waiters.splice(0);
    let again: number | undefined;
    try {
      again = await this.#options.work(key);
      entry.failures = 0;
      this.#settle(waiters);
    } catch (error) {
      const factor = 2 ** Math.min(entry.failures, 20);
      again = Math.min(this.#options.retryCapMs, this.#options.retryBaseMs * factor);
      entry.failures += 1;
      this.#options.onError(key, error);
      this.#settle(waiters, error);
    }
    this.#running -= 1;
    this.#afterRound(key, entry, again);
  }

  #afterRound(key: string, entry: Entry, again: number | undefined): void {
    const wantsMore = entry.state === 'running-again';
    entry.state = 'idle';
    if (this.#stopped) {
      this.#settle(entry.waiters.splice(0), stops());
      if (this.#running === 0) this.#ended.resolve();
      return;
    }
    if (wantsMore) this.add(key);
    else if (again !== undefined) this.addAfter(key, again);
    else if (entry.timer === undefined) this.#entries.delete(key);
    this.#next();
  }

  #settle(waiters: PromiseWithResolvers<void>[], error?: unknown): void {
    for (const waiter of waiters) {
      if (error === undefined) waiter.resolve();
      else waiter.reject(error);
    }
  }

  #clearTimer(entry: Entry): void {
    clearTimeout(entry.timer);
    delete entry.timer;
    delete entry.timerAt;
  }
}
