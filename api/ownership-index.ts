// Who owns what, kept up with every change of the store: which objects live, and which name them as their owner.
import type { ObjectKey, ResourceRef } from '../domain/object-store.ts';
import type { Change } from './store/collection.ts';
import type { SqliteStore } from './store/sqlite-store.ts';
import type { StoredEntry } from './store/stored-entry.ts';

/** An object, and the collection it is in. */
export interface Located {
  readonly resource: ResourceRef;
  readonly key: ObjectKey;
  readonly uid: string;
}

export class OwnershipIndex {
  readonly #live = new Map<string, Located>();
  readonly #dependents = new Map<string, Map<string, Located>>();

  constructor(store: SqliteStore, resources: readonly ResourceRef[]) {
    for (const resource of resources) for (const entry of store.entries(resource)) this.#add(resource, entry);
  }

  note(resource: ResourceRef, { type, entry, before }: Change): void {
    if (before !== undefined) this.#remove(before);
    if (type !== 'DELETED') this.#add(resource, entry);
  }

  /** @returns undefined where it is gone, or was never here */
  find(uid: string): Located | undefined {
    return this.#live.get(uid);
  }

  dependentsOf(uid: string): Located[] {
    return [...(this.#dependents.get(uid)?.values() ?? [])];
  }

  /** Every object that names an owner. */
  allDependents(): Located[] {
    const all = [...this.#dependents.values()].flatMap((map) => [...map.entries()]);
    return [...new Map(all).values()];
  }

  #add(resource: ResourceRef, entry: StoredEntry): void {
    const { name, namespace, uid } = entry;
    const key = namespace === '' ? { name } : { name, namespace };
    this.#live.set(uid, { resource, key, uid });
    for (const owner of entry.owners) {
      const map = this.#dependents.get(owner) ?? new Map<string, Located>();
      map.set(uid, { resource, key, uid });
      this.#dependents.set(owner, map);
    }
  }

  #remove(entry: StoredEntry): void {
    this.#live.delete(entry.uid);
    for (const owner of entry.owners) {
      const map = this.#dependents.get(owner);
      map?.delete(entry.uid);
      if (map?.size === 0) this.#dependents.delete(owner);
    }
  }
}
