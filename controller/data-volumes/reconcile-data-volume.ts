// Compares a DataVolume with its claim and says what to do next: make the claim, take over one that is there, write status and events. Pure.
import { isDeepStrictEqual } from 'node:util';
import { mayAdoptClaim } from '../../domain/admission.ts';
import { annotations } from '../../domain/annotations.ts';
import { cloneProblem } from '../../domain/clone-validation.ts';
import type { ClaimProblem } from '../../domain/complete-claim.ts';
import type { DataVolume, DataVolumeStatus } from '../../domain/data-volume.ts';
import { Fault, faultRecord } from '../../domain/fault.ts';
import type { Claim } from '../../domain/kube-shapes.ts';
import { sourceRefOf } from '../../domain/named-source.ts';
import type { OwnerReference } from '../../domain/object-store.ts';
import { isPhase, operationOf, type Phase } from '../../domain/phases.ts';
import { volumeIdOf } from '../../domain/volume-record.ts';
import { type AttemptState, firstAttempt, formatAttemptState, parseAttemptState } from '../claims/attempt-state.ts';
import { isMadeFor, ownerOf } from '../claims/claim-content.ts';
import type { LiveAttempt } from '../nodes/node-views.ts';
import { eventsOfConditions, type Hindrance, nextConditions } from './data-volume-conditions.ts';
import { type EventText, eventOfPhase, nextPhase, phaseOfClaim } from './data-volume-phase.ts';
import { longshoreStatus, progressText } from './longshore-status.ts';

export interface DataVolumeFacts {
  /** The claim of that name, whosever it is. */
  claim: Claim | undefined;
  /** The claim that is to be made. */
  rendered: { claim: Claim } | { problem: ClaimProblem };
  /** Why the store refused that claim in this round. */
  refusal: Fault | undefined;
  /** The claim that a clone names. */
  cloneSource: Claim | undefined;
  /** The feature gate DataVolumeClaimAdoption. */
  adoptsClaims: boolean;
  waitsForConsumer: boolean;
  /** The class that the claim names, where there is none of that name. */
  missingClass: string | undefined;
  live: LiveAttempt | undefined;
  now: Date;
}

export type DataVolumeAction =
  | { kind: 'createClaim'; claim: Claim }
  | { kind: 'ownClaim'; owner: OwnerReference }
  | { kind: 'annotate'; annotations: Record<string, string>; labels?: Record<string, string> }
  | ({ kind: 'event' } & EventText)
  | { kind: 'status'; status: DataVolumeStatus };

interface Outlook {
  actions: DataVolumeAction[];
  /** The claim that belongs to the DataVolume. */
  claim?: Claim | undefined;
  given?: boolean;
  hindrance?: Hindrance;
  /** Ends it before there is a claim. */
  fault?: Fault;
  phase?: Phase;
}

export function reconcileDataVolume(dataVolume: DataVolume, facts: DataVolumeFacts): DataVolumeAction[] {
  if (dataVolume.metadata.deletionTimestamp !== undefined) return [];
  const outlook =
    facts.claim === undefined ? withoutClaim(dataVolume, facts) : withClaim(dataVolume, facts.claim, facts);
  const actions = isTold(dataVolume, outlook.hindrance) ? withoutEvents(outlook.actions) : outlook.actions;
  // The status is told by the next pass, which sees what these have changed.
  if (actions.some(({ kind }) => kind !== 'event')) return actions;
  return [...actions, ...statusActions(dataVolume, outlook, facts)];
}

/** The condition says it already, so the event was written. */
function isTold(dataVolume: DataVolume, hindrance: Hindrance | undefined): boolean {
  const bound = dataVolume.status?.conditions?.find(({ type }) => type === 'Bound');
  return hindrance !== undefined && bound?.reason === hindrance.reason && bound.message === hindrance.message;
}

function withoutEvents(actions: readonly DataVolumeAction[]): DataVolumeAction[] {
  return actions.filter(({ kind }) => kind !== 'event');
}

