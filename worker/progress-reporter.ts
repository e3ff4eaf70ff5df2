// Progress of one attempt on its way to the controller: at most two a second, with rate and remaining time reckoned from what passed. Keeps the latest
// numbers for whoever reports the end.
import type { Progress } from '../jobs/channel-protocol.ts';
import type { AttemptKey } from './outbox.ts';

type Told = Omit<Progress, 'volumeId' | 'attempt' | 'bytesPerSecond' | 'etaSeconds'>;

const everyMs = 500;
/** The rate is that of about the last five seconds. */
const windowMs = 5_000;

export class ProgressReporter {
  readonly #key: AttemptKey;
  readonly #send: (progress: Progress) => void;
  readonly #onStep: (step: Progress['step']) => void;
  readonly #now: () => number;
  #sentAt = Number.NEGATIVE_INFINITY;
  #latest: Told | undefined;
  #marks: { at: number; bytesDone: number }[] = [];

  /** @param onStep told when another step begins */
  constructor(
    key: AttemptKey,
    send: (progress: Progress) => void,
    onStep: (step: Progress['step']) => void = () => undefined,
    now: () => number = () => performance.now(),
  ) {
    this.#onStep = onStep;
    this.#key = key;
    this.#send = send;
    this.#now = now;
  }

  /** Bytes that the attempt has read from its source so far. */
  get bytesFetched(): number {
    return this.#latest?.bytesFetched ?? 0;
  }

  report(told: Told): void {
    const now = this.#now();
    if (told.step !== this.#latest?.step) {
      this.#marks = [];
      this.#onStep(told.step);
    }
    this.#latest = told;
    if (now - this.#sentAt < everyMs) return;
    this.#sentAt = now;
    this.#marks.push({ at: now, bytesDone: told.bytesDone });
    this.#marks = this.#marks.filter((mark) => now - mark.at <= windowMs);
    this.#send({ ...this.#key, ...told, ...this.#rate(told, now) });
  }

  #rate(told: Told, now: number): Pick<Progress, 'bytesPerSecond' | 'etaSeconds'> {
    const first = this.#marks[0];
    const seconds = first === undefined ? 0 : (now - first.at) / 1_000;
    if (first === undefined || seconds <= 0) return {};
    const bytesPerSecond = Math.max(0, Math.round((told.bytesDone - first.bytesDone) / seconds));
    if (told.bytesTotal === undefined || bytesPerSecond === 0) return { bytesPerSecond };
    const left = Math.max(0, told.bytesTotal - told.bytesDone);
    return { bytesPerSecond, etaSeconds: Math.ceil(left / bytesPerSecond) };
  }
}
