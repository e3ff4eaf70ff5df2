// How the state of an attempt goes on, given what is known now. Pure; see attempt-state.ts for the drawing.
import { Fault, faultFromRecord, faultRecord } from '../../domain/fault.ts';
import { exitCodes } from '../../domain/fault-catalogue.ts';
import type { Outcome } from '../../jobs/channel-protocol.ts';
import { isOfTheMachine } from '../../jobs/retry-policy.ts';
import { type AttemptState, firstAttempt, isEnded, parseAttemptState } from './attempt-state.ts';
import type { ClaimFacts } from './claim-actions.ts';
import { operationOfContent } from './claim-content.ts';

/** Faults that say nothing about the source, beside those of the machine: attempts that end so are not counted against the limit. */
const uncounted: ReadonlySet<string> = new Set(['Interrupted', 'SecretMissing', 'SourceNotReady']);

/** @returns the state as it is to be kept, undefined for a claim that nobody fills */
export function nextAttemptState(annotation: string | undefined, facts: ClaimFacts): AttemptState | undefined {
  const operation = operationOfContent(facts.content);
  const kept = parseAttemptState(annotation);
  const state = kept ?? (operation === undefined ? undefined : firstAttempt(operation));
  if (state === undefined || isEnded(state)) return state;
  const held = withFenceOf(state, facts);
  const next =
    decided(held, facts) ?? withOutcome(held, facts) ?? cancelled(held, facts) ?? withLiveAttempt(held, facts);
  return withObstacle(next, facts);
}

/** What keeps the next try from beginning; undefined where nothing does. */
export function obstacleOf({ obstacle, live, readiness }: ClaimFacts): Fault | undefined {
  if (obstacle !== undefined) return obstacle;
  return live === undefined && !readiness.ready ? readiness.fault : undefined;
}

function withObstacle({ obstacle: _, ...state }: AttemptState, facts: ClaimFacts): AttemptState {
  const obstacle = isEnded(state) ? undefined : obstacleOf(facts);
  return obstacle === undefined ? state : { ...state, obstacle: faultRecord(obstacle) };
}

/** The volume knows of a later attempt than the claim: its number is taken over. */
function withFenceOf(state: AttemptState, facts: ClaimFacts): AttemptState {
  const fence = facts.volume?.fence ?? 0;
  return fence > state.attempt ? { ...state, attempt: fence, stage: 'planned' } : state;
}

/** What is so whatever the attempt does: content that is complete, a source or a size that can never be. */
function decided(state: AttemptState, facts: ClaimFacts): AttemptState | undefined {
  if (facts.content.kind === 'unsupported') return failed(state, facts.content.fault);
  const { volume, obstacle } = facts;
  if (volume?.state === 'complete') {
    return succeeded(state, volume.report, volume.committedAt ?? facts.now.toISOString());
  }
  if (obstacle !== undefined && isFinal(obstacle)) return failed(state, obstacle);
  if (!facts.readiness.ready && !facts.readiness.fault.retryable) return failed(state, facts.readiness.fault);
  return undefined;
}

/** What a command met is the end of it, unless it is the machine's: that is put right by somebody, and then it goes on. */
function isFinal({ retryable, row }: Fault): boolean {
  return !retryable && row.exit !== exitCodes.machine.code;
}

function withOutcome(state: AttemptState, facts: ClaimFacts): AttemptState | undefined {
  if (facts.outcome?.attempt !== state.attempt) return undefined;
  const { outcome, slotStays } = facts.outcome;
  if (outcome.ok) return succeeded(state, outcome.report, facts.now.toISOString());
  const fault = faultFromRecord(outcome.fault);
  if (fault.code === 'Cancelled') return failed(state, fault);
  // Another attempt took over; what it does is told by the volume's record.
  if (fault.code === 'StaleAttempt') return undefined;
  if (slotStays === true) return { ...state, fault: faultRecord(fault) };
  return state.operation === 'upload'
    ? afterFailedUpload(state, fault, facts)
    : afterFailedAttempt(state, fault, outcome, facts);
}

