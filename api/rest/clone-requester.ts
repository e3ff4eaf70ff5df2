// Clones are authorised when they are asked for, with this service's own roles; who asked is kept on the object, in an annotation that
// users cannot set themselves.
import { canClone } from '../../domain/can-clone.ts';
import { cloneAuthorization, cloneOfClaim, cloneRefusal, needsNoClone } from '../../domain/clone-authorization.ts';
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
  const verdict = canClone(needed, (right) => isAllowed(identity, right));
  const exists = store.entry(resources.namespaces, { name: needed.sourceNamespace }) !== undefined;
  if (verdict.allowed && exists) return identity.name;
  if (needsNoClone(dataVolume)) return undefined;
  if (verdict.allowed) throw badRequest(`namespaces "${needed.sourceNamespace}" not found`);
  throw refusedAdmission([cloneRefusal(needed, identity.name, verdict.missing)]);
}

/** A claim that asks for a clone needs the same rights. */
export function authorizeClaimClone(claim: Claim, asker: Asker): string | undefined {
  const clone = cloneOfClaim(claim);
  return clone === undefined ? undefined : authorizeClone(clone, asker);
}
