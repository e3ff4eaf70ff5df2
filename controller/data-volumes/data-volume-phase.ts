// Which phase a DataVolume is in, read from its claim as CDI does, and the event that tells of it. Pure.
import { annotations } from '../../domain/annotations.ts';
import type { DataVolume } from '../../domain/data-volume.ts';
import type { Claim } from '../../domain/kube-shapes.ts';
import { canFollow, isPhase, type Operation, operationOf, operationPhases, type Phase } from '../../domain/phases.ts';
import type { AttemptState } from '../claims/attempt-state.ts';

export interface PhaseFacts {
  claim: Claim | undefined;
  state: AttemptState | undefined;
  /** The claim's class binds when a consumer has chosen a node, and none has. */
  waitsForConsumer: boolean;
  /** Content that was there before: adopted, or put in by somebody else. */
  given: boolean;
}

/** The phase that the claim tells. */
export function phaseOfClaim(dataVolume: DataVolume, facts: PhaseFacts): Phase {
  const { claim } = facts;
  if (claim === undefined) return 'Pending';
  const told = claim.metadata.annotations ?? {};
  if (told[annotations.podPhase] === 'Failed' && told[annotations.importFatalError] === 'true') return 'Failed';
  switch (claim.status?.phase) {
    case 'Bound':
      return facts.given ? 'Succeeded' : phaseOfBound(operationOf(dataVolume.spec.source), told);
    case 'Lost':
      return 'Failed';
    case undefined:
    case 'Pending':
      return facts.waitsForConsumer ? 'WaitForFirstConsumer' : 'Pending';
    default:
      return 'Unknown';
  }
}

function phaseOfBound(operation: Operation | undefined, told: Readonly<Record<string, string>>): Phase {
  if (operation === undefined) return 'Succeeded';
  const names = operationPhases[operation];
  switch (told[annotations.podPhase]) {
    case 'Pending':
      return names.scheduled;
    case 'Running':
      if (operation !== 'upload') return names.running;
      return told[annotations.podReady] === 'true' ? names.running : names.scheduled;
    case 'Succeeded':
      return 'Succeeded';
    default:
      return 'PVCBound';
  }
}

/**
 * The phase to show: never back within an attempt. A claim that was made anew begins anew.
 * @param sameVolume the status tells of the volume that the claim has now
 */
export function nextPhase(dataVolume: DataVolume, wanted: Phase, attempt: number, sameVolume: boolean): Phase {
  const shown = dataVolume.status?.phase ?? '';
  if (!isPhase(shown) || !sameVolume) return wanted;
  // A failed upload leaves the DataVolume waiting for the next one.
  const goesBack = operationOf(dataVolume.spec.source) !== 'upload' && shown !== 'Failed';
  const newAttempt = goesBack && attempt > (dataVolume.status?.longshore?.attempt ?? 0);
  return canFollow(shown, wanted, newAttempt && wanted !== 'Pending') ? wanted : shown;
}

export interface EventText {
  type: 'Normal' | 'Warning';
  reason: string;
  message: string;
}

const subjects: Record<Operation, string> = { import: 'Import', upload: 'Upload', clone: 'Clone' };

/** The event of a phase that was entered; undefined where CDI writes none. */
export function eventOfPhase(
  dataVolume: DataVolume,
  phase: Phase,
  claimPhase: string | undefined,
): EventText | undefined {
  const operation = operationOf(dataVolume.spec.source);
  const { name } = dataVolume.metadata;
  if (phase === 'Failed' && claimPhase === 'Lost') return warning('ErrClaimLost', `PVC ${name} lost`);
  if (operation === undefined) return undefined;
  const subject = subjects[operation];
  const { scheduled, running } = operationPhases[operation];
  switch (phase) {
    case scheduled:
      return normal(scheduled, `${doing(dataVolume, operation)} scheduled`);
    case running:
      return normal(running, `${doing(dataVolume, operation)} ${operation === 'upload' ? 'ready' : 'in progress'}`);
    case 'Succeeded':
      return normal(`${subject}Succeeded`, done(dataVolume, operation));
    case 'Failed':
      return warning(`${subject}Failed`, failed(dataVolume, operation));
    default:
      return undefined;
  }
}

function normal(reason: string, message: string): EventText {
  return { type: 'Normal', reason, message };
}

function warning(reason: string, message: string): EventText {
  return { type: 'Warning', reason, message };
}

function fromTo(dataVolume: DataVolume): string {
  const { namespace = '', name } = dataVolume.metadata;
  const source = dataVolume.spec.source?.pvc ?? dataVolume.spec.source?.snapshot;
  return `from ${source?.namespace ?? namespace}/${source?.name ?? ''} into ${namespace}/${name}`;
}

function doing(dataVolume: DataVolume, operation: Operation): string {
  return operation === 'clone'
    ? `Cloning ${fromTo(dataVolume)}`
    : `${subjects[operation]} into ${dataVolume.metadata.name}`;
}

function done(dataVolume: DataVolume, operation: Operation): string {
  const { name } = dataVolume.metadata;
  if (operation === 'import') return `Successfully imported into PVC ${name}`;
  return operation === 'upload' ? `Successfully uploaded into ${name}` : `Successfully cloned ${fromTo(dataVolume)}`;
}

function failed(dataVolume: DataVolume, operation: Operation): string {
  const { name } = dataVolume.metadata;
  return operation === 'import' ? `Failed to import into PVC ${name}` : `${doing(dataVolume, operation)} failed`;
}
