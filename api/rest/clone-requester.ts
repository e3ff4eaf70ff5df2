// Clones are authorised when they are asked for, with this service's own roles; who asked is kept on the object, in an annotation that
// users cannot set themselves.
import { annotations } from '../../domain/annotations.ts';
import { cloneAuthorization, cloneRefusal, isCloneAllowed, needsNoClone } from '../../domain/clone-authorization.ts';
import type { DataVolume } from '../../domain/data-volume.ts';
import type { Claim } from '../../domain/kube-shapes.ts';
import type { KubeObject } from '../../domain/object-store.ts';
import { resources } from '../../domain/resources.ts';
import { type Identity, isAllowed } from '../authorizer.ts';
import type { SqliteStore } from '../store/sqlite-store.ts';
import { badRequest, refusedAdmission } from './kube-status.ts';

interface Asker {
  readonly identity: Identity;
  readonly store: SqliteStore;
}

/**
 * @returns who may clone; undefined where nothing is cloned
 * @throws Fault InvalidRequest with CDI's cause; MalformedRequest as in CDI where the namespace of the source does not exist, told only to who may clone there
 */
export function authorizeClone(dataVolume: DataVolume, { identity, store }: Asker): string | undefined {
  const needed = cloneAuthorization(dataVolume);
  if (needed === undefined) return undefined;
  const allowed = isCloneAllowed(needed, (review) => isAllowed(identity, review));
  const exists = store.entry(resources.namespaces, { name: needed.sourceNamespace }) !== undefined;
  if (allowed && exists) return identity.name;
  if (needsNoClone(dataVolume)) return undefined;
  if (allowed) throw badRequest(`namespaces "${needed.sourceNamespace}" not found`);
  throw refusedAdmission([cloneRefusal(needed, identity.name)]);
}

/** A claim that asks for a clone by annotation `k8s.io/CloneRequest: namespace/name` needs the same rights. */
export function authorizeClaimClone(claim: Claim, asker: Asker): string | undefined {
  const request = claim.metadata.annotations?.[annotations.cloneRequest];
  if (request === undefined) return undefined;
  const [first = '', second] = request.split('/');
  const source = { namespace: second === undefined ? '' : first, name: second ?? first };
  const { name, namespace = '' } = claim.metadata;
  return authorizeClone(
    {
      apiVersion: 'cdi.kubevirt.io/v1beta1',
      kind: 'DataVolume',
      metadata: { name, namespace },
      spec: { source: { pvc: source } },
    },
    asker,
  );
}

/** The object with the given requester, or with none. */
export function withRequester<T extends KubeObject>(object: T, requester: string | undefined): T {
  const { [annotations.requester]: given, ...others } = object.metadata.annotations ?? {};
  if (requester === undefined && given === undefined) return object;
  const kept = requester === undefined ? others : { ...others, [annotations.requester]: requester };
  const { annotations: _all, ...metadata } = object.metadata;
  return { ...object, metadata: Object.keys(kept).length === 0 ? metadata : { ...metadata, annotations: kept } };
}
