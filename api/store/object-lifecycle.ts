// The rules by which objects change, as pure functions from (what is stored, what is asked) to what is stored next. As in Kubernetes:
//
//   (none) ──create──► live ──delete, finalizers remain──► being deleted ──last finalizer goes──► (none)
//                       │ └──delete, no finalizer──► (none)
//                       └──update, updateStatus──► live
import { randomBytes, randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { Fault } from '../../domain/fault.ts';
import type { KubeObject, ObjectMeta, ResourceRef } from '../../domain/object-store.ts';
import { apiVersionOf } from '../../domain/resources.ts';

/** Kinds whose status is written through its own path only. */
const withStatusPath = new Set([
  'cdi.kubevirt.io/datavolumes',
  'cdi.kubevirt.io/storageprofiles',
  '/persistentvolumeclaims',
]);

export function hasStatusPath(resource: ResourceRef): boolean {
  return withStatusPath.has(`${resource.group}/${resource.plural}`);
}

/** RFC 3339 with whole seconds, as Kubernetes writes times. */
export function timestamp(now = new Date()): string {
  return `${now.toISOString().slice(0, 19)}Z`;
}

function generatedName(prefix: string): string {
  const alphabet = 'bcdfghjklmnpqrstvwxz2456789';
  const suffix = [...randomBytes(5)].map((byte) => alphabet[byte % alphabet.length] ?? 'x').join('');
  return `${prefix.slice(0, 58)}${suffix}`;
}

export function describeObject(resource: ResourceRef, name: string): string {
  return `${resource.plural}${resource.group === '' ? '' : `.${resource.group}`} "${name}"`;
}

/** @throws Fault InvalidRequest where there is neither name nor generateName */
export function nameFor(metadata: ObjectMeta): string {
  if (metadata.name) return metadata.name;
  if (metadata.generateName) return generatedName(metadata.generateName);
  throw new Fault('InvalidRequest', 'name or generateName is required');
}

/** The first state of an object, without a version. @param uid that it had, where it comes back */
export function newObject<T extends KubeObject>(
  resource: ResourceRef<T>,
  asked: T,
  name: string,
  uid: string = randomUUID(),
): T {
  const { namespace: _namespace, resourceVersion: _version, deletionTimestamp: _deleted, ...kept } = asked.metadata;
  const { status, ...rest } = asked;
  const metadata: ObjectMeta = {
    ...kept,
    name,
    ...(resource.namespaced ? { namespace: asked.metadata.namespace ?? 'default' } : {}),
    uid,
    generation: 1,
    creationTimestamp: timestamp(),
  };
  const fresh = { ...rest, apiVersion: apiVersionOf(resource), kind: resource.kind, metadata };
  // Safe: the members are those of `asked`; only metadata and status are others.
  return (hasStatusPath(resource) || status === undefined ? fresh : { ...fresh, status }) as unknown as T;
}

function refuseStale(
  resource: ResourceRef,
  stored: KubeObject,
  asked: { uid?: string; resourceVersion?: string },
): void {
  const what = describeObject(resource, stored.metadata.name);
  if (asked.uid && asked.uid !== stored.metadata.uid) {
    throw new Fault(
      'Conflict',
      `Operation cannot be fulfilled on ${what}: Precondition failed: UID in precondition: ${asked.uid}, UID in object meta: ${stored.metadata.uid}`,
    );
  }
  if (asked.resourceVersion && asked.resourceVersion !== stored.metadata.resourceVersion) {
    throw new Fault(
      'Conflict',
      `Operation cannot be fulfilled on ${what}: the object has been modified; please apply your changes to the latest version and try again`,
    );
  }
}

function refuseNewFinalizers(resource: ResourceRef, stored: ObjectMeta, asked: ObjectMeta): void {
  if (stored.deletionTimestamp === undefined) return;
  const added = (asked.finalizers ?? []).filter((finalizer) => !(stored.finalizers ?? []).includes(finalizer));
  if (added.length === 0) return;
  throw new Fault(
    'InvalidRequest',
    `${describeObject(resource, stored.name)}: metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers ${JSON.stringify(added)}`,
  );
}

/** Members of metadata that only the store writes. */
function keptMetadata(stored: ObjectMeta): Partial<ObjectMeta> {
  const { name, namespace, uid, generation, creationTimestamp, deletionTimestamp, deletionGracePeriodSeconds } = stored;
  const all = { name, namespace, uid, generation, creationTimestamp, deletionTimestamp, deletionGracePeriodSeconds };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

/** @returns the next state without a version, or `stored` itself where nothing changes. @throws Fault Conflict, InvalidRequest */
export function updatedObject<T extends KubeObject>(resource: ResourceRef<T>, stored: T, asked: T): T {
  refuseStale(resource, stored, asked.metadata);
  refuseNewFinalizers(resource, stored.metadata, asked.metadata);
  const {
    deletionTimestamp: _deleted,
    deletionGracePeriodSeconds: _grace,
    generateName: _generate,
    resourceVersion: _version,
    ...wished
  } = asked.metadata;
  const { status: askedStatus, ...rest } = asked;
  const status = hasStatusPath(resource) ? stored['status'] : askedStatus;
  const grows = !isDeepStrictEqual(stored['spec'], asked['spec']);
  const { resourceVersion, generateName } = stored.metadata;
  const metadata = {
    ...wished,
    ...(generateName === undefined ? {} : { generateName }),
    ...keptMetadata(stored.metadata),
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
    ...(grows ? { generation: (stored.metadata.generation ?? 1) + 1 } : {}),
  };
  const { apiVersion, kind } = stored;
  const next = { ...rest, apiVersion, kind, metadata, ...(status === undefined ? {} : { status }) };
  // Safe: the members are those of `asked`; metadata and status keep their types.
  return isDeepStrictEqual(next, stored) ? stored : (next as unknown as T);
}

/** @returns the next state without a version, or `stored` itself where nothing changes. @throws Fault Conflict */
export function withStatus<T extends KubeObject>(resource: ResourceRef<T>, stored: T, asked: T): T {
  refuseStale(resource, stored, asked.metadata);
  const { managedFields } = asked.metadata;
  const { status: _former, ...rest } = stored;
  const status = asked['status'];
  const metadata = managedFields === undefined ? stored.metadata : { ...stored.metadata, managedFields };
  const next = { ...rest, metadata, ...(status === undefined ? {} : { status }) };
  // Safe: as in updatedObject.
  return isDeepStrictEqual(next, stored) ? stored : (next as unknown as T);
}

/** @returns the next state, `stored` itself where it is being deleted already, or undefined where it disappears. @throws Fault Conflict */
export function deletedObject<T extends KubeObject>(
  resource: ResourceRef<T>,
  stored: T,
  preconditions: { uid?: string; resourceVersion?: string },
): T | undefined {
  refuseStale(resource, stored, preconditions);
  if ((stored.metadata.finalizers ?? []).length === 0) return undefined;
  if (stored.metadata.deletionTimestamp !== undefined) return stored;
  const generation = (stored.metadata.generation ?? 1) + 1;
  const marks = { deletionTimestamp: timestamp(), deletionGracePeriodSeconds: 0, generation };
  return { ...stored, metadata: { ...stored.metadata, ...marks } };
}

export function isGone(object: KubeObject): boolean {
  return object.metadata.deletionTimestamp !== undefined && (object.metadata.finalizers ?? []).length === 0;
}
