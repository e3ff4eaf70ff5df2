// What a claim's annotations are to say: CDI's, which virtctl and KubeVirt read, and ours. Pure.
import { annotations } from '../../domain/annotations.ts';
import { devicePathOf } from '../../domain/block-device.ts';
import type { FaultRecord } from '../../domain/fault.ts';
import { exitCodes, faultCatalogue } from '../../domain/fault-catalogue.ts';
import type { Claim } from '../../domain/kube-shapes.ts';
import type { Operation } from '../../domain/phases.ts';
import { holdsFiles } from '../../domain/volume-record.ts';
import { type AttemptState, formatAttemptState } from './attempt-state.ts';
import type { ClaimFacts, RunningNote } from './claim-actions.ts';
import { type ClaimContent, isArchive } from './claim-content.ts';
import { obstacleOf } from './next-attempt-state.ts';

const completeMessage: Record<Operation, string> = {
  import: 'Import Complete',
  upload: 'Upload Complete',
  clone: 'Clone Complete',
};

/** Where the disk lies on its node; a claim of files, or a Filesystem claim that nobody fills, has its directory. */
function pathOf(facts: ClaimFacts): string | undefined {
  const directory = facts.node?.pools.find(({ name }) => name === facts.volume?.pool)?.directory;
  if (directory === undefined || facts.volume === undefined) return undefined;
  if (facts.volume.mode === 'Block') return devicePathOf(facts.volumeId);
  const data = `${directory}/volumes/${facts.volumeId}/data`;
  const isDirectory = facts.volume.state === 'complete' ? holdsFiles(facts.volume) : !isDisk(facts.content);
  return isDirectory ? data : `${data}/disk.img`;
}

function isDisk(content: ClaimContent): boolean {
  return content.kind !== 'none' && !isArchive(content);
}

/** One sentence for people and for KubeVirt; too small a volume in the words that CDI's users know. */
export function faultMessage(fault: Pick<FaultRecord, 'code' | 'detail'>): string {
  if (fault.code === 'ImageTooLarge') return `DataVolume too small to contain image: ${fault.detail}`;
  if (fault.code === 'ChecksumMismatch') return `checksum validation failed: checksum mismatch: ${fault.detail}`;
  return `${fault.code}: ${faultCatalogue[fault.code].sentence} ${fault.detail}`;
}

function faultReason(fault: FaultRecord, { content }: ClaimFacts): string {
  if (fault.code === 'ChecksumMismatch') return 'ChecksumError';
  if (fault.code === 'Cancelled') return 'Cancelled';
  const isPulled = content.kind === 'image' && content.source.kind === 'registry';
  return isPulled && faultCatalogue[fault.code].exit === exitCodes.source.code ? 'ImagePullFailed' : 'Error';
}

/** What the running condition is to say. */
function runningNote(state: AttemptState, facts: ClaimFacts): RunningNote {
  if (state.stage === 'succeeded') {
    return { running: false, reason: 'Completed', message: completeMessage[state.operation] };
  }
  if (state.stage === 'failed' && state.fault !== undefined) return stopped(state.fault, facts);
  const waits = whatItWaitsFor(facts);
  if (waits !== undefined) return waits;
  const { live } = facts;
  // A slot that waits after a failed upload tells of it until the next one begins.
  const failedBefore = live?.doing === 'waiting' && state.fault !== undefined;
  if (live?.attempt === state.attempt && live.doing !== 'received' && !failedBefore) {
    return { running: true, reason: 'Pod is running', message: '' };
  }
  if (state.fault !== undefined) return retrying(state, state.fault, facts);
  if (state.stage === 'received') return { running: true, reason: 'Pod is running', message: '' };
  return { running: false, reason: 'Pending', message: `waits for its turn on node ${facts.node?.name ?? ''}` };
}

function stopped(fault: FaultRecord, facts: ClaimFacts): RunningNote {
  return { running: false, reason: faultReason(fault, facts), message: faultMessage(fault) };
}

