// Who may clone what: CDI's rule, as the list of rights of which one set must be held. Within a namespace everybody may; from another one
// the requester needs create on datavolumes/source there, or the right to run pods there, which could read the volume anyway.
import { annotations } from './annotations.ts';
import { type Cause, invalid } from './cause.ts';
import type { DataVolume } from './data-volume.ts';
import type { Claim } from './kube-shapes.ts';
import type { KubeObject } from './object-store.ts';

/** One right, as a SubjectAccessReview asks for it. */
export interface AccessReview {
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  readonly subresource?: string;
  readonly namespace: string;
  readonly name?: string;
}

export interface CloneAuthorization {
  readonly kind: 'claim' | 'snapshot';
  readonly sourceNamespace: string;
  readonly sourceName: string;
  /** The requester must hold all rights of one of these sets. Empty: no right is needed. */
  readonly anyOf: readonly (readonly AccessReview[])[];
}

/** What a clone needs. @returns undefined where the DataVolume is no clone, or where it is being deleted */
export function cloneAuthorization(dataVolume: DataVolume): CloneAuthorization | undefined {
  const { source } = dataVolume.spec;
  const named = source?.pvc ?? source?.snapshot;
  if (named === undefined || dataVolume.metadata.deletionTimestamp !== undefined) return undefined;
  const kind = source?.pvc === undefined ? 'snapshot' : 'claim';
  return cloneNeeds(kind, named, dataVolume.metadata.namespace ?? '');
}

/** What a clone of that source needs. @param source without a namespace it is in that of the target */
export function cloneNeeds(
  kind: CloneAuthorization['kind'],
  source: { readonly namespace: string; readonly name: string },
  targetNamespace: string,
): CloneAuthorization {
  const namespace = source.namespace === '' ? targetNamespace : source.namespace;
  const anyOf = namespace === targetNamespace ? [] : rightsFor(kind, namespace, source.name);
  return { kind, sourceNamespace: namespace, sourceName: source.name, anyOf };
}

function rightsFor(kind: CloneAuthorization['kind'], namespace: string, name: string): AccessReview[][] {
  const source: AccessReview = {
    verb: 'create',
    group: 'cdi.kubevirt.io',
    resource: 'datavolumes',
    subresource: 'source',
    namespace,
    name,
  };
  const pods: AccessReview = { verb: 'create', group: '', resource: 'pods', namespace };
  // CDI asks for a resource of this very name, which Kubernetes does not have.
  const claims: AccessReview = { verb: 'create', group: '', resource: 'pvcs', namespace };
  return [[source], kind === 'claim' ? [pods] : [pods, claims]];
}

/** The cause that a refused clone is answered with: CDI's words, and then the right that is missing. */
export function cloneRefusal(authorization: CloneAuthorization, user: string, missing: string): Cause {
  const where = authorization.sourceNamespace;
  const message = `User ${user} has insufficient permissions in clone source namespace ${where}: no right to ${missing}`;
  return invalid('spec.source.PVC.namespace', message);
}

/** True where nothing will be copied, because the claim is said to be filled already: then CDI lets a refused clone pass. */
export function needsNoClone(dataVolume: DataVolume): boolean {
  const wishes = dataVolume.metadata.annotations ?? {};
  return wishes[annotations.prePopulated] !== undefined || wishes[annotations.checkStaticVolume] !== undefined;
}

/** What a claim clones that asks for it by annotation `k8s.io/CloneRequest: namespace/name`, as a DataVolume would ask; undefined where it asks for nothing. */
export function cloneOfClaim(claim: Claim): DataVolume | undefined {
  const request = claim.metadata.annotations?.[annotations.cloneRequest];
  if (request === undefined) return undefined;
  const [first = '', second] = request.split('/');
  const source = { namespace: second === undefined ? '' : first, name: second ?? first };
  const { name, namespace = '' } = claim.metadata;
  return {
    apiVersion: 'cdi.kubevirt.io/v1beta1',
    kind: 'DataVolume',
    metadata: { name, namespace },
    spec: { source: { pvc: source } },
  };
}

/** The object with the given requester, or with none: who asked for a clone is kept in an annotation that users cannot set themselves. */
export function withRequester<T extends KubeObject>(object: T, requester: string | undefined): T {
  return withOwnAnnotation(object, annotations.requester, requester);
}

/** The object with what its DataSource stood for, or without: what was authorised is kept in an annotation that users cannot set themselves. */
export function withCloneSource<T extends KubeObject>(object: T, source: string | undefined): T {
  return withOwnAnnotation(object, annotations.cloneSource, source);
}

function withOwnAnnotation<T extends KubeObject>(object: T, name: string, value: string | undefined): T {
  const { [name]: given, ...others } = object.metadata.annotations ?? {};
  if (value === given) return object;
  const kept = value === undefined ? others : { ...others, [name]: value };
  const { annotations: _all, ...metadata } = object.metadata;
  return { ...object, metadata: Object.keys(kept).length === 0 ? metadata : { ...metadata, annotations: kept } };
}
