// Deletes what has lost its owner, as Kubernetes does, and empties namespaces that are being deleted.
//
//   background   the owner goes at once; whoever names only owners that are gone is deleted after it
//   foreground   the owner stays, with finalizer foregroundDeletion, until those dependents that block it are gone
//   orphan       the owner stays, with finalizer orphan, until no dependent names it any more
//
// It acts on changes only, one object after another; after a start it looks at everything once. An owner of a kind that is not kept here is never missing.
import { toFault } from '../domain/fault.ts';
import type { KubeObject, ObjectKey, ResourceRef } from '../domain/object-store.ts';
import { apiVersionOf, resources } from '../domain/resources.ts';
import type { Logger } from '../runtime/logger.ts';
import { type Located, OwnershipIndex } from './ownership-index.ts';
import { namespaceFinalizer } from './rest/admission-small.ts';
import { foregroundFinalizer, orphanFinalizer } from './rest/delete-options.ts';
import { servedKinds } from './rest/served-kinds.ts';
import type { Change } from './store/collection.ts';
import type { SqliteStore } from './store/sqlite-store.ts';
import { collectionOf } from './store/stored-entry.ts';
import { userTokensResource } from './users.ts';

const collected: readonly ResourceRef[] = [...servedKinds.map(({ ref }) => ref), userTokensResource];
const byCollection = new Map(collected.map((resource) => [collectionOf(resource), resource]));
const keptKinds = new Set(collected.map((resource) => `${apiVersionOf(resource)} ${resource.kind}`));

function taskName(resource: ResourceRef, { namespace = '', name }: ObjectKey): string {
  return `${collectionOf(resource)} ${namespace}/${name}`;
}

class Collector {
  readonly #store: SqliteStore;
  readonly #logger: Logger;
  readonly #index: OwnershipIndex;
  readonly #tasks = new Map<string, { resource: ResourceRef; key: ObjectKey }>();
  #running: Promise<void> | undefined;
  #stopped = false;

  constructor(store: SqliteStore, logger: Logger) {
    this.#store = store;
    this.#logger = logger;
    this.#index = new OwnershipIndex(store, collected);
  }

  start(): () => Promise<void> {
    const forget = this.#store.onChange((collection, change) => this.#see(collection, change));
    for (const dependent of this.#index.allDependents()) this.#ask(dependent.resource, dependent.key);
    for (const resource of collected) {
      for (const entry of this.#store.entries(resource)) {
        if (entry.text.includes('"deletionTimestamp"')) this.#ask(resource, entry);
      }
    }
    return async () => {
      this.#stopped = true;
      forget();
      await this.#running;
    };
  }

  #see(collection: string, change: Change): void {
    const resource = byCollection.get(collection);
    if (resource === undefined) return;
    const { entry, before, type } = change;
    this.#index.note(resource, change);
    const left = before?.owners.filter((owner) => type === 'DELETED' || !entry.owners.includes(owner)) ?? [];
    for (const owner of left) this.#askOwner(owner);
    if (type === 'DELETED') {
      for (const dependent of this.#index.dependentsOf(entry.uid)) this.#ask(dependent.resource, dependent.key);
      if (resource.namespaced) this.#ask(resources.namespaces, { name: entry.namespace });
    } else if (entry.owners.length > 0 || entry.text.includes('"deletionTimestamp"')) this.#ask(resource, entry);
  }

  /** An owner may be waiting for the dependent that just went. */
  #askOwner(uid: string): void {
    const owner = this.#index.find(uid);
    if (owner !== undefined) this.#ask(owner.resource, owner.key);
  }

