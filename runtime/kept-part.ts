// Keeps one part of the service running: starts it again with growing pauses when it dies, and kills it when it hangs, so that a part that
// stands still (a stopped process too) never writes another byte after its successor began.
import { setTimeout as delay } from 'node:timers/promises';
import { Fault, toFault } from '../domain/fault.ts';
import type { Logger } from './logger.ts';
import { metrics } from './metrics.ts';

/** One run of a part. */
export interface PartRun {
  readonly pid: number;
  /** Settles when it is gone, with what is known about why. */
  readonly exited: Promise<string>;
  /** Whether it answers; false or a rejection counts as no answer. */
  probe(signal: AbortSignal): Promise<boolean>;
  /** Asks it to end, kills it after the limit, resolves when it is gone. */
  stop(limitMs: number): Promise<void>;
}

export interface KeptPartOptions {
  name: string;
  /** @throws Fault that says why it cannot start */
  start(): Promise<PartRun>;
  logger: Logger;
  /** Told after each start, the first one too. */
  onStart?: (run: PartRun) => void;
  probeEveryMs?: number;
  /** How long a probe may last; one without answer is repeated after half of that. */
  probeTimeoutMs?: number;
  /** That many probes in a row without answer are a hang. */
  probeLimit?: number;
  /** A signal that ends the first start. */
  signal?: AbortSignal;
}

const firstPauseMs = 200;
const longestPauseMs = 10_000;
/** A run that lasted that long was a good one: the next pause is short again. */
const goodRunMs = 60_000;

export class KeptPart {
  readonly #options: KeptPartOptions;
  readonly #stopping = new AbortController();
  #run: PartRun;
  #kept: Promise<void> = Promise.resolve();

  private constructor(options: KeptPartOptions, run: PartRun) {
    this.#options = options;
    this.#run = run;
  }

  /** Resolves after the first start. @throws the Fault of the first start; later ones are tried again */
  static async start(options: KeptPartOptions): Promise<KeptPart> {
    const part = new KeptPart(options, await options.start());
    options.onStart?.(part.#run);
    part.#kept = part.#keep();
    return part;
  }

  get pid(): number {
    return this.#run.pid;
  }

  /** Ends the part for good. */
  async stop(limitMs: number): Promise<void> {
    this.#stopping.abort(new Fault('Interrupted', `${this.#options.name} is to end`));
    await this.#run.stop(limitMs);
    await this.#kept;
  }

  async #keep(): Promise<void> {
    let pauseMs = firstPauseMs;
    while (!this.#stopping.signal.aborted) {
      const began = performance.now();
      const reason = await this.#watch(this.#run);
      if (this.#stopping.signal.aborted) return;
      if (performance.now() - began > goodRunMs) pauseMs = firstPauseMs;
      metrics.count('longshore_child_restarts_total', { child: this.#options.name, reason: reason.kind });
      this.#options.logger.error(
        { child: this.#options.name, pid: this.#run.pid, ...reason, pauseMs },
        'starting it again',
      );
      pauseMs = await this.#startAgain(pauseMs);
    }
  }

  /** Starts until it works or the end is asked. @returns the next pause */
  async #startAgain(pauseMs: number): Promise<number> {
    const { signal } = this.#stopping;
    for (let pause = pauseMs; ; pause = Math.min(pause * 2, longestPauseMs)) {
      await delay(pause, undefined, { signal }).catch(() => undefined); // an end that is asked is seen in the next line
      if (signal.aborted) return pause;
      try {
        this.#run = await this.#options.start();
      } catch (error) {
        this.#options.logger.error({ child: this.#options.name, err: toFault(error) }, 'it cannot start');
        continue;
      }
      // Asked to end while it was starting: stop() has ended the former run only.
      if (signal.aborted) await this.#run.stop(0);
      else this.#options.onStart?.(this.#run);
      return Math.min(pause * 2, longestPauseMs);
    }
  }

  /** Until the run is gone; ends it when it hangs. */
  async #watch(run: PartRun): Promise<{ kind: 'died' | 'hung'; told: string }> {
    const ended = new AbortController();
    const exited = run.exited.then((told) => {
      ended.abort();
      return { kind: 'died' as const, told };
    });
    const hung = this.#untilHung(run, ended.signal);
    const first = await Promise.race([exited, hung]);
    if (first !== 'hung') return first ?? exited;
    this.#options.logger.error({ child: this.#options.name, pid: run.pid }, 'it does not answer and is killed');
    await run.stop(0);
    return { kind: 'hung', told: 'no answer' };
  }

  async #untilHung(run: PartRun, ended: AbortSignal): Promise<'hung' | undefined> {
    const { probeEveryMs = 10_000, probeTimeoutMs = 5_000, probeLimit = 3 } = this.#options;
    const signal = AbortSignal.any([ended, this.#stopping.signal]);
    for (let missed = 0; missed < probeLimit; ) {
      const pauseMs = missed === 0 ? probeEveryMs : probeTimeoutMs / 2;
      await delay(pauseMs, undefined, { signal }).catch(() => undefined); // seen in the next line
      if (signal.aborted) return undefined;
      const limit = AbortSignal.any([signal, AbortSignal.timeout(probeTimeoutMs)]);
      const answers = await run.probe(limit).catch(() => false); // no answer of any kind counts the same
      missed = answers ? 0 : missed + 1;
    }
    return 'hung';
  }
}
