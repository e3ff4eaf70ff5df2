// Compares a claim with its volume and with what its worker does, and says what to do next. Pure: the same claim and facts give the same actions.
// A round repeats until nothing is left to do, so each pass tells only the next steps. What must outlive a crash is written before what depends on
// it: the number of an attempt before its fence, a result before it is acknowledged. An own first attempt is written when the claim is made.
import { annotations, volumeFinalizer } from '../domain/annotations.ts';
import { Fault, faultRecord } from '../domain/fault.ts';
import type { Claim } from '../domain/kube-shapes.ts';
import type { Operation } from '../domain/phases.ts';
import { formatBytes, quantityBytes } from '../domain/quantity.ts';
import { type JobOperation, type JobPayload, jobVersion } from '../jobs/payload.ts';
import { type AttemptState, isEnded, parseAttemptState } from './attempt-state.ts';
import type { ClaimAction, ClaimFacts, ClaimPatch } from './claim-actions.ts';
import { claimAnnotations, faultMessage } from './claim-annotations.ts';
import { nextAttemptState } from './next-attempt-state.ts';

/** Content of a claim never changes once asked, so there is one generation; see domain/volume-record.ts. */
export const contentGeneration = 1;

export function reconcileClaim(claim: Claim, facts: ClaimFacts): ClaimAction[] {
  if (claim.metadata.deletionTimestamp !== undefined) return endClaim(claim, facts);
  if (!facts.ours || facts.content.kind === 'unknown')
    return facts.outcome === undefined ? [] : [{ kind: 'outcomeTaken' }];
  const annotation = claim.metadata.annotations?.[annotations.attempt];
  const before = parseAttemptState(annotation);
  const sizeBytes = sizeOf(claim);
  const sized: ClaimFacts =
    sizeBytes === undefined
      ? { ...facts, obstacle: new Fault('InvalidRequest', 'spec.resources.requests.storage') }
      : facts;
  const state = nextAttemptState(annotation, sized);
  const writes = [...patches(claim, state, sized), ...eventsOf(before, state)];
  const taken: ClaimAction[] = facts.outcome === undefined ? [] : [{ kind: 'outcomeTaken' }];
  const commands = facts.obstacle === undefined ? commandsFor(claim, state, sized, sizeBytes ?? 0) : [];
  const writeFirst = !isHeld(claim) || before?.attempt !== state?.attempt || (state !== undefined && isEnded(state));
  return writeFirst ? [...writes, ...taken, ...commands] : [...commands, ...writes, ...taken];
}

function isHeld(claim: Claim): boolean {
  return claim.metadata.finalizers?.includes(volumeFinalizer) === true;
}

function sizeOf(claim: Claim): number | undefined {
  const asked = claim.spec.resources?.requests?.['storage'];
  const bytes = asked === undefined ? undefined : quantityBytes(asked);
  return bytes === undefined || bytes < 1 ? undefined : bytes;
}

/**
 * Cancels, removes the volume, and only then lets the claim go. Where the worker is away it waits and says so, unless nothing is known to have been
 * made there: what a crash may have left behind is empty, and goes as an orphan does.
 */
function endClaim(claim: Claim, facts: ClaimFacts): ClaimAction[] {
  const taken: ClaimAction[] = facts.outcome === undefined ? [] : [{ kind: 'outcomeTaken' }];
  if (!isHeld(claim)) return taken;
  const { node, volume } = facts;
  const neverMade = volume === undefined && claim.spec.volumeName !== facts.volumeId;
  const release: ClaimAction = { kind: 'patch', patch: { annotations: {}, finalizer: 'remove' } };
  if (node === undefined || (neverMade && !node.connected)) return [...taken, release];
  if (!node.connected || !node.known) {
    const message = `waits for the worker of node ${node.name} to delete the volume`;
    return [...taken, ...patchOf(claim, { annotations: claimWaits(message) })];
  }
  if (facts.obstacle !== undefined)
    return [...taken, ...patchOf(claim, { annotations: claimWaits(facts.obstacle.message) })];
  if (volume === undefined) return [...taken, release];
  const attempt = Math.max(volume.fence, 1);
  return [...taken, { kind: 'deleteVolume', node: node.name }, { kind: 'dequeue', node: node.name, attempt }, release];
}

function claimWaits(message: string): Record<string, string> {
  return {
    'cdi.kubevirt.io/storage.condition.running': 'false',
    'cdi.kubevirt.io/storage.condition.running.reason': 'Deleting',
    'cdi.kubevirt.io/storage.condition.running.message': message,
  };
}

/** What the object is to say, as one patch of the claim and one of its status; nothing where it says so already. */
function patches(claim: Claim, state: AttemptState | undefined, facts: ClaimFacts): ClaimAction[] {
  // A first pass that is about to reserve has nothing to tell yet: one write less on the way of a new claim.
  if (isHeld(claim) && willReserve(claim, state, facts)) return [];
  const patch: ClaimPatch = { annotations: claimAnnotations(claim, state, facts) };
  if (!isHeld(claim)) patch.finalizer = 'add';
  if (facts.volume !== undefined && claim.spec.volumeName !== facts.volumeId) patch.volumeName = facts.volumeId;
  return [...patchOf(claim, patch), ...statusPatch(claim, facts)];
}

function patchOf(claim: Claim, patch: ClaimPatch): ClaimAction[] {
  const given = claim.metadata.annotations ?? {};
  const changed = Object.entries(patch.annotations).filter(([name, value]) => (given[name] ?? null) !== value);
  if (changed.length === 0 && patch.finalizer === undefined && patch.volumeName === undefined) return [];
  return [{ kind: 'patch', patch: { ...patch, annotations: Object.fromEntries(changed) } }];
}

