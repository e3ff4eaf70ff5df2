// Completes a claim that asks for it by its label, from what the store says of storage at that moment: such claims are rare, so nothing is kept in memory.
import { asksForCompletion, type ClaimProblem, completeClaim } from '../domain/complete-claim.ts';
import type { ClaimSpec } from '../domain/kube-shapes.ts';
import type { ObjectMeta, ObjectStore } from '../domain/object-store.ts';
import type { Provisioning } from '../domain/provisioning.ts';
import { resources } from '../domain/resources.ts';

/** @returns the spec that it gets, which is its own where it does not ask; or why it cannot be completed */
export async function completeLabelledClaim(
  claim: { metadata: Pick<ObjectMeta, 'labels' | 'annotations'>; spec: ClaimSpec },
  store: Pick<ObjectStore, 'get' | 'list'>,
  provisioning: Provisioning,
): Promise<{ spec: ClaimSpec } | { problem: ClaimProblem }> {
  if (!asksForCompletion(claim.metadata)) return { spec: claim.spec };
  const [{ items: storageClasses }, { items: storageProfiles }, cdiConfig] = await Promise.all([
    store.list(resources.storageClasses),
    store.list(resources.storageProfiles),
    store.get(resources.cdiConfigs, { name: 'config' }),
  ]);
  return completeClaim(claim, { storageClasses, storageProfiles, cdiConfig, provisioning });
}
