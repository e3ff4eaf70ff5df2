// All objects of one kind that are durable, in memory and in order, with the last changes for those who watch. Watches are served
// from here; who asks for a change that is no longer kept gets `Gone`.
import { Fault } from '../../domain/fault.ts';
import type { ListOptions } from '../../domain/object-store.ts';
import { entryMatcher, type StoredEntry } from './stored-entry.ts';

export interface Change {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  /** State after the change; of a removed object the last state, with the version of its removal. */
  readonly entry: StoredEntry;
  /** State before it, to tell whether the object comes into or falls out of a selection. */
  readonly before?: StoredEntry;
}

export type ChangeListener = (change: Change) => void;

/** How many changes of one kind are kept. */
const historyLimit = 2_048;
const historyBytes = 16 * 1024 * 1024;

function keyOf(namespace: string, name: string): string {
  return `${namespace}/${name}`;
}

function byKey(a: StoredEntry, b: StoredEntry): number {
  if (a.namespace !== b.namespace) return a.namespace < b.namespace ? -1 : 1;
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}

/** The change as seen by somebody who sees only what matches. */
function seenThrough(matches: (entry: StoredEntry) => boolean, change: Change): Change | undefined {
  const now = change.type !== 'DELETED' && matches(change.entry);
  const before = change.before !== undefined && matches(change.before);
  if (now) return before || change.type === 'ADDED' ? change : { ...change, type: 'ADDED' };
  if (!before) return undefined;
  return change.type === 'DELETED' ? change : { ...change, type: 'DELETED' };
}

export class Collection {
  readonly #entries = new Map<string, StoredEntry>();
  readonly #listeners = new Set<ChangeListener>();
  #sorted: StoredEntry[] | undefined;
  #history: Change[] = [];
  #historyBytes = 0;
  /** Changes after this version are all kept. */
  #floor: number;

  constructor(floor: number) {
    this.#floor = floor;
  }

  get(namespace: string, name: string): StoredEntry | undefined {
    return this.#entries.get(keyOf(namespace, name));
  }

  /** By namespace and name. */
  list(options: ListOptions = {}): StoredEntry[] {
    this.#sorted ??= [...this.#entries.values()].sort(byKey);
    return this.#sorted.filter(entryMatcher(options));
  }

  /** Puts a row that was read from disk; nobody is told. */
  load(entry: StoredEntry): void {
    this.#entries.set(keyOf(entry.namespace, entry.name), entry);
    this.#sorted = undefined;
  }

  /** Makes a durable change visible and tells everybody who watches. */
  apply(change: Change): void {
    const key = keyOf(change.entry.namespace, change.entry.name);
    if (change.type === 'DELETED') this.#entries.delete(key);
    else this.#entries.set(key, change.entry);
    this.#sorted = undefined;
    this.#remember(change);
    for (const listener of this.#listeners) listener(change);
  }

  /**
   * Tells `listener` what changed since the version, at once, then what changes.
   * @param now version of the store; a later one than that is nobody's
   * @returns ends it
   * @throws Fault Gone
   */
  follow(options: ListOptions, since: number, now: number, listener: ChangeListener): () => void {
    if (since < this.#floor) throw new Fault('Gone', `too old resource version: ${since} (${this.#floor})`);
    if (since > now) throw new Fault('Gone', `resource version ${since} is of another life of this store (${now})`);
    const matches = entryMatcher(options);
    const select: ChangeListener = (change) => {
      const seen = seenThrough(matches, change);
      if (seen !== undefined) listener(seen);
    };
    for (const change of this.#history.filter((past) => past.entry.version > since)) select(change);
    this.#listeners.add(select);
    return () => this.#listeners.delete(select);
  }

  #remember(change: Change): void {
    this.#history.push(change);
    this.#historyBytes += change.entry.text.length;
    if (this.#history.length <= historyLimit && this.#historyBytes <= historyBytes) return;
    // Half at once, so that the cost of moving the rest is spread over many changes.
    const forgotten = this.#history.splice(0, Math.ceil(this.#history.length / 2));
    this.#floor = forgotten.at(-1)?.entry.version ?? this.#floor;
    for (const past of forgotten) this.#historyBytes -= past.entry.text.length;
  }
}
