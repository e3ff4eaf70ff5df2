// The conditions Ready, Bound and Running of a DataVolume, as CDI words them. Pure. Times change only when what they date changes.
import { annotations } from '../../domain/annotations.ts';
import type { Claim, Condition } from '../../domain/kube-shapes.ts';
import type { Phase } from '../../domain/phases.ts';
import { dated, type Wanted } from '../dated-condition.ts';
import type { EventText } from './data-volume-phase.ts';

/** Why there is no claim yet; it stands in Bound and Ready. */
export interface Hindrance {
  reason: string;
  message: string;
}

export interface ConditionFacts {
  claimName: string;
  claim: Claim | undefined;
  phase: Phase;
  /** The class that the claim names, where there is none of that name. */
  missingClass: string | undefined;
  hindrance: Hindrance | undefined;
}

export function nextConditions(before: readonly Condition[], facts: ConditionFacts, now: Date): Condition[] {
  const running = runningCondition(facts);
  return [boundCondition(facts), readyCondition(facts, running), running].map((wanted) => dated(before, wanted, now));
}

function boundCondition({ claim, claimName, missingClass, hindrance }: ConditionFacts): Wanted {
  const condition = (status: string, reason: string, message: string): Wanted => ({
    type: 'Bound',
    ...{ status, reason, message },
  });
  if (hindrance !== undefined) return condition('False', hindrance.reason, hindrance.message);
  if (claim === undefined) return condition('False', 'NotFound', 'No PVC found');
  const told = claim.metadata.annotations ?? {};
  switch (claim.status?.phase) {
    case 'Bound':
      return condition('True', 'Bound', `PVC ${claimName} Bound`);
    case 'Lost':
      return condition('False', 'ClaimLost', 'Claim Lost');
    default:
      return condition(
        'False',
        told[annotations.boundConditionReason] ?? 'Pending',
        told[annotations.boundConditionMessage] ?? pendingMessage(claimName, missingClass),
      );
  }
}

function pendingMessage(claimName: string, missingClass: string | undefined): string {
  const pending = `PVC ${claimName} Pending`;
  if (missingClass === undefined) return pending;
  return `${pending}: there is no StorageClass ${missingClass}. Create it, or create the DataVolume again with another.`;
}

function readyCondition({ phase, hindrance }: ConditionFacts, running: Wanted): Wanted {
  const status = phase === 'Succeeded' ? 'True' : phase === 'Unknown' ? 'Unknown' : 'False';
  if (status === 'False' && running.status === 'True') {
    return { type: 'Ready', status, reason: 'TransferRunning', message: '' };
  }
  const { reason, message } = status === 'False' && hindrance !== undefined ? hindrance : { reason: '', message: '' };
  return { type: 'Ready', status, reason, message };
}

function runningCondition({ claim }: ConditionFacts): Wanted {
  const told = claim?.metadata.annotations ?? {};
  return {
    type: 'Running',
    status: told[annotations.runningCondition] === 'true' ? 'True' : 'False',
    reason: told[annotations.runningConditionReason] ?? '',
    message: told[annotations.runningConditionMessage] ?? '',
  };
}

/** Reasons of a Running that is False for the while, without anything wrong. */
const ordinaryReasons: ReadonlySet<string> = new Set(['', 'Pending', 'Completed']);

/** A Normal event when Bound changes; a Warning when a bound volume's transfer stops with a new message. */
export function eventsOfConditions(before: readonly Condition[], after: readonly Condition[]): EventText[] {
  const find = (conditions: readonly Condition[], type: string) =>
    conditions.find((condition) => condition.type === type);
  const [bound, running, ready] = [find(after, 'Bound'), find(after, 'Running'), find(after, 'Ready')];
  const events: EventText[] = [];
  // Anything else that stands in Bound has a Warning of its own.
  const isPlain = ['Bound', 'Pending', 'ClaimLost'].includes(bound?.reason ?? '');
  if (bound !== undefined && isPlain && bound.status !== find(before, 'Bound')?.status) {
    events.push({ type: 'Normal', reason: bound.reason ?? '', message: bound.message ?? '' });
  }
  const stopped = running?.status === 'False' && ready?.status === 'False' && bound?.status === 'True';
  const isNew = running?.message !== '' && running?.message !== find(before, 'Running')?.message;
  if (stopped && isNew && !ordinaryReasons.has(running.reason ?? '')) {
    events.push({ type: 'Warning', reason: running.reason ?? '', message: running.message ?? '' });
  }
  return events;
}
