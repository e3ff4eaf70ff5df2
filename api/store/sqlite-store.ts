// The embedded object store: the ObjectStore port over one SQLite file, for one process. Writes are decided at once, in order, on what was
// decided before them, and answered when durable; reads and watches see only what is durable. See object-lifecycle.ts for the rules.
import { join } from 'node:path';
import { Fault } from '../../domain/fault.ts';
import type {
  KubeObject,
  ListOptions,
  ListResult,
  ObjectKey,
  ObjectStore,
  ResourceRef,
  WatchEvent,
} from '../../domain/object-store.ts';
import { type Change, type ChangeListener, Collection } from './collection.ts';
import { type Followed, type FollowOptions, type FollowSource, followEntries } from './follow-entries.ts';
import {
  deletedObject,
  describeObject,
  isGone,
  nameFor,
  newObject,
  updatedObject,
  withStatus,
} from './object-lifecycle.ts';
import { StoreWriter } from './store-writer.ts';
import { collectionOf, entryOf, objectOf, type StoredEntry } from './stored-entry.ts';
import { followAsIterable } from './watch-iterable.ts';

interface Decided {
  /** undefined: removed. */
  readonly entry: StoredEntry | undefined;
  readonly version: number;
}

export class SqliteStore implements ObjectStore {
  readonly #collections = new Map<string, Collection>();
  /** Decided and not yet durable, by collection and key. */
  readonly #decided = new Map<string, Decided>();
  readonly #listeners = new Set<(collection: string, change: Change) => void>();
  #writer: StoreWriter | undefined;
  #floor = 1;
  #durable = 1;
  #latest = 1;
  #durableBytes = 0;
  #decidedBytes = 0;

  /**
   * Opens the store of a data directory, making it where there is none.
   * @param directory data directory; the file is store/objects.sqlite in it
   * @throws Fault NewerVersion, AlreadyRunning, NoSpace, PermissionDenied
   */
  static async open(directory: string): Promise<SqliteStore> {
    const store = new SqliteStore();
    const loaded: { collection: string; entry: StoredEntry }[] = [];
    const { writer, version } = await StoreWriter.open(join(directory, 'store', 'objects.sqlite'), (rows) => {
      for (const { collection, text, version: rowVersion } of rows) {
        // Safe: only this class writes rows, from objects.
        loaded.push({ collection, entry: entryOf(JSON.parse(text) as KubeObject, rowVersion, text) });
      }
    });
    store.#writer = writer;
    store.#floor = store.#durable = store.#latest = version;
    for (const { collection, entry } of loaded) {
      store.#collection(collection).load(entry);
      store.#durableBytes += entry.sizeBytes;
    }
    return store;
  }

  /** Version up to which everything is durable and visible. */
  get version(): string {
    return String(this.#durable);
  }

  /** Of the texts of all objects, with those that are being written. */
  get sizeBytes(): number {
    return this.#durableBytes + this.#decidedBytes;
  }

  /** Waits for the writes that were asked for, then lets go of the file. */
  async close(): Promise<void> {
    await this.#writer?.close();
  }

  async get<T extends KubeObject>(resource: ResourceRef<T>, key: ObjectKey): Promise<T | undefined> {
    const entry = this.entry(resource, key);
    return entry === undefined ? undefined : objectOf<T>(entry);
  }

  async list<T extends KubeObject>(resource: ResourceRef<T>, options: ListOptions = {}): Promise<ListResult<T>> {
    return { items: this.entries(resource, options).map((entry) => objectOf<T>(entry)), resourceVersion: this.version };
  }

  watch<T extends KubeObject>(
    resource: ResourceRef<T>,
    options: ListOptions & { resourceVersion?: string; signal: AbortSignal },
  ): AsyncIterable<WatchEvent<T>> {
    return followAsIterable<T>(this.#source(resource, options), options);
  }

  /** The stored text of one object, for those who pass it on unchanged. */
  entry(resource: ResourceRef, key: ObjectKey): StoredEntry | undefined {
    return this.#collection(collectionOf(resource)).get(resource.namespaced ? (key.namespace ?? '') : '', key.name);
  }

  entries(resource: ResourceRef, options: ListOptions = {}): StoredEntry[] {
    return this.#collection(collectionOf(resource)).list(options);
  }

  /**
   * The object as the next write will find it, which may not be durable yet: for changes that are made of what is there. A write made of
   * it fails where an earlier one does.
   */
  latest<T extends KubeObject>(resource: ResourceRef<T>, key: ObjectKey): T | undefined {
    const entry = this.#current(resource, key);
    return entry === undefined ? undefined : objectOf<T>(entry);
  }

  /** Tells what changed since the version, at once, then what changes. @throws Fault Gone */
  follow(resource: ResourceRef, options: ListOptions, since: string, listener: ChangeListener): () => void {
    const version = Number(since);
    if (!Number.isSafeInteger(version) || version < 0)
      throw new Fault('MalformedRequest', `resourceVersion: Invalid value: "${since}"`);
    return this.#collection(collectionOf(resource)).follow(options, version, this.#durable, listener);
  }

  /** Entries as they are and as they change, at the pace of who reads. @throws Fault Gone, MalformedRequest while iterating */
  followEntries(resource: ResourceRef, options: ListOptions & FollowOptions): AsyncGenerator<Followed> {
    return followEntries(this.#source(resource, options), options);
  }

  /** Tells every durable change of every kind, such as for garbage collection. */
  onChange(listener: (collection: string, change: Change) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async create<T extends KubeObject>(resource: ResourceRef<T>, asked: T): Promise<T> {
    return this.#add(resource, newObject(resource, asked, nameFor(asked.metadata)));
  }

  /** As create, but the object has the uid that it had before: whoever chooses a uid is taken for who had it. */
  async restore<T extends KubeObject>(resource: ResourceRef<T>, asked: T): Promise<T> {
    return this.#add(resource, newObject(resource, asked, nameFor(asked.metadata), asked.metadata.uid));
  }

  #add<T extends KubeObject>(resource: ResourceRef<T>, object: T): Promise<T> {
    if (this.#current(resource, object.metadata) !== undefined) {
      throw new Fault('AlreadyExists', `${describeObject(resource, object.metadata.name)} already exists`);
    }
    return this.#put(resource, object);
  }

  async update<T extends KubeObject>(resource: ResourceRef<T>, asked: T): Promise<T> {
    const stored = this.#existing(resource, asked.metadata);
    const next = updatedObject(resource, stored, asked);
    if (next === stored) return this.#settled(resource, stored);
    return isGone(next) ? this.#remove(resource, next) : this.#put(resource, next);
  }

  async updateStatus<T extends KubeObject>(resource: ResourceRef<T>, asked: T): Promise<T> {
    const stored = this.#existing(resource, asked.metadata);
    const next = withStatus(resource, stored, asked);
    return next === stored ? this.#settled(resource, stored) : this.#put(resource, next);
  }

  async delete<T extends KubeObject>(
    resource: ResourceRef<T>,
    key: ObjectKey,
    preconditions: { uid?: string; resourceVersion?: string } = {},
  ): Promise<T> {
    const stored = this.#existing(resource, key);
    const next = deletedObject(resource, stored, preconditions);
    if (next === undefined) return this.#remove(resource, stored);
    return next === stored ? this.#settled(resource, stored) : this.#put(resource, next);
  }

  #source(resource: ResourceRef, options: ListOptions): FollowSource {
    return {
      entries: () => this.entries(resource, options),
      follow: (since, listener) => this.follow(resource, options, since, listener),
      version: () => this.version,
    };
  }

  #collection(name: string): Collection {
    const known = this.#collections.get(name);
    if (known !== undefined) return known;
    const made = new Collection(this.#floor);
    this.#collections.set(name, made);
    return made;
  }

  #decidedKey(resource: ResourceRef, key: ObjectKey): string {
    return `${collectionOf(resource)}\0${resource.namespaced ? (key.namespace ?? '') : ''}\0${key.name}`;
  }

  /** What the next write is decided on: also what is not yet durable. */
  #current(resource: ResourceRef, key: ObjectKey): StoredEntry | undefined {
    const decided = this.#decided.get(this.#decidedKey(resource, key));
    return decided === undefined ? this.entry(resource, key) : decided.entry;
  }