/** The next attempt, or the end. */
function afterFailedAttempt(
  state: AttemptState,
  fault: Fault,
  outcome: Extract<Outcome, { ok: false }> | undefined,
  facts: ClaimFacts,
): AttemptState {
  const fetched = outcome?.bytesFetched ?? 0;
  const ofTheMachine = isOfTheMachine(fault);
  const failures = state.failures + (ofTheMachine || uncounted.has(fault.code) ? 0 : 1);
  const forgivenBytes = (state.forgivenBytes ?? 0) + (ofTheMachine ? fetched : 0);
  const sourceBytes = facts.outcome?.sourceBytes ?? state.sourceBytes;
  const known: AttemptState = {
    ...state,
    bytesFetched: state.bytesFetched + fetched,
    failures,
    ...(forgivenBytes === 0 ? {} : { forgivenBytes }),
    ...(sourceBytes === undefined ? {} : { sourceBytes }),
    ...(fault.code === 'SourceChanged' ? { onePass: true } : {}),
  };
  const plan = facts.plan({ fault, state: known, bytesFetched: known.bytesFetched - forgivenBytes });
  if (!plan.retry) return failed(known, plan.fault);
  return { ...nextAttempt(known, fault), notBefore: later(facts.now, plan.delayMs) };
}

/**
 * An image that cannot be taken ends the attempt, not the wish: the claim waits for the next upload, and tells why the last one failed.
 * Bytes that are durable are converted again where only the machine was to blame.
 */
function afterFailedUpload(state: AttemptState, fault: Fault, facts: ClaimFacts): AttemptState {
  // No attempt follows another here, so that each failure counts: by their number the delays grow.
  const failures = state.failures + (uncounted.has(fault.code) ? 0 : 1);
  const plan = facts.plan({ fault, state: { ...state, attempt: Math.max(failures, 1), failures }, bytesFetched: 0 });
  if (state.stage === 'received' && plan.retry) {
    return { ...state, failures, fault: faultRecord(fault), notBefore: later(facts.now, plan.delayMs) };
  }
  return nextAttempt({ ...state, failures: 0 }, fault);
}

function cancelled(state: AttemptState, facts: ClaimFacts): AttemptState | undefined {
  return facts.cancelRequested ? failed(state, new Fault('Cancelled', 'cancelled by annotation')) : undefined;
}

/** What runs in the worker now; what should run there and does not was interrupted. */
function withLiveAttempt(state: AttemptState, facts: ClaimFacts): AttemptState {
  const { live, node } = facts;
  if (live?.attempt === state.attempt) {
    if (live.doing === 'received' || state.stage === 'received') return { ...state, stage: 'received' };
    const { notBefore: _, ...running } = state;
    return { ...running, stage: 'running' };
  }
  const vanished = state.stage === 'running' && node?.connected === true && node.settled;
  if (!vanished) return state;
  if (state.operation === 'upload') return { ...state, stage: 'planned' };
  return afterFailedAttempt(state, new Fault('Interrupted', 'the worker stopped'), undefined, facts);
}

function nextAttempt(state: AttemptState, fault: Fault): AttemptState {
  const { notBefore: _, ...rest } = state;
  return { ...rest, attempt: state.attempt + 1, stage: 'planned', fault: faultRecord(fault) };
}

function failed(state: AttemptState, fault: Fault): AttemptState {
  const { notBefore: _, ...rest } = state;
  return { ...rest, stage: 'failed', fault: faultRecord(fault) };
}

function succeeded(state: AttemptState, report: AttemptState['report'], committedAt: string): AttemptState {
  const { notBefore: _, fault: __, ...rest } = state;
  return { ...rest, stage: 'succeeded', committedAt, ...(report === undefined ? {} : { report }) };
}

function later(now: Date, delayMs: number): string {
  return new Date(now.getTime() + delayMs).toISOString();
}
