// The store's thread as seen from the service: hands over operations and tells when they are durable. What is asked for while a batch is
// on its way goes together in the next one, so that many writers share one fsync.
import { Worker } from 'node:worker_threads';
import { Fault, faultFromRecord, toFault } from '../../domain/fault.ts';
import type { StoreOperation, StoreRow } from './store-database.ts';
import type { ThreadReply, ThreadRequest } from './store-thread.ts';

interface Waiting {
  operation: StoreOperation;
  version: number;
  durable: () => void;
  failed: (fault: Fault) => void;
}

export class StoreWriter {
  readonly #thread: Worker;
  #queue: Waiting[] = [];
  #inFlight: Waiting[] = [];
  #closing: { closed: () => void; failed: (fault: Fault) => void } | undefined;
  #dead: Fault | undefined;

  private constructor(thread: Worker) {
    this.#thread = thread;
  }

  /**
   * Opens or creates the file, and gives every row to `onRows` before it resolves.
   * @returns the writer and the highest durable version
   * @throws Fault NewerVersion, AlreadyRunning, NoSpace, PermissionDenied, Internal; the thread has ended then
   */
  static async open(
    path: string,
    onRows: (rows: StoreRow[]) => void,
  ): Promise<{ writer: StoreWriter; version: number }> {
    // Compiled code stands beside compiled code, source beside source.
    const entry = import.meta.url.endsWith('.ts') ? './store-thread.ts' : './store-thread.js';
    const thread = new Worker(new URL(entry, import.meta.url), {
      workerData: { storePath: path },
      name: 'store',
      // Flags of the process are for its own entry, not for this one.
      execArgv: [],
    });
    const writer = new StoreWriter(thread);
    try {
      const version = await new Promise<number>((resolve, reject) => {
        thread.on('error', (error) => {
          writer.#end(toFault(error));
          reject(toFault(error));
        });
        thread.on('exit', () => {
          writer.#end(new Fault('Interrupted', 'the store is closed'));
          reject(new Fault('Internal', 'the thread of the store ended while opening'));
        });
        thread.on('message', (reply: ThreadReply) => {
          if (reply.kind === 'rows') onRows(reply.rows);
          else if (reply.kind === 'opened') resolve(reply.version);
          else if (reply.kind === 'failed' && writer.#inFlight.length === 0 && writer.#closing === undefined) {
            reject(faultFromRecord(reply));
          } else writer.#take(reply);
        });
      });
      return { writer, version };
    } catch (error) {
      await thread.terminate();
      throw error;
    }
  }

  /** Calls exactly one of the two later, in the order of the calls; `failed` of one is followed by `failed` of all that were waiting. */
  write(operation: StoreOperation, version: number, durable: () => void, failed: (fault: Fault) => void): void {
    if (this.#dead !== undefined) {
      const fault = this.#dead;
      queueMicrotask(() => failed(fault));
      return;
    }
    this.#queue.push({ operation, version, durable, failed });
    if (this.#queue.length === 1 && this.#inFlight.length === 0) queueMicrotask(() => this.#send());
  }

  /** Waits for what is queued, then closes the file. */
  async close(): Promise<void> {
    if (this.#dead !== undefined || this.#closing !== undefined) return;
    await new Promise<void>((closed, failed) => {
      this.#closing = { closed, failed };
      if (this.#inFlight.length === 0 && this.#queue.length === 0) this.#post({ kind: 'close' });
    });
    await this.#thread.terminate();
  }

  #post(request: ThreadRequest): void {
    this.#thread.postMessage(request);
  }

  #send(): void {
    if (this.#inFlight.length > 0 || this.#dead !== undefined) return;
    if (this.#queue.length === 0) {
      if (this.#closing !== undefined) this.#post({ kind: 'close' });
      return;
    }
    this.#inFlight = this.#queue;
    this.#queue = [];
    const version = Math.max(...this.#inFlight.map((waiting) => waiting.version));
    this.#post({ kind: 'batch', operations: this.#inFlight.map((waiting) => waiting.operation), version });
  }

  #take(reply: ThreadReply): void {
    if (reply.kind === 'closed') {
      this.#closing?.closed();
      return;
    }
    const answered = this.#inFlight;
    this.#inFlight = [];
    if (reply.kind === 'done') for (const waiting of answered) waiting.durable();
    if (reply.kind === 'failed') {
      // What waits was decided on top of what failed, so it fails with it.
      const lost = [...answered, ...this.#queue];
      this.#queue = [];
      for (const waiting of lost) waiting.failed(faultFromRecord(reply));
    }
    this.#send();
  }

  #end(fault: Fault): void {
    this.#dead ??= fault;
    const lost = [...this.#inFlight, ...this.#queue];
    this.#inFlight = [];
    this.#queue = [];
    for (const waiting of lost) waiting.failed(fault);
    this.#closing?.closed();
  }
}