/** Makes the claim, unless it has to wait for somebody else's or its source. */
function withoutClaim(dataVolume: DataVolume, facts: DataVolumeFacts): Outlook {
  const told = dataVolume.metadata.annotations ?? {};
  if (dataVolume.status?.phase === 'Failed') return { actions: [], phase: 'Failed' };
  if (told[annotations.prePopulated] !== undefined) return { actions: [], phase: 'Pending' };
  if (isCancelled(told)) return ended('Cancelled', new Fault('Cancelled', 'cancelled by annotation'));
  const clone = waitForSource(dataVolume, facts);
  if (clone !== undefined) return clone;
  if ('problem' in facts.rendered) {
    const { problem } = facts.rendered;
    return hindered(problem, problem.reason === 'ErrClaimNotValid' ? '' : 'Pending');
  }
  if (facts.refusal !== undefined) return hindered(refused(facts.refusal), 'Pending');
  return { actions: [{ kind: 'createClaim', claim: withFirstAttempt(dataVolume, facts.rendered.claim) }] };
}

/** KubeVirt looks for the reason of a quota. */
function refused({ code, detail, row }: Fault): Hindrance {
  return { reason: code === 'Quota' ? 'ErrExceededQuota' : 'ErrClaimNotValid', message: `${detail}. ${row.nextStep}` };
}

export function isCancelled(told: Readonly<Record<string, string>>): boolean {
  const wish = told[annotations.cancel];
  return wish !== undefined && wish !== 'false';
}

/** The number of the first attempt is in the claim from its first moment. */
function withFirstAttempt(dataVolume: DataVolume, claim: Claim): Claim {
  const operation = operationOf(dataVolume.spec.source);
  const attempt = operation === undefined ? {} : { [annotations.attempt]: formatAttemptState(firstAttempt(operation)) };
  return { ...claim, metadata: { ...claim.metadata, annotations: { ...claim.metadata.annotations, ...attempt } } };
}

function hindered(problem: Hindrance, phase: Phase): Outlook {
  const event: DataVolumeAction = { kind: 'event', type: 'Warning', ...problem };
  return { actions: [event], hindrance: problem, phase };
}

function ended(reason: string, fault: Fault): Outlook {
  return { actions: [], hindrance: { reason, message: fault.message }, fault, phase: 'Failed' };
}

function waitForSource(dataVolume: DataVolume, { cloneSource }: DataVolumeFacts): Outlook | undefined {
  const named = sourceRefOf(dataVolume);
  if (named !== undefined) {
    const message = `DataSource ${named.name} was not looked up when this was created; create it again`;
    return hindered({ reason: 'CloneWithoutSource', message }, 'Pending');
  }
  const source = dataVolume.spec.source?.pvc;
  if (source === undefined) return undefined;
  if (cloneSource === undefined || cloneSource.metadata.deletionTimestamp !== undefined) {
    const message = `The source pvc ${source.name} doesn't exist`;
    return hindered({ reason: 'CloneWithoutSource', message }, 'Pending');
  }
  const problem = cloneProblem(dataVolume, cloneSource);
  if (problem === undefined) return undefined;
  const message = `The clone doesn't meet the validation requirements: ${problem}`;
  const fault = new Fault('InvalidRequest', message);
  const event: DataVolumeAction = { kind: 'event', type: 'Warning', reason: 'CloneValidationFailed', message };
  return { ...ended('CloneValidationFailed', fault), actions: [event] };
}

/** A claim is there: its own, one that it may take over, or one that stands in its way. */
function withClaim(dataVolume: DataVolume, claim: Claim, facts: DataVolumeFacts): Outlook {
  const { name, uid = '' } = dataVolume.metadata;
  const owner = ownerOf(claim);
  const populatedFor = claim.metadata.annotations?.[annotations.populatedFor] === name;
  if (owner?.uid === uid) {
    return { actions: labelled(dataVolume, claim), claim, given: populatedFor || !isMadeFor(claim, dataVolume) };
  }
  if (claim.metadata.deletionTimestamp !== undefined) {
    return hindered(
      { reason: 'ErrResourceMarkedForDeletion', message: `Resource "${name}" marked for deletion` },
      'Pending',
    );
  }
  const hasController = claim.metadata.ownerReferences?.some((reference) => reference.controller === true) === true;
  if (hasController || !mayAdoptClaim(dataVolume, claim, facts.adoptsClaims)) {
    const message = `Resource "${name}" already exists and is not managed by DataVolume`;
    return hindered({ reason: 'ErrResourceExists', message }, 'Pending');
  }
  const note: DataVolumeAction[] = populatedFor
    ? [{ kind: 'annotate', annotations: { [annotations.prePopulated]: claim.metadata.name } }]
    : [];
  return { actions: [{ kind: 'ownClaim', owner: referenceTo(dataVolume) }, ...note], claim, given: true };
}