  #existing<T extends KubeObject>(resource: ResourceRef<T>, key: ObjectKey): T {
    const entry = this.#current(resource, key);
    if (entry === undefined) throw new Fault('NotFound', `${describeObject(resource, key.name)} not found`);
    return objectOf<T>(entry);
  }

  /** A write that changes nothing is answered when what it was compared with is durable. */
  async #settled<T extends KubeObject>(resource: ResourceRef<T>, stored: T): Promise<T> {
    if (!this.#decided.has(this.#decidedKey(resource, stored.metadata))) return stored;
    return this.#put(resource, stored);
  }

  #put<T extends KubeObject>(resource: ResourceRef<T>, object: T): Promise<T> {
    return this.#write(resource, object, false);
  }

  #remove<T extends KubeObject>(resource: ResourceRef<T>, object: T): Promise<T> {
    return this.#write(resource, object, true);
  }

  async #write<T extends KubeObject>(resource: ResourceRef<T>, object: T, removes: boolean): Promise<T> {
    this.#latest += 1;
    const version = this.#latest;
    const written = { ...object, metadata: { ...object.metadata, resourceVersion: String(version) } };
    const entry = entryOf(written, version);
    const collection = collectionOf(resource);
    const { namespace, name, text } = entry;
    const key = this.#decidedKey(resource, { namespace, name });
    this.#decided.set(key, { entry: removes ? undefined : entry, version });
    this.#decidedBytes += entry.sizeBytes;
    await new Promise<void>((resolve, reject) => {
      const durable = (): void => {
        this.#decidedBytes -= entry.sizeBytes;
        this.#becomeVisible(collection, key, entry, removes);
        resolve();
      };
      const failed = (fault: Fault): void => {
        this.#decidedBytes -= entry.sizeBytes;
        if (this.#decided.get(key)?.version === version) this.#decided.delete(key);
        reject(fault);
      };
      if (this.#writer === undefined) throw new Fault('Internal', 'the store is not open');
      const place = { collection, namespace, name };
      const operation = removes
        ? { kind: 'remove' as const, ...place }
        : { kind: 'put' as const, ...place, version, text };
      this.#writer.write(operation, version, durable, failed);
    });
    return written;
  }

  #becomeVisible(collection: string, key: string, entry: StoredEntry, removed: boolean): void {
    const kept = this.#collection(collection);
    const before = kept.get(entry.namespace, entry.name);
    if (this.#decided.get(key)?.version === entry.version) this.#decided.delete(key);
    this.#durable = entry.version;
    this.#durableBytes += (removed ? 0 : entry.sizeBytes) - (before?.sizeBytes ?? 0);
    const type = removed ? 'DELETED' : before === undefined ? 'ADDED' : 'MODIFIED';
    const change: Change = before === undefined ? { type, entry } : { type, entry, before };
    kept.apply(change);
    for (const listener of this.#listeners) listener(collection, change);
  }
}
