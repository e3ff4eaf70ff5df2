// What runs in this worker. One run an attempt: a second start of the same attempt joins the first; a later attempt of the volume ends the earlier
// one first. Ending a run aborts its signal and waits until its children are dead and its staging is gone.
import { Fault, faultRecord } from '../domain/fault.ts';
import type { Outcome } from '../jobs/channel-protocol.ts';
import { metrics } from '../runtime/metrics.ts';
import type { AttemptKey } from './outbox.ts';

export type RunOperation = 'import' | 'clone' | 'convert' | 'upload';

/** Clients that wait here for the end of an attempt. */
interface Waiting extends AttemptKey {
  resolvers: Set<(outcome: Outcome) => void>;
  /** Why its last try failed, where the service goes on with it. */
  setback?: Outcome;
}

interface Run extends AttemptKey {
  operation: RunOperation;
  abort: AbortController;
  /** Never rejects. */
  done: Promise<void>;
}

function nameOf(key: AttemptKey): string {
  return `${key.volumeId}.${key.attempt}`;
}

export class Attempts {
  readonly #runs = new Map<string, Run>();
  readonly #waiting = new Map<string, Waiting>();

  list(): AttemptKey[] {
    return [...this.#runs.values()].map(({ volumeId, attempt }) => ({ volumeId, attempt }));
  }

  get size(): number {
    return this.#runs.size;
  }

  isRunning(key: AttemptKey): boolean {
    return this.#runs.has(nameOf(key));
  }

  /**
   * Runs the work, unless this operation of the attempt runs already: then its end is waited for and the work is not started. Another operation
   * of the attempt (the upload before its conversion) ends first.
   * @param outer aborts the run too: the lock of the job, the connection of the upload
   * @throws Fault StaleAttempt where a later attempt of the volume runs; whatever the work throws
   */
  async run(
    key: AttemptKey & { operation: RunOperation },
    outer: AbortSignal,
    work: (signal: AbortSignal) => Promise<void>,
  ): Promise<void> {
    for (let there = this.#runs.get(nameOf(key)); there !== undefined; there = this.#runs.get(nameOf(key))) {
      await there.done;
      if (there.operation === key.operation) return;
    }
    if (this.#ofVolume(key.volumeId).some((run) => run.attempt > key.attempt)) {
      throw new Fault('StaleAttempt', `a later attempt than ${key.attempt} of ${key.volumeId} runs`);
    }
    const abort = new AbortController();
    const working = this.#worked(key, AbortSignal.any([outer, abort.signal]), work);
    const run: Run = { ...key, abort, done: working.catch(() => undefined) };
    this.#runs.set(nameOf(key), run);
    metrics.add('longshore_attempts_running', { operation: key.operation }, 1);
    try {
      await working;
    } finally {
      this.#runs.delete(nameOf(key));
      metrics.add('longshore_attempts_running', { operation: key.operation }, -1);
    }
  }

  /** Ends one attempt. @returns false where it does not run */
  async end(key: AttemptKey, why: Fault): Promise<boolean> {
    const run = this.#runs.get(nameOf(key));
    if (run === undefined) return false;
    run.abort.abort(why);
    await run.done;
    return true;
  }

  /** Ends all attempts of a volume that are earlier than `below`. */
  async endEarlier(volumeId: string, below: number): Promise<void> {
    const why = new Fault('StaleAttempt', `attempt ${below} owns ${volumeId} now`);
    const earlier = this.#ofVolume(volumeId).filter((run) => run.attempt < below);
    await Promise.all(earlier.map((run) => this.end(run, why)));
  }

  async endAll(why: Fault): Promise<void> {
    await Promise.all([...this.#runs.values()].map((run) => this.end(run, why)));
  }

  /** Resolves when nothing runs that runs now. */
  async settled(): Promise<void> {
    await Promise.all([...this.#runs.values()].map((run) => run.done));
  }

  /** How the attempt ends, for a client that waits for it here. @throws the signal's reason */
  outcomeOf(key: AttemptKey, signal: AbortSignal): Promise<Outcome> {
    const name = nameOf(key);
    const { promise, resolve, reject } = Promise.withResolvers<Outcome>();
    const waiting: Waiting = this.#waiting.get(name) ?? { ...key, resolvers: new Set() };
    waiting.resolvers.add(resolve);
    this.#waiting.set(name, waiting);
    const onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    return promise.finally(() => {
      signal.removeEventListener('abort', onAbort);
      waiting.resolvers.delete(resolve);
      if (waiting.resolvers.size === 0 && this.#waiting.get(name) === waiting) this.#waiting.delete(name);
    });
  }

  /** Tells those who wait here how the attempt ended, for good. */
  announce(key: AttemptKey, outcome: Outcome): void {
    for (const resolve of this.#waiting.get(nameOf(key))?.resolvers ?? []) resolve(outcome);
  }

  /** The attempt failed and may be tried again: those who wait here are told only if it is given up. */
  noteSetback(key: AttemptKey, outcome: Outcome): void {
    const waiting = this.#waiting.get(nameOf(key));
    if (waiting !== undefined) waiting.setback = outcome;
  }

  /** Tells those who wait for attempts of the volume that are earlier than `below` (default: for any) why these are given up. */
  announceGivenUp(volumeId: string, why: Fault, below = Number.POSITIVE_INFINITY): void {
    const given: Outcome = { ok: false, fault: faultRecord(why), bytesFetched: 0 };
    for (const waiting of this.#waiting.values()) {
      if (waiting.volumeId === volumeId && waiting.attempt < below) this.announce(waiting, waiting.setback ?? given);
    }
  }

  /** Begins the work in a later turn, when the run is in the list. */
  async #worked(key: AttemptKey, signal: AbortSignal, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    await this.endEarlier(key.volumeId, key.attempt);
    signal.throwIfAborted();
    await work(signal);
  }

  #ofVolume(volumeId: string): Run[] {
    return [...this.#runs.values()].filter((run) => run.volumeId === volumeId);
  }
}
