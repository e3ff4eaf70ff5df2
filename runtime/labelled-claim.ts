// Completes a claim that asks for it by its label, from what the store says of storage at that moment: such claims are rare, so nothing is kept in memory.
import {
  asksForCompletion,
  asksForNoSize,
  type ClaimProblem,
  cloneSourceNameOf,
  completeClaim,
} from '../domain/complete-claim.ts';
import type { Claim, ClaimSpec } from '../domain/kube-shapes.ts';
import type { ObjectMeta, ObjectStore } from '../domain/object-store.ts';
import type { Provisioning } from '../domain/provisioning.ts';
import { resources } from '../domain/resources.ts';

/** @returns the spec that it gets, which is its own where it does not ask; or why it cannot be completed */
export async function completeLabelledClaim(
  claim: { metadata: Pick<ObjectMeta, 'namespace' | 'labels' | 'annotations'>; spec: ClaimSpec },
  store: Pick<ObjectStore, 'get' | 'list'>,
  provisioning: Provisioning,
): Promise<{ spec: ClaimSpec } | { problem: ClaimProblem }> {
  if (!asksForCompletion(claim.metadata)) return { spec: claim.spec };
  const [{ items: storageClasses }, { items: storageProfiles }, cdiConfig, cloneSource] = await Promise.all([
    store.list(resources.storageClasses),
    store.list(resources.storageProfiles),
    store.get(resources.cdiConfigs, { name: 'config' }),
    cloneSourceOf(claim, store),
  ]);
  return completeClaim(claim, { storageClasses, storageProfiles, cdiConfig, provisioning, cloneSource });
}

/** The claim from which it takes its size, where it leaves that to a VolumeCloneSource. */
async function cloneSourceOf(
  { metadata: { namespace = '' }, spec }: { metadata: Pick<ObjectMeta, 'namespace'>; spec: ClaimSpec },
  store: Pick<ObjectStore, 'get'>,
): Promise<Claim | undefined> {
  const name = cloneSourceNameOf(spec);
  if (name === undefined || !asksForNoSize(spec)) return undefined;
  const source = (await store.get(resources.volumeCloneSources, { namespace, name }))?.spec.source;
  if (source?.kind !== 'PersistentVolumeClaim') return undefined;
  return store.get(resources.claims, { namespace, name: source.name });
}
