// A watch as an AsyncIterable, for code that reads objects one by one. Who reads too slowly gets `Gone`, so that memory stays bounded.
import { Fault } from '../../domain/fault.ts';
import type { KubeObject, WatchEvent } from '../../domain/object-store.ts';
import type { ChangeListener } from './collection.ts';
import { objectOf, type StoredEntry } from './stored-entry.ts';

export interface FollowSource {
  entries(): StoredEntry[];
  follow(since: string, listener: ChangeListener): () => void;
  version(): string;
}

/** Changes that may wait for a slow reader. */
const backlogLimit = 100_000;
/** An idle watch is told where the store is, so that it can resume from there. */
const bookmarkEveryMs = 60_000;

type Pending = { type: 'ADDED' | 'MODIFIED' | 'DELETED'; entry: StoredEntry } | { type: 'BOOKMARK'; version: string };

function eventOf<T extends KubeObject>(pending: Pending): WatchEvent<T> {
  return pending.type === 'BOOKMARK'
    ? { type: 'BOOKMARK', resourceVersion: pending.version }
    : { type: pending.type, object: objectOf<T>(pending.entry) };
}

/** Holds what was told and not yet read; wakes the reader. */
class Backlog {
  #items: Pending[] = [];
  #wake: (() => void) | undefined;
  #over = false;

  add(pending: Pending): void {
    if (this.#items.length < backlogLimit) this.#items.push(pending);
    else this.#over = true;
    this.wake();
  }

  wake(): void {
    this.#wake?.();
    this.#wake = undefined;
  }

  take(): Pending[] {
    const items = this.#items;
    this.#items = [];
    if (this.#over && items.length === 0) throw new Fault('Gone', 'the watch was read too slowly');
    return items;
  }

  get empty(): boolean {
    return this.#items.length === 0 && !this.#over;
  }

  wait(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}

/** @throws Fault Gone while iterating. Ends when the signal aborts; nothing is left behind. */
export async function* followAsIterable<T extends KubeObject>(
  source: FollowSource,
  options: { resourceVersion?: string; signal: AbortSignal },
): AsyncGenerator<WatchEvent<T>> {
  const backlog = new Backlog();
  const since = options.resourceVersion ?? source.version();
  if (options.resourceVersion === undefined) {
    for (const entry of source.entries()) backlog.add({ type: 'ADDED', entry });
    backlog.add({ type: 'BOOKMARK', version: since });
  }
  const stop = source.follow(since, ({ type, entry }) => backlog.add({ type, entry }));
  const bookmarks = setInterval(() => backlog.add({ type: 'BOOKMARK', version: source.version() }), bookmarkEveryMs);
  bookmarks.unref();
  const onAbort = (): void => backlog.wake();
  options.signal.addEventListener('abort', onAbort, { once: true });
  try {
    while (!options.signal.aborted) {
      for (const pending of backlog.take()) {
        if (options.signal.aborted) return;
        yield eventOf<T>(pending);
      }
      if (backlog.empty && !options.signal.aborted) await backlog.wait();
    }
  } finally {
    stop();
    clearInterval(bookmarks);
    options.signal.removeEventListener('abort', onAbort);
  }
}
