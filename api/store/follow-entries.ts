// What is in a collection and what changes in it, for one reader at its own pace. What waits for a slow reader is bounded: beyond that it is forgotten,
// and the reader gets `Gone`.
import { Fault } from '../../domain/fault.ts';
import type { ChangeListener } from './collection.ts';
import type { StoredEntry } from './stored-entry.ts';

export interface FollowSource {
  entries(): StoredEntry[];
  follow(since: string, listener: ChangeListener): () => void;
  version(): string;
}

export type Followed =
  | { type: 'ADDED' | 'MODIFIED' | 'DELETED'; entry: StoredEntry }
  /** Where the store is. `endsInitial`: all that was there at the beginning has been told. */
  | { type: 'BOOKMARK'; version: string; endsInitial: boolean };

export interface FollowOptions {
  /** undefined: first what is there, as ADDED, and a bookmark behind it. */
  resourceVersion?: string;
  signal: AbortSignal;
  /** Text of changes that may wait. What is there at the beginning is the store's own text and does not count. */
  backlogBytes: number;
}

/** An idle reader is told where the store is, so that it can resume from there. */
const bookmarkEveryMs = 60_000;
/** Read items are let go together, so that moving the rest costs little. */
const compactEvery = 1_024;

/** Holds what was told and not yet read; wakes the reader. */
class Backlog {
  readonly #mostBytes: number;
  #items: Followed[] = [];
  #read = 0;
  #bytes = 0;
  #isOver = false;
  #wake: (() => void) | undefined;

  constructor(mostBytes: number) {
    this.#mostBytes = mostBytes;
  }

  add(item: Followed): void {
    if (this.#isOver) return;
    this.#items.push(item);
    this.#bytes += sizeOf(item);
    if (this.#bytes > this.#mostBytes) {
      this.#isOver = true;
      this.#items = [];
    }
    this.wake();
  }

  wake(): void {
    this.#wake?.();
    this.#wake = undefined;
  }

  /** @throws Fault Gone */
  check(): void {
    if (this.#isOver) throw new Fault('Gone', 'the watch was read too slowly');
  }

  /** @throws Fault Gone */
  take(): Followed | undefined {
    this.check();
    const item = this.#items[this.#read];
    if (item === undefined) return undefined;
    this.#read += 1;
    this.#bytes -= sizeOf(item);
    if (this.#read === this.#items.length || this.#read === compactEvery) {
      this.#items.splice(0, this.#read);
      this.#read = 0;
    }
    return item;
  }

  /** Resolves at the next change, bookmark or wake. Call only where there is nothing to take. */
  wait(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}

function sizeOf(item: Followed): number {
  return item.type === 'BOOKMARK' ? 0 : item.entry.text.length;
}

/** @throws Fault Gone, MalformedRequest while iterating. Ends when the signal aborts; nothing is left behind. */
export async function* followEntries(source: FollowSource, options: FollowOptions): AsyncGenerator<Followed> {
  const { resourceVersion, signal } = options;
  const since = resourceVersion ?? source.version();
  const backlog = new Backlog(options.backlogBytes);
  const initial = resourceVersion === undefined ? source.entries() : undefined;
  const stop = source.follow(since, ({ type, entry }) => backlog.add({ type, entry }));
  const bookmarks = setInterval(
    () => backlog.add({ type: 'BOOKMARK', version: source.version(), endsInitial: false }),
    bookmarkEveryMs,
  );
  bookmarks.unref();
  const onAbort = (): void => backlog.wake();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    for (const entry of initial ?? []) {
      backlog.check();
      if (signal.aborted) return;
      yield { type: 'ADDED', entry };
    }
    if (initial !== undefined) yield { type: 'BOOKMARK', version: since, endsInitial: true };
    while (!signal.aborted) {
      const item = backlog.take();
      if (item === undefined) await backlog.wait();
      else yield item;
    }
  } finally {
    stop();
    clearInterval(bookmarks);
    signal.removeEventListener('abort', onAbort);
  }
}