function statusPatch(claim: Claim, facts: ClaimFacts): ClaimAction[] {
  const { volume } = facts;
  const phase = claim.status?.phase;
  if (volume === undefined) {
    const lost = claim.spec.volumeName !== undefined && facts.node?.connected === true && facts.node.known;
    const wanted = lost ? 'Lost' : (phase ?? 'Pending');
    return phase === wanted ? [] : [{ kind: 'patchStatus', status: { ...claim.status, phase: wanted } }];
  }
  if (phase === 'Bound') return [];
  const capacity = { storage: formatBytes(volume.sizeBytes) };
  const accessModes = claim.spec.accessModes;
  return [
    {
      kind: 'patchStatus',
      status: { phase: 'Bound', capacity, ...(accessModes === undefined ? {} : { accessModes }) },
    },
  ];
}

function willReserve(claim: Claim, state: AttemptState | undefined, facts: ClaimFacts): boolean {
  const wanted = state === undefined || !isEnded(state);
  const { node, volume, obstacle } = facts;
  const usable = node?.connected === true && node.known;
  return wanted && usable && volume === undefined && obstacle === undefined && claim.spec.volumeName === undefined;
}

function commandsFor(
  claim: Claim,
  state: AttemptState | undefined,
  facts: ClaimFacts,
  sizeBytes: number,
): ClaimAction[] {
  const { node, volume } = facts;
  if (node === undefined || !node.connected || !node.known) return [];
  if (state !== undefined && isEnded(state)) return endOfAttempt(state, node.name, facts);
  if (willReserve(claim, state, facts)) {
    return [
      { kind: 'reserve', node: node.name, sizeBytes, mode: claim.spec.volumeMode === 'Block' ? 'Block' : 'Filesystem' },
    ];
  }
  if (volume === undefined) return [];
  if (state === undefined) return volume.state === 'empty' ? [{ kind: 'markPlain', node: node.name }] : [];
  if (facts.live?.attempt !== state.attempt && !facts.readiness.ready) return [];
  const fence: ClaimAction[] =
    volume.fence < state.attempt ? [{ kind: 'fence', node: node.name, attempt: state.attempt }] : [];
  return [...fence, ...beginning(state, node.name, facts, volume.sizeBytes)];
}

function endOfAttempt(state: AttemptState, node: string, facts: ClaimFacts): ClaimAction[] {
  if (state.stage === 'succeeded' || facts.live === undefined) return [];
  const reason = state.fault?.detail ?? 'the attempt has ended';
  return [
    { kind: 'cancelAttempt', node, attempt: facts.live.attempt, reason },
    { kind: 'dequeue', node, attempt: state.attempt },
  ];
}

/** What makes the attempt begin, where it does not run yet. */
function beginning(state: AttemptState, node: string, facts: ClaimFacts, sizeBytes: number): ClaimAction[] {
  const live = facts.live?.attempt === state.attempt ? facts.live : undefined;
  const delayMs = state.notBefore === undefined ? 0 : Math.max(0, Date.parse(state.notBefore) - facts.now.getTime());
  if (state.operation !== 'upload') {
    // One that ran and is not seen now is waited for, until its worker has told all it knows; see next-attempt-state.ts.
    if (live !== undefined || facts.enqueued || state.stage === 'running') return [];
    return [{ kind: 'enqueue', node, payload: payloadOf(state, state.operation, facts), delayMs }];
  }
  if (state.stage !== 'received') {
    return live === undefined ? [{ kind: 'openUpload', node, attempt: state.attempt, sizeBytes }] : [];
  }
  if (live?.doing === 'running' || facts.enqueued) return [];
  // The job of the former try may still be about to end, and has the same id; so the delay is kept here, not in the queue.
  if (delayMs > 0) return [{ kind: 'again', afterMs: delayMs }];
  return [{ kind: 'enqueue', node, payload: payloadOf(state, 'convert', facts), delayMs: 0 }];
}

function payloadOf(state: AttemptState, operation: JobOperation, facts: ClaimFacts): JobPayload {
  const { attempt } = state;
  return { schemaVersion: jobVersion, operation, volumeId: facts.volumeId, attempt, generation: contentGeneration };
}

const successEvents: Record<Operation, { reason: string; message: string }> = {
  import: { reason: 'ImportSucceeded', message: 'Import Successful' },
  upload: { reason: 'UploadSucceeded', message: 'Upload Successful' },
  clone: { reason: 'CloneSucceeded', message: 'Clone Complete' },
};
const failureReasons: Record<Operation, string> = {
  import: 'ErrImportFailed',
  upload: 'UploadFailed',
  clone: 'CloneFailed',
};

/** Events on the claim itself: an attempt that ended well, and each one that did not. */
function eventsOf(before: AttemptState | undefined, state: AttemptState | undefined): ClaimAction[] {
  if (state === undefined) return [];
  if (state.stage === 'succeeded') {
    return before?.stage === 'succeeded' ? [] : [{ kind: 'event', type: 'Normal', ...successEvents[state.operation] }];
  }
  if (state.fault === undefined || isSameFailure(before, state)) return [];
  const message = faultMessage(faultRecord(new Fault(state.fault.code, state.fault.detail)));
  return [{ kind: 'event', type: 'Warning', reason: failureReasons[state.operation], message }];
}

function isSameFailure(before: AttemptState | undefined, state: AttemptState): boolean {
  if (before?.fault === undefined) return false;
  const { code, detail } = before.fault;
  if (code !== state.fault?.code || detail !== state.fault.detail) return false;
  return before.attempt === state.attempt && before.failures === state.failures && isEnded(before) === isEnded(state);
}
