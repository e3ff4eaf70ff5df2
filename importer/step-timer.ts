// Runs the steps of a transfer one after the other, measures each, and tells progress without flooding whoever listens.
import type { TransferReport, TransferStep } from '../domain/volume-record.ts';
import type { TransferHooks, TransferProgress } from './transfer-hooks.ts';

const progressIntervalMs = 250;

type StepRow = TransferReport['steps'][number];

export class StepTimer {
  readonly #hooks: Pick<TransferHooks, 'onProgress' | 'signal'>;
  readonly #rows: StepRow[] = [];
  /** Told besides the hooks. */
  onTold: (progress: TransferProgress) => void = () => undefined;
  #current: TransferProgress = { step: 'probe', bytesDone: 0, bytesFetched: 0 };
  #lastTold = 0;

  constructor(hooks: Pick<TransferHooks, 'onProgress' | 'signal'>) {
    this.#hooks = hooks;
  }

  get rows(): StepRow[] {
    return this.#rows;
  }

  /** Runs one step; its bytes are those that `advance` told meanwhile. */
  async run<T>(step: TransferStep, work: () => Promise<T> | T): Promise<T> {
    this.#hooks.signal.throwIfAborted();
    const started = performance.now();
    const { bytesDone } = this.#current;
    this.#current = { ...this.#current, step };
    this.#tell();
    try {
      return await work();
    } finally {
      const seconds = (performance.now() - started) / 1000;
      this.#add({ step, seconds, bytes: Math.max(0, this.#current.bytesDone - bytesDone) });
      this.#tell();
    }
  }

  /** Notes how far the running step is; told at most four times a second. */
  advance(change: Partial<Omit<TransferProgress, 'step'>>): void {
    this.#current = { ...this.#current, ...change };
    if (performance.now() - this.#lastTold >= progressIntervalMs) this.#tell();
  }

  /** A step that ran again, when an import began anew, has one row all the same. */
  #add({ step, seconds, bytes }: StepRow): void {
    const row = this.#rows.find((former) => former.step === step);
    if (row === undefined) this.#rows.push({ step, seconds, bytes });
    else Object.assign(row, { seconds: row.seconds + seconds, bytes: row.bytes + bytes });
  }

  #tell(): void {
    this.#lastTold = performance.now();
    this.#hooks.onProgress(this.#current);
    this.onTold(this.#current);
  }
}
