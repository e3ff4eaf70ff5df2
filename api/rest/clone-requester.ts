// Clones are authorised when they are asked for, with this service's own roles; who asked is kept on the object, in an annotation that
// users cannot set themselves.
import {
  cloneAuthorization,
  cloneOfClaim,
  cloneRefusal,
  isCloneAllowed,
  needsNoClone,
} from '../../domain/clone-authorization.ts';
import type { DataVolume } from '../../domain/data-volume.ts';
import type { Claim } from '../../domain/kube-shapes.ts';
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

/** A claim that asks for a clone needs the same rights. */
export function authorizeClaimClone(claim: Claim, asker: Asker): string | undefined {
  const clone = cloneOfClaim(claim);
  return clone === undefined ? undefined : authorizeClone(clone, asker);
}
