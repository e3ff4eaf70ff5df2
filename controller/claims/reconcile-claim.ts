// Compares a claim with its volume and with what its worker does, and says what to do next. Pure: the same claim and facts give the same actions.
// A round repeats until nothing is left to do, so each pass tells only the next steps. What must outlive a crash is written before what depends on
// it: the number of an attempt before its fence, a result before it is acknowledged. An own first attempt is written when the claim is made.
import { annotations } from '../../domain/annotations.ts';
import { Fault, faultRecord } from '../../domain/fault.ts';
import type { Claim } from '../../domain/kube-shapes.ts';
import type { Operation } from '../../domain/phases.ts';
import { quantityBytes } from '../../domain/quantity.ts';
import { type JobOperation, type JobPayload, jobVersion } from '../../jobs/payload.ts';
import { type AttemptState, isEnded, parseAttemptState } from './attempt-state.ts';
import type { ClaimAction, ClaimFacts, ClaimPatch } from './claim-actions.ts';
import { claimAnnotations, faultMessage } from './claim-annotations.ts';
import { isArchive } from './claim-content.ts';
import { nextAttemptState } from './next-attempt-state.ts';
import { type VolumeKeeping, volumeKeepingFor } from './volume-keeping.ts';

/** Content of a claim never changes once asked, so there is one generation; see domain/volume-record.ts. */
export const contentGeneration = 1;

export function reconcileClaim(claim: Claim, facts: ClaimFacts): ClaimAction[] {
  const taken: ClaimAction[] = facts.outcome === undefined ? [] : [{ kind: 'outcomeTaken' }];
  const keeping = volumeKeepingFor(facts);
  if (claim.metadata.deletionTimestamp !== undefined) return [...taken, ...changing(claim, keeping.end(claim, facts))];
  if (!facts.ours || facts.content.kind === 'unknown') return taken;
  const annotation = claim.metadata.annotations?.[annotations.attempt];
  const before = parseAttemptState(annotation);
  const sizeBytes = sizeOf(claim);
  const sized: ClaimFacts =
    sizeBytes === undefined
      ? { ...facts, obstacle: new Fault('InvalidRequest', 'spec.resources.requests.storage') }
      : facts;
  const state = nextAttemptState(annotation, sized);
  const labels = before?.stage === 'succeeded' || state?.stage !== 'succeeded' ? undefined : state.report?.labels;
  const writes = [...patches(claim, { state, labels }, sized, keeping), ...eventsOf(before, state)];
  const commands = facts.obstacle === undefined ? commandsFor(claim, state, sized, sizeBytes ?? 0) : [];
  const writeFirst = !keeping.isHeld(claim) || isToBeKnown(before, state);
  return writeFirst ? [...writes, ...taken, ...commands] : [...commands, ...writes, ...taken];
}

/** Whether a worker that asks about the attempt would be answered wrongly before this is written: a job may begin the moment it is added. */
function isToBeKnown(before: AttemptState | undefined, state: AttemptState | undefined): boolean {
  if (before?.attempt !== state?.attempt) return true;
  return state !== undefined && (isEnded(state) || (state.stage === 'received' && before?.stage !== 'received'));
}

function sizeOf(claim: Claim): number | undefined {
  const asked = claim.spec.resources?.requests?.['storage'];
  const bytes = asked === undefined ? undefined : quantityBytes(asked);
  return bytes === undefined || bytes < 1 ? undefined : bytes;
}

/** What the object is to say, as one patch of the claim and one of its status; nothing where it says so already. */
function patches(
  claim: Claim,
  { state, labels }: { state: AttemptState | undefined; labels: ClaimPatch['labels'] },
  facts: ClaimFacts,
  keeping: VolumeKeeping,
): ClaimAction[] {
  // A first pass that is about to make the volume has nothing to tell yet: one write less on the way of a new claim.
  const isWanted = state === undefined || !isEnded(state);
  if (keeping.isHeld(claim) && isWanted && keeping.isToReserve(claim, facts)) return [];
  const { patch, actions } = keeping.binding(claim, facts);
  const told = { ...claimAnnotations(claim, state, facts), ...patch.annotations };
  return [...patchOf(claim, { ...patch, ...(labels === undefined ? {} : { labels }), annotations: told }), ...actions];
}

/** Without the patches that change nothing. */
function changing(claim: Claim, actions: readonly ClaimAction[]): ClaimAction[] {
  return actions.flatMap((action) => (action.kind === 'patch' ? patchOf(claim, action.patch) : [action]));
}

function patchOf(claim: Claim, patch: ClaimPatch): ClaimAction[] {
  const given = claim.metadata.annotations ?? {};
  const changed = Object.entries(patch.annotations).filter(([name, value]) => (given[name] ?? null) !== value);
  if (changed.length === 0 && patch.finalizer === undefined && patch.volumeName === undefined) return [];
  return [{ kind: 'patch', patch: { ...patch, annotations: Object.fromEntries(changed) } }];
}

function commandsFor(
  claim: Claim,
  state: AttemptState | undefined,
  facts: ClaimFacts,
  sizeBytes: number,
): ClaimAction[] {
  const { node, volume } = facts;
  if (node === undefined || !node.connected || !node.known) return [];
  const keeping = volumeKeepingFor(facts);
  const growth = keeping.growth(claim, facts, sizeBytes);
  if (growth.length > 0) return growth;
  if (state !== undefined && isEnded(state)) return endOfAttempt(state, node.name, facts);
  if (volume === undefined) {
    return keeping.isToReserve(claim, facts) ? [reservation(claim, node.name, sizeBytes, facts)] : [];
  }
  if (state === undefined) return keeping.leaveAlone(facts);
  if (facts.live?.attempt !== state.attempt && !facts.readiness.ready) return [];
  const fence: ClaimAction[] =
    volume.fence < state.attempt ? [{ kind: 'fence', node: node.name, attempt: state.attempt }] : [];
  return [...fence, ...beginning(state, node.name, facts, volume.sizeBytes)];
}

function reservation(claim: Claim, node: string, sizeBytes: number, { pool, sectorBytes }: ClaimFacts): ClaimAction {
  if (claim.spec.volumeMode !== 'Block') return { kind: 'reserve', node, pool, sizeBytes, mode: 'Filesystem' };
  const sectors = sectorBytes === undefined ? {} : { sectorBytes };
  return { kind: 'reserve', node, pool, sizeBytes, mode: 'Block', ...sectors };
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
    const typed = isArchive(facts.content) ? { contentType: 'archive' as const } : {};
    return live === undefined ? [{ kind: 'openUpload', node, attempt: state.attempt, sizeBytes, ...typed }] : [];
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
  return [{ kind: 'event', type: 'Warning', reason: failureReasonOf(before, state), message }];
}

/** By this reason virtctl, which waits for the place of its upload, knows that there will be none. */
function failureReasonOf(before: AttemptState | undefined, { operation, stage }: AttemptState): string {
  const wasNeverReady = before === undefined || (before.stage === 'planned' && before.failures === 0);
  const isHopeless = operation === 'upload' && stage === 'failed' && wasNeverReady;
  return isHopeless ? 'ProvisioningFailed' : failureReasons[operation];
}

function isSameFailure(before: AttemptState | undefined, state: AttemptState): boolean {
  if (before?.fault === undefined) return false;
  const { code, detail } = before.fault;
  if (code !== state.fault?.code || detail !== state.fault.detail) return false;
  return before.attempt === state.attempt && before.failures === state.failures && isEnded(before) === isEnded(state);
}