function retrying(state: AttemptState, fault: FaultRecord, facts: ClaimFacts): RunningNote {
  const when = state.notBefore === undefined ? '' : `; tried again at ${state.notBefore}`;
  return { running: false, reason: faultReason(fault, facts), message: `${faultMessage(fault)}${when}` };
}

function whatItWaitsFor(facts: ClaimFacts): RunningNote | undefined {
  if (facts.node !== undefined && !facts.node.connected) {
    const message = `the worker of node ${facts.node.name} is not connected`;
    return { running: false, reason: 'NodeLost', message };
  }
  const fault = obstacleOf(facts);
  if (fault === undefined) return undefined;
  return { running: false, reason: fault.code, message: `${fault.row.sentence} ${fault.detail}` };
}

/** What keeps a claim from being bound; undefined where nothing does. */
function boundNote(claim: Claim, facts: ClaimFacts): { reason: string; message: string } | undefined {
  const pending = `PVC ${claim.metadata.name} Pending`;
  if (facts.volume !== undefined) return undefined;
  if (!facts.readiness.ready) {
    const { code, detail, row } = facts.readiness.fault;
    return { reason: code, message: `${pending}: ${row.sentence} ${detail}` };
  }
  if (facts.node === undefined && facts.obstacle === undefined) {
    return facts.waitsForConsumer
      ? { reason: 'WaitForFirstConsumer', message: `${pending}: waits for its first consumer` }
      : { reason: 'Pending', message: `${pending}: no worker is connected` };
  }
  if (facts.node?.connected === false) {
    return { reason: 'Pending', message: `${pending}: the worker of node ${facts.node.name} is not connected` };
  }
  if (facts.obstacle === undefined) return undefined;
  const { code, detail, row } = facts.obstacle;
  return { reason: code, message: `${pending}: ${row.sentence} ${detail}` };
}

function podPhase(state: AttemptState): string {
  switch (state.stage) {
    case 'succeeded':
      return 'Succeeded';
    case 'failed':
      return 'Failed';
    case 'planned':
      return state.attempt === 1 ? 'Pending' : 'Running';
    default:
      return 'Running';
  }
}

function hasSlot(state: AttemptState, facts: ClaimFacts): boolean {
  const open = state.stage === 'running' || state.stage === 'received';
  return open && facts.node?.connected === true && facts.live?.attempt === state.attempt;
}

/** Every annotation that the controller owns; null where it is not to be there. */
export function claimAnnotations(
  claim: Claim,
  state: AttemptState | undefined,
  facts: ClaimFacts,
): Record<string, string | null> {
  const bound = boundNote(claim, facts);
  const placed = {
    [annotations.boundCondition]: bound === undefined ? null : 'false',
    [annotations.boundConditionReason]: bound?.reason ?? null,
    [annotations.boundConditionMessage]: bound?.message ?? null,
    ...placeAnnotations(facts),
    ...pathAnnotation(facts),
  };
  return state === undefined ? placed : { ...placed, ...attemptAnnotations(state, facts) };
}

function placeAnnotations({ volume, node }: ClaimFacts): Record<string, string> {
  if (volume === undefined || node === undefined) return {};
  return { [annotations.selectedNode]: node.name, [annotations.pool]: volume.pool };
}

function pathAnnotation(facts: ClaimFacts): Record<string, string> {
  const path = pathOf(facts);
  return path === undefined ? {} : { [annotations.path]: path };
}

function attemptAnnotations(state: AttemptState, facts: ClaimFacts): Record<string, string | null> {
  const running = facts.volume === undefined && state.stage !== 'failed' ? undefined : runningNote(state, facts);
  return {
    [annotations.attempt]: formatAttemptState(state),
    [annotations.podRestarts]: String(state.attempt - 1),
    ...(running === undefined
      ? {}
      : {
          [annotations.podPhase]: podPhase(state),
          [annotations.runningCondition]: String(running.running),
          [annotations.runningConditionReason]: running.reason,
          [annotations.runningConditionMessage]: running.message,
        }),
    ...(state.operation === 'upload' ? { [annotations.podReady]: String(hasSlot(state, facts)) } : {}),
    [annotations.importFatalError]: state.stage === 'failed' ? 'true' : null,
  };
}