/** What the content says about the machines that it suits: CDI passes just these on from the claim. */
const labelsPassedOn = /^(instancetype\.kubevirt\.io\/default-|kubevirt\.io\/dynamic-credentials-support$)/;

function labelled({ metadata }: DataVolume, claim: Claim): DataVolumeAction[] {
  if (claim.metadata.annotations?.[annotations.podPhase] !== 'Succeeded') return [];
  const has = metadata.labels ?? {};
  const missing = Object.entries(claim.metadata.labels ?? {}).filter(
    ([name]) => labelsPassedOn.test(name) && has[name] === undefined,
  );
  return missing.length === 0 ? [] : [{ kind: 'annotate', annotations: {}, labels: Object.fromEntries(missing) }];
}

function referenceTo({ apiVersion, kind, metadata }: DataVolume): OwnerReference {
  const { name, uid = '' } = metadata;
  return { apiVersion, kind, name, uid, controller: true, blockOwnerDeletion: true };
}

function statusActions(dataVolume: DataVolume, outlook: Outlook, facts: DataVolumeFacts): DataVolumeAction[] {
  const before = dataVolume.status;
  const status = nextStatus(dataVolume, outlook, facts);
  if (isDeepStrictEqual(before, status)) return [];
  const phase = status.phase ?? '';
  const entered = phase !== (before?.phase ?? '') && isPhase(phase);
  const ofPhase = entered ? eventOfPhase(dataVolume, phase, outlook.claim?.status?.phase) : undefined;
  const events = [
    ...(ofPhase === undefined ? [] : [ofPhase]),
    ...eventsOfConditions(before?.conditions ?? [], status.conditions ?? []),
  ];
  return [{ kind: 'status', status }, ...events.map((event): DataVolumeAction => ({ kind: 'event', ...event }))];
}

function nextStatus(dataVolume: DataVolume, outlook: Outlook, facts: DataVolumeFacts): DataVolumeStatus {
  const { claim, given = false } = outlook;
  const state = parseAttemptState(claim?.metadata.annotations?.[annotations.attempt]);
  const phase = phaseFor(dataVolume, outlook, state, facts);
  const transfer = { claim, state, live: facts.live };
  const before = dataVolume.status;
  const conditions = nextConditions(
    before?.conditions ?? [],
    {
      ...{ claimName: dataVolume.metadata.name, claim, phase, missingClass: facts.missingClass },
      hindrance: hindranceShown(before, outlook, phase),
    },
    facts.now,
  );
  const longshore = longshoreStatus(dataVolume, transfer);
  const fault = outlook.fault === undefined ? undefined : faultRecord(outlook.fault);
  const kept = claim === undefined && phase === 'Failed' ? before?.longshore : undefined;
  return {
    ...(claim === undefined ? {} : { claimName: claim.metadata.name }),
    ...(phase === '' ? {} : { phase }),
    progress: progressText(transfer, given),
    ...(state === undefined || state.attempt === 1 ? {} : { restartCount: state.attempt - 1 }),
    conditions,
    longshore: { ...longshore, ...kept, ...(fault === undefined ? {} : { fault }) },
  };
}

/** What ended it before there was a claim goes on being told. */
function hindranceShown(before: DataVolumeStatus | undefined, outlook: Outlook, phase: Phase): Hindrance | undefined {
  if (outlook.hindrance !== undefined || outlook.claim !== undefined || phase !== 'Failed') return outlook.hindrance;
  const ready = before?.conditions?.find(({ type }) => type === 'Ready');
  return ready?.reason === undefined ? undefined : { reason: ready.reason, message: ready.message ?? '' };
}

function phaseFor(
  dataVolume: DataVolume,
  outlook: Outlook,
  state: AttemptState | undefined,
  facts: DataVolumeFacts,
): Phase {
  const { claim, given = false } = outlook;
  const wanted =
    outlook.phase ?? phaseOfClaim(dataVolume, { claim, state, given, waitsForConsumer: facts.waitsForConsumer });
  if (claim?.metadata.uid === undefined) return wanted;
  const sameVolume = dataVolume.status?.longshore?.volumeId === volumeIdOf(claim.metadata.uid);
  return nextPhase(dataVolume, wanted, state?.attempt ?? 0, sameVolume);
}
