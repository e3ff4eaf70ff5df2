// The port between the code that decides and the place where objects live: an embedded file on one machine, kube-apiserver on a
// cluster. Objects are plain JSON in Kubernetes' shape; every implementation passes test/contract/object-store.ts.

/** metadata of every object, as in Kubernetes. Times are RFC 3339 with whole seconds. */
export interface ObjectMeta {
  name: string;
  namespace?: string;
  generateName?: string;
  uid?: string;
  resourceVersion?: string;
  generation?: number;
  creationTimestamp?: string;
  deletionTimestamp?: string;
  deletionGracePeriodSeconds?: number;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  finalizers?: string[];
  ownerReferences?: OwnerReference[];
  managedFields?: unknown[];
}

export interface OwnerReference {
  apiVersion: string;
  kind: string;
  name: string;
  uid: string;
  controller?: boolean;
  blockOwnerDeletion?: boolean;
}

/** Any stored object. Concrete kinds (DataVolume, Claim, …) extend it; see kube-shapes.ts and data-volume.ts. */
export interface KubeObject {
  apiVersion: string;
  kind: string;
  metadata: ObjectMeta;
  [member: string]: unknown;
}

/** Names a collection: group ('' for core), version, plural. See `resources` in domain/resources.ts for the known ones. */
export interface ResourceRef<T extends KubeObject = KubeObject> {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly kind: string;
  readonly namespaced: boolean;
  /** Never present at run time: ties the resource to the type of its objects. */
  readonly object?: T;
}

export interface ObjectKey {
  namespace?: string;
  name: string;
}

export interface ListOptions {
  namespace?: string;
  /** Kubernetes label selector, such as `app=x,tier in (a,b),!old`. */
  labelSelector?: string;
  /** `metadata.name=x`, `metadata.namespace=x`, `involvedObject.uid=…`. */
  fieldSelector?: string;
}

export interface ListResult<T> {
  items: T[];
  /** Watching from here misses nothing that the list does not hold. */
  resourceVersion: string;
}

export type WatchEvent<T> =
  | { type: 'ADDED' | 'MODIFIED' | 'DELETED'; object: T }
  /** Says that everything up to this version was delivered. */
  | { type: 'BOOKMARK'; resourceVersion: string };

export interface ObjectReader {
  /** @returns undefined where there is no such object. */
  get<T extends KubeObject>(resource: ResourceRef<T>, key: ObjectKey): Promise<T | undefined>;
}

/**
 * Reads and writes objects. Faults: NotFound, AlreadyExists, Conflict (resourceVersion given and not current), Gone (watch from
 * a version that is no longer kept), InvalidRequest. Writes are durable when the promise resolves.
 */
export interface ObjectStore extends ObjectReader {
  list<T extends KubeObject>(resource: ResourceRef<T>, options?: ListOptions): Promise<ListResult<T>>;
  /**
   * Without `resourceVersion`: first every object that exists, as ADDED, then a BOOKMARK, then what changes.
   * With it: what changed since. Ends when the signal aborts; throws `Gone` where it has to be begun anew.
   */
  watch<T extends KubeObject>(
    resource: ResourceRef<T>,
    options: ListOptions & { resourceVersion?: string; signal: AbortSignal },
  ): AsyncIterable<WatchEvent<T>>;
  /** Sets uid, resourceVersion, generation 1, creationTimestamp; makes a name from generateName. `status` is kept only where the resource has no status subresource. */
  create<T extends KubeObject>(resource: ResourceRef<T>, object: T): Promise<T>;
  /** Replaces all but status; generation grows when spec changes. With metadata.resourceVersion set, only if it is current. An object whose last finalizer went and that is being deleted disappears. */
  update<T extends KubeObject>(resource: ResourceRef<T>, object: T): Promise<T>;
  /** Replaces status only. */
  updateStatus<T extends KubeObject>(resource: ResourceRef<T>, object: T): Promise<T>;
  /**
   * Sets deletionTimestamp where finalizers remain, else removes. Deleting what is being deleted is no error.
   * @returns the object as it goes on being there or as it was last; undefined where the store does not tell what it removed
   */
  delete<T extends KubeObject>(
    resource: ResourceRef<T>,
    key: ObjectKey,
    preconditions?: { uid?: string; resourceVersion?: string },
  ): Promise<T | undefined>;
}
