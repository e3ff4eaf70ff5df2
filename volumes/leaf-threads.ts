// Threads that read blocks of one file and hash them, beside the event loop. Made for one digest and ended with it: an idle service has none.
import { Worker } from 'node:worker_threads';
import { Fault, toFault } from '../domain/fault.ts';

export interface LeafThreadData {
  /** Open for reading in this process for as long as there are threads. */
  descriptor: number;
}

/** Blocks that lie one after the other. */
export interface LeafOrder {
  first: number;
  count: number;
  /** Of the file. */
  sizeBytes: number;
}

export interface LeafAnswer {
  /** One after the other, 32 bytes each. */
  leaves: Uint8Array;
}

interface Thread {
  worker: Worker;
  /** Orders that it has not answered yet; it answers in order. */
  waiting: PromiseWithResolvers<Uint8Array>[];
}

/** So that a thread need not wait for the next order. */
const ordersAtOnce = 2;

export class LeafThreads {
  readonly #threads: Thread[];
  #failure: Fault | undefined;
  #change = Promise.withResolvers<void>();

  constructor(count: number, data: LeafThreadData) {
    this.#threads = Array.from({ length: count }, () => this.#start(data));
  }

  /** Settles when a thread will take an order at once. @throws Fault once one has failed */
  async ready(): Promise<void> {
    while (this.#failure === undefined && this.#idlest().waiting.length >= ordersAtOnce) await this.#change.promise;
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** @throws Fault where the file cannot be read */
  leavesOf(order: LeafOrder): Promise<Uint8Array> {
    const answer = Promise.withResolvers<Uint8Array>();
    const { worker, waiting } = this.#idlest();
    waiting.push(answer);
    worker.postMessage(order);
    if (this.#failure !== undefined) answer.reject(this.#failure);
    return answer.promise;
  }

  /** After this no thread uses the descriptor; what was not answered rejects with the reason. */
  async close(reason: Fault): Promise<void> {
    this.#fail(reason);
    await Promise.all(this.#threads.map(({ worker }) => worker.terminate()));
  }

  #start(data: LeafThreadData): Thread {
    // The memory of blocks is not on its heap.
    const resourceLimits = { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 4 };
    const worker = new Worker(threadUrl(), { workerData: data, execArgv: [], resourceLimits });
    const thread: Thread = { worker, waiting: [] };
    worker.on('message', ({ leaves }: LeafAnswer) => {
      thread.waiting.shift()?.resolve(leaves);
      this.#tellChange();
    });
    worker.once('error', (error) => this.#fail(toFault(error)));
    worker.once('exit', (code) => this.#fail(new Fault('Internal', `a hashing thread ended with ${code}`)));
    return thread;
  }

  #idlest(): Thread {
    // Safe: there is at least one.
    return this.#threads.reduce((one, other) => (other.waiting.length < one.waiting.length ? other : one));
  }

  #fail(fault: Fault): void {
    this.#failure ??= fault;
    for (const { waiting } of this.#threads) {
      for (const answer of waiting.splice(0)) answer.reject(this.#failure);
    }
    this.#tellChange();
  }

  #tellChange(): void {
    this.#change.resolve();
    this.#change = Promise.withResolvers<void>();
  }
}

/** Beside this file, with its ending: .ts where tests run the sources, .js where the product runs. */
function threadUrl(): URL {
  return import.meta.url.endsWith('.ts')
    ? new URL('./leaf-thread.ts', import.meta.url)
    : new URL('./leaf-thread.js', import.meta.url);
}
