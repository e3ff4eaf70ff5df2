// Measures the steps of a clone and tells how far it is. A copy is made by another program, so what it has done is read from its target.
import { stat } from 'node:fs/promises';
import type { TransferReport, TransferStep } from '../domain/volume-record.ts';
import type { CloneHooks } from './clone-hooks.ts';

const lookEveryMs = 500;

export class CloneSteps {
  readonly rows: TransferReport['steps'] = [];
  readonly #hooks: CloneHooks;
  #step: TransferStep = 'probe';
  #bytesFetched = 0;
  #lastTold = 0;

  constructor(hooks: CloneHooks) {
    this.#hooks = hooks;
  }

  /** @param bytes what the step has to do with, for the report */
  async run<T>(step: TransferStep, bytes: number, work: () => Promise<T>): Promise<T> {
    this.#hooks.signal.throwIfAborted();
    this.#step = step;
    this.#tell(0, bytes);
    const started = performance.now();
    const result = await work();
    this.rows.push({ step, seconds: (performance.now() - started) / 1_000, bytes });
    this.#tell(bytes, bytes);
    return result;
  }

  /** Tells how far the running step is, at most about twice a second. */
  advance(bytesDone: number, bytesTotal: number): void {
    this.#bytesFetched = bytesDone;
    if (performance.now() - this.#lastTold >= lookEveryMs) this.#tell(bytesDone, bytesTotal);
  }

  /** Tells about twice a second how much of the file is there while the work goes on. */
  async following<T>(path: string, bytesTotal: number, work: () => Promise<T>): Promise<T> {
    const look = async () => {
      const blocks = await stat(path).then(
        (file) => file.blocks,
        () => 0, // not there yet
      );
      this.#bytesFetched = Math.min(blocks * 512, bytesTotal);
      this.#tell(this.#bytesFetched, bytesTotal);
    };
    const timer = setInterval(() => void look(), lookEveryMs);
    try {
      return await work();
    } finally {
      clearInterval(timer);
    }
  }

  #tell(bytesDone: number, bytesTotal: number): void {
    this.#lastTold = performance.now();
    const total = bytesTotal === 0 ? {} : { bytesTotal };
    this.#hooks.onProgress({ step: this.#step, bytesDone, bytesFetched: this.#bytesFetched, ...total });
  }
}
