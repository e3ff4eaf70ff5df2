// How a claim comes to its volume and lets go of it: what differs between one machine, where the controller asks the worker over the channel, and a
// cluster, where Kubernetes asks the CSI driver. Pure parts of reconcile-claim.ts.
import { annotations, volumeFinalizer } from '../../domain/annotations.ts';
import type { Claim } from '../../domain/kube-shapes.ts';
import type { ClaimAction, ClaimFacts, ClaimPatch } from './claim-actions.ts';
import { boundStatus, planGrowth } from './claim-growth.ts';

export interface VolumeKeeping {
  /** The claim stays until what was made for it is gone. */
  isHeld(claim: Claim): boolean;
  /** Whether the worker is to be asked now to make the volume of the claim. */
  isToReserve(claim: Claim, facts: ClaimFacts): boolean;
  /** What a volume that nobody fills needs before its user gets it. */
  leaveAlone(facts: ClaimFacts): ClaimAction[];
  /** What makes the volume as large as the claim asks by now. */
  growth(claim: Claim, facts: ClaimFacts, sizeBytes: number): ClaimAction[];
  /** What is written on the claim about its volume. */
  binding(claim: Claim, facts: ClaimFacts): { patch: Partial<ClaimPatch>; actions: ClaimAction[] };
  /** The claim is being deleted. */
  end(claim: Claim, facts: ClaimFacts): ClaimAction[];
}

export function volumeKeepingFor({ provisionedBy }: ClaimFacts): VolumeKeeping {
  return provisionedBy === 'csi' ? byCsi : byChannel;
}

function endLive(facts: ClaimFacts, reason: string): ClaimAction[] {
  const { live, node } = facts;
  if (live === undefined || node?.connected !== true) return [];
  const which = { node: node.name, attempt: live.attempt };
  return [
    { kind: 'cancelAttempt', ...which, reason },
    { kind: 'dequeue', ...which },
  ];
}

const byChannel: VolumeKeeping = {
  isHeld: (claim) => claim.metadata.finalizers?.includes(volumeFinalizer) === true,

  isToReserve(claim, { node, volume, obstacle }) {
    const isUsable = node?.connected === true && node.known;
    return isUsable && volume === undefined && obstacle === undefined && claim.spec.volumeName === undefined;
  },

  leaveAlone: ({ node, volume }) =>
    volume?.state === 'empty' && node !== undefined ? [{ kind: 'markPlain', node: node.name }] : [],

  growth: (claim, facts, sizeBytes) => planGrowth(claim, facts, sizeBytes),

  binding(claim, facts) {
    const patch: Partial<ClaimPatch> = {};
    if (!byChannel.isHeld(claim)) patch.finalizer = 'add';
    if (facts.volume !== undefined && claim.spec.volumeName !== facts.volumeId) patch.volumeName = facts.volumeId;
    return { patch, actions: statusOf(claim, facts) };
  },

  /**
   * Cancels, removes the volume, and only then lets the claim go. Where the worker is away it waits and says so, unless nothing is known to have been
   * made there: what a crash may have left behind is empty, and goes as an orphan does.
   */
  end(claim, { node, volume, volumeId, obstacle }) {
    if (!byChannel.isHeld(claim)) return [];
    const neverMade = volume === undefined && claim.spec.volumeName !== volumeId;
    const release: ClaimAction = { kind: 'patch', patch: { annotations: {}, finalizer: 'remove' } };
    if (node === undefined || (neverMade && !node.connected)) return [release];
    if (!node.connected || !node.known)
      return waitsToEnd(`waits for the worker of node ${node.name} to delete the volume`);
    if (obstacle !== undefined) return waitsToEnd(obstacle.message);
    if (volume === undefined) return [release];
    const attempt = Math.max(volume.fence, 1);
    return [{ kind: 'deleteVolume', node: node.name }, { kind: 'dequeue', node: node.name, attempt }, release];
  },
};

function waitsToEnd(message: string): ClaimAction[] {
  const told = {
    [annotations.runningCondition]: 'false',
    [annotations.runningConditionReason]: 'Deleting',
    [annotations.runningConditionMessage]: message,
  };
  return [{ kind: 'patch', patch: { annotations: told } }];
}

function statusOf(claim: Claim, { volume, node, obstacle, growthFault, now }: ClaimFacts): ClaimAction[] {
  const phase = claim.status?.phase;
  if (volume === undefined) {
    const isMissing = node?.connected === true && node.known && obstacle === undefined;
    const lost = claim.spec.volumeName !== undefined && isMissing;
    const wanted = lost ? 'Lost' : (phase ?? 'Pending');
    return phase === wanted ? [] : [{ kind: 'patchStatus', status: { ...claim.status, phase: wanted } }];
  }
  return boundStatus(claim, volume, { obstacle: growthFault ?? obstacle, now });
}

/** The provisioner makes the volume on the node that the claim names, Kubernetes binds it, and its reclaim policy says what becomes of it. */
const byCsi: VolumeKeeping = {
  isHeld: () => true,
  isToReserve: () => false,
  leaveAlone: () => [],
  /** The external-resizer asks the CSI driver. */
  growth: () => [],

  /** Names the node where nobody else does; takes the name away again where that node has gone before anything was made there. */
  binding(claim, { node, volume }) {
    const isBound = (claim.spec.volumeName ?? '') !== '';
    const named = claim.metadata.annotations?.[annotations.selectedNode];
    if (isBound || volume !== undefined || node === undefined) return { patch: {}, actions: [] };
    if (named === undefined) return { patch: { annotations: { [annotations.selectedNode]: node.name } }, actions: [] };
    if (node.lostInMs === undefined) return { patch: {}, actions: [] };
    if (node.lostInMs > 0) return { patch: {}, actions: [{ kind: 'again', afterMs: node.lostInMs }] };
    return { patch: { annotations: { [annotations.selectedNode]: null } }, actions: [] };
  },

  end: (_claim, facts) => endLive(facts, 'the claim is being deleted'),
};
