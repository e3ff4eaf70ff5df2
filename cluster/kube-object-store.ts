// The ObjectStore port over kube-apiserver. What the port promises and the server does not do by itself is done here: an update without a version of a
// kind that demands one, lists in pages, watches that begin with what exists (kube-watch.ts).
import { Fault, toFault } from '../domain/fault.ts';
import type {
  KubeObject,
  ListOptions,
  ListResult,
  ObjectKey,
  ObjectStore,
  ResourceRef,
  WatchEvent,
} from '../domain/object-store.ts';
import { apiVersionOf } from '../domain/resources.ts';
import type { KubeClient } from './kube-client.ts';
import { watchCollection } from './kube-watch.ts';

/** Objects of one page of a list. */
const pageSize = '500';
/** How often an update without a version is tried against others who write at the same time. */
const mostTries = 8;

export class KubeObjectStore implements ObjectStore {
  readonly #client: KubeClient;

  constructor(client: KubeClient) {
    this.#client = client;
  }

  async get<T extends KubeObject>(resource: ResourceRef<T>, key: ObjectKey): Promise<T | undefined> {
    try {
      return await this.#ask<T>('GET', objectPath(resource, key));
    } catch (error) {
      const fault = toFault(error);
      if (fault.code === 'NotFound') return undefined;
      throw fault;
    }
  }

  async list<T extends KubeObject>(resource: ResourceRef<T>, options: ListOptions = {}): Promise<ListResult<T>> {
    const path = collectionPath(resource, options.namespace);
    const named = { apiVersion: apiVersionOf(resource), kind: resource.kind };
    const items: T[] = [];
    for (let next: string | undefined = ''; ; ) {
      const query = { ...selectorsOf(options), limit: pageSize, ...(next === '' ? {} : { continue: next }) };
      const page: object = await this.#client.json({ method: 'GET', path, query });
      if (!isListOf<T>(page)) throw new Fault('ServiceUnreachable', `the answer to GET ${path} is no list`);
      // The items of a list of a built-in kind do not name it.
      for (const item of page.items ?? []) items.push({ ...named, ...item });
      next = page.metadata.continue;
      if (next === undefined || next === '') return { items, resourceVersion: page.metadata.resourceVersion };
    }
  }

  watch<T extends KubeObject>(
    resource: ResourceRef<T>,
    options: ListOptions & { resourceVersion?: string; signal: AbortSignal },
  ): AsyncIterable<WatchEvent<T>> {
    return watchCollection<T>({
      client: this.#client,
      path: collectionPath(resource, options.namespace),
      query: selectorsOf(options),
      list: () => this.list(resource, options),
      newestVersion: () => this.#newestVersion(resource, options),
      resourceVersion: options.resourceVersion,
      signal: options.signal,
    });
  }

  async create<T extends KubeObject>(resource: ResourceRef<T>, object: T): Promise<T> {
    return this.#ask<T>('POST', collectionPath(resource, object.metadata.namespace), object);
  }

  async update<T extends KubeObject>(resource: ResourceRef<T>, object: T): Promise<T> {
    return this.#replace(resource, object, '');
  }

  async updateStatus<T extends KubeObject>(resource: ResourceRef<T>, object: T): Promise<T> {
    return this.#replace(resource, object, '/status');
  }

  async delete<T extends KubeObject>(
    resource: ResourceRef<T>,
    key: ObjectKey,
    preconditions?: { uid?: string; resourceVersion?: string },
  ): Promise<T | undefined> {
    const options = { apiVersion: 'v1', kind: 'DeleteOptions', propagationPolicy: 'Background', preconditions };
    const answer = await this.#client.json({ method: 'DELETE', path: objectPath(resource, key), body: options });
    // Safe: what is not a Status is the object of that path.
    return answer.kind === 'Status' ? undefined : (answer as T);
  }

  /** With the selectors of the watch: who may see one object only may ask for no more. */
  async #newestVersion(resource: ResourceRef, options: ListOptions): Promise<string> {
    const path = collectionPath(resource, options.namespace);
    const page = await this.#client.json({ method: 'GET', path, query: { ...selectorsOf(options), limit: '1' } });
    return page.metadata.resourceVersion ?? '0';
  }

  /** Custom resources are replaced only by those who name the version that they replace. */
  async #replace<T extends KubeObject>(resource: ResourceRef<T>, object: T, part: '' | '/status'): Promise<T> {
    const path = `${objectPath(resource, object.metadata)}${part}`;
    if (object.metadata.resourceVersion !== undefined) return this.#ask<T>('PUT', path, object);
    for (let attempt = 1; ; attempt += 1) {
      const { resourceVersion } = (await this.#ask<T>('GET', objectPath(resource, object.metadata))).metadata;
      const versioned = { ...object, metadata: { ...object.metadata, resourceVersion } };
      try {
        return await this.#ask<T>('PUT', path, versioned);
      } catch (error) {
        const fault = toFault(error);
        if (fault.code !== 'Conflict' || attempt === mostTries) throw fault;
      }
    }
  }

  async #ask<T extends KubeObject>(method: 'GET' | 'POST' | 'PUT', path: string, body?: T): Promise<T> {
    // Safe: the path names the kind of the object that is answered.
    return (await this.#client.json({ method, path, ...(body === undefined ? {} : { body }) })) as T;
  }
}

interface KubeList<T> {
  metadata: { resourceVersion: string; continue?: string };
  items: T[] | null;
}

/** The path names the kind of the items, and the server validated each when it was stored. */
function isListOf<T>(answer: { metadata?: unknown; items?: unknown }): answer is KubeList<T> {
  const { metadata, items } = answer;
  if (typeof metadata !== 'object' || metadata === null || !('resourceVersion' in metadata)) return false;
  return typeof metadata.resourceVersion === 'string' && (items === null || Array.isArray(items));
}

function selectorsOf({ labelSelector, fieldSelector }: ListOptions): Record<string, string> {
  return {
    ...(labelSelector === undefined ? {} : { labelSelector }),
    ...(fieldSelector === undefined ? {} : { fieldSelector }),
  };
}

/** @param namespace undefined: all of them */
function collectionPath(resource: ResourceRef, namespace: string | undefined): string {
  const base = resource.group === '' ? `/api/${resource.version}` : `/apis/${apiVersionOf(resource)}`;
  const within = namespace === undefined || !resource.namespaced ? '' : `/namespaces/${encodeURIComponent(namespace)}`;
  return `${base}${within}/${resource.plural}`;
}

function objectPath(resource: ResourceRef, { namespace, name }: ObjectKey): string {
  if (name === '') throw new Fault('InvalidRequest', `${resource.plural}: an object has no name`);
  return `${collectionPath(resource, namespace)}/${encodeURIComponent(name)}`;
}