  #ask(resource: ResourceRef, { namespace, name }: { namespace?: string; name: string }): void {
    const key = resource.namespaced && namespace !== undefined ? { namespace, name } : { name };
    this.#tasks.set(taskName(resource, key), { resource, key });
    this.#running ??= this.#run();
  }

  async #run(): Promise<void> {
    // Changes are told while a write becomes visible; the work begins after that.
    await Promise.resolve();
    for (const [name, { resource, key }] of this.#tasks) {
      this.#tasks.delete(name);
      if (!this.#stopped) await this.#take(resource, key);
    }
    this.#running = undefined;
  }

  async #take(resource: ResourceRef, key: ObjectKey): Promise<void> {
    try {
      const object = await this.#store.get(resource, key);
      if (object === undefined) return;
      if (object.metadata.deletionTimestamp !== undefined) await this.#finish(resource, object);
      else if (this.#isOrphaned(object)) await this.#store.delete(resource, key, { uid: object.metadata.uid ?? '' });
    } catch (error) {
      const fault = toFault(error);
      if (fault.code === 'Conflict') this.#tasks.set(taskName(resource, key), { resource, key });
      else if (fault.code !== 'NotFound') this.#logger.warn({ err: fault, ...key }, 'garbage was not collected');
    }
  }

  #isOrphaned(object: KubeObject): boolean {
    const owners = object.metadata.ownerReferences ?? [];
    const isMissing = (owner: { apiVersion: string; kind: string; uid: string }): boolean =>
      keptKinds.has(`${owner.apiVersion} ${owner.kind}`) && this.#index.find(owner.uid) === undefined;
    return owners.length > 0 && owners.every(isMissing);
  }

  async #finish(resource: ResourceRef, object: KubeObject): Promise<void> {
    const { finalizers = [], uid = '' } = object.metadata;
    const dependents = this.#index.dependentsOf(uid);
    if (finalizers.includes(orphanFinalizer)) {
      for (const dependent of dependents) await this.#disown(dependent, uid);
      await this.#release(resource, object, orphanFinalizer);
    } else if (finalizers.includes(foregroundFinalizer)) {
      for (const { resource: kind, key, uid: own } of dependents) await this.#store.delete(kind, key, { uid: own });
      if (!(await this.#isBlocked(uid))) await this.#release(resource, object, foregroundFinalizer);
    } else if (finalizers.includes(namespaceFinalizer)) await this.#empty(object);
  }

  async #isBlocked(uid: string): Promise<boolean> {
    for (const { resource, key } of this.#index.dependentsOf(uid)) {
      const dependent = await this.#store.get(resource, key);
      const reference = dependent?.metadata.ownerReferences?.find((owner) => owner.uid === uid);
      if (reference?.blockOwnerDeletion === true) return true;
    }
    return false;
  }

  async #disown({ resource, key }: Located, uid: string): Promise<void> {
    const dependent = await this.#store.get(resource, key);
    if (dependent === undefined) return;
    const ownerReferences = (dependent.metadata.ownerReferences ?? []).filter((owner) => owner.uid !== uid);
    await this.#store.update(resource, { ...dependent, metadata: { ...dependent.metadata, ownerReferences } });
  }

  async #release(resource: ResourceRef, object: KubeObject, finalizer: string): Promise<void> {
    const finalizers = (object.metadata.finalizers ?? []).filter((other) => other !== finalizer);
    await this.#store.update(resource, { ...object, metadata: { ...object.metadata, finalizers } });
  }

  async #empty(namespace: KubeObject): Promise<void> {
    const { name } = namespace.metadata;
    let remaining = 0;
    for (const resource of collected.filter(({ namespaced }) => namespaced)) {
      for (const entry of this.#store.entries(resource, { namespace: name })) {
        const kept = await this.#store.delete(resource, entry, { uid: entry.uid });
        if ((kept.metadata.finalizers ?? []).length > 0) remaining += 1;
      }
    }
    if (remaining === 0) await this.#release(resources.namespaces, namespace, namespaceFinalizer);
    else await this.#store.update<KubeObject>(resources.namespaces, { ...namespace, status: { phase: 'Terminating' } });
  }
}

export function startGarbageCollector(store: SqliteStore, logger: Logger): { stop(): Promise<void> } {
  const stop = new Collector(store, logger).start();
  return { stop };
}
