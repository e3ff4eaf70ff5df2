// What a watch has told, by namespace and name. Begins again by itself when the watch ends; what vanished in between is told as a change too.
// Own writes are put in at once, so that the next round sees them; the answer to one that comes after the object went does not bring it back.
import { Fault, toFault } from '../domain/fault.ts';
import type { KubeObject, ObjectKey, ObjectStore, ResourceRef } from '../domain/object-store.ts';
import type { Logger } from '../runtime/logger.ts';
import { pauseFor } from '../runtime/pause-for.ts';

export interface CacheOptions<T extends KubeObject> {
  store: ObjectStore;
  resource: ResourceRef<T>;
  /** Default: all. */
  namespace?: string;
  /** Default: all. */
  fieldSelector?: string;
  logger: Logger;
  retryMs: number;
  /** What of an object is kept in memory. Default: all. */
  keep?(object: T): T;
  /** Called after the cache holds the new state. */
  onChange(after: T | undefined, before: T | undefined): void;
}

function keyOf(key: ObjectKey): string {
  return `${key.namespace ?? ''}/${key.name}`;
}

function isOlder(one: KubeObject, other: KubeObject): boolean {
  const [mine, theirs] = [Number(one.metadata.resourceVersion), Number(other.metadata.resourceVersion)];
  return Number.isFinite(mine) && Number.isFinite(theirs) && mine < theirs && one.metadata.uid === other.metadata.uid;
}

/** Answers to own writes are not later than so many deletions. */
const rememberedDeletions = 10_000;

export class ObjectCache<T extends KubeObject> {
  /** Resolves when everything that exists has been told once. */
  readonly synced: Promise<void>;
  readonly #options: CacheOptions<T>;
  readonly #objects = new Map<string, T>();
  readonly #synced = Promise.withResolvers<void>();
  /** Uids of objects that are gone, the latest last. */
  readonly #gone = new Set<string>();

  constructor(options: CacheOptions<T>) {
    this.#options = options;
    this.synced = this.#synced.promise;
  }

  get(key: ObjectKey): T | undefined {
    return this.#objects.get(keyOf(key));
  }

  values(): IterableIterator<T> {
    return this.#objects.values();
  }

  get size(): number {
    return this.#objects.size;
  }

  /** Takes the answer to an own write. */
  put(object: T): void {
    const { uid = '', deletionTimestamp, finalizers = [] } = object.metadata;
    if (this.#gone.has(uid)) return;
    if (deletionTimestamp !== undefined && finalizers.length === 0) this.#removed(object);
    else this.#set(object);
  }

  /** The store says that it is not there. */
  forget(key: ObjectKey): void {
    this.#remove(keyOf(key));
  }

  /** Watches until the signal aborts; resolves then. */
  async follow(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.#watchOnce(signal).catch((error: unknown) => this.#ended(error, signal));
        await pauseFor(this.#options.retryMs, signal);
      } catch (error) {
        if (!signal.aborted) throw error;
      }
    }
  }

  #ended(error: unknown, signal: AbortSignal): void {
    const fault = toFault(error, { signal });
    if (fault.code === 'Gone' || signal.aborted) return;
    this.#options.logger.warn({ err: fault, resource: this.#options.resource.plural }, 'watch ended, begun anew');
  }

  /** From the beginning: what exists, a bookmark, changes. What was known before and is not listed again is gone. */
  async #watchOnce(signal: AbortSignal): Promise<void> {
    const missing = new Set(this.#objects.keys());
    let listed = false;
    const { store, resource, namespace, fieldSelector } = this.#options;
    const options = {
      signal,
      ...(namespace === undefined ? {} : { namespace }),
      ...(fieldSelector === undefined ? {} : { fieldSelector }),
    };
    for await (const event of store.watch(resource, options)) {
      if (event.type === 'BOOKMARK') {
        if (!listed) for (const key of missing) this.#remove(key);
        listed = true;
        this.#synced.resolve();
        continue;
      }
      if (event.type === 'DELETED') {
        this.#removed(event.object);
        continue;
      }
      missing.delete(keyOf(event.object.metadata));
      this.#set(event.object);
    }
    if (!signal.aborted) throw new Fault('Gone', 'the watch ended');
  }

  #set(whole: T): void {
    const object = this.#options.keep?.(whole) ?? whole;
    const key = keyOf(object.metadata);
    const before = this.#objects.get(key);
    if (before !== undefined && isOlder(object, before)) return;
    this.#objects.set(key, object);
    if (before?.metadata.resourceVersion === object.metadata.resourceVersion && before !== undefined) return;
    this.#options.onChange(object, before);
  }

  /** A later object of the same name stays. */
  #removed(object: T): void {
    this.#remember(object.metadata.uid ?? '');
    const key = keyOf(object.metadata);
    if (this.#objects.get(key)?.metadata.uid === object.metadata.uid) this.#remove(key);
  }

  #remember(uid: string): void {
    this.#gone.add(uid);
    const [oldest] = this.#gone;
    if (this.#gone.size > rememberedDeletions && oldest !== undefined) this.#gone.delete(oldest);
  }

  #remove(key: string): void {
    const before = this.#objects.get(key);
    if (before === undefined) return;
    this.#objects.delete(key);
    this.#options.onChange(undefined, before);
  }
}
