// What a DataVolume tells beyond CDI: `status.longshore`, made of the attempt's state and of what its worker tells now. Pure.
import { annotations } from '../../domain/annotations.ts';
import type { DataVolume, LongshoreStatus } from '../../domain/data-volume.ts';
import type { Claim } from '../../domain/kube-shapes.ts';
import { volumeIdOf } from '../../domain/volume-record.ts';
import type { AttemptState } from '../claims/attempt-state.ts';
import type { LiveAttempt } from '../nodes/node-views.ts';

export interface TransferFacts {
  claim: Claim | undefined;
  state: AttemptState | undefined;
  live: LiveAttempt | undefined;
}

/** Members that are left out where they are undefined. */
type Told = { [K in keyof LongshoreStatus]: LongshoreStatus[K] | undefined };

function withoutUndefined(told: Told): LongshoreStatus {
  const kept = Object.entries(told).filter(([, value]) => value !== undefined);
  // Safe: the same members, those that are undefined left out.
  return Object.fromEntries(kept) as LongshoreStatus;
}

export function longshoreStatus(dataVolume: DataVolume, facts: TransferFacts): LongshoreStatus {
  const { claim, state } = facts;
  const told = claim?.metadata.annotations ?? {};
  const uid = claim?.metadata.uid;
  return withoutUndefined({
    volumeId: uid === undefined ? undefined : volumeIdOf(uid),
    node: told[annotations.selectedNode],
    pool: told[annotations.pool],
    attempt: state?.attempt,
    requester: dataVolume.metadata.annotations?.[annotations.requester],
    nextAttemptAt: state?.notBefore,
    fault: state?.obstacle ?? state?.fault,
    ...progressOf(facts),
    ...reportOf(state),
  });
}

function progressOf({ state, live }: TransferFacts): Partial<Told> {
  if (state === undefined || state.stage === 'succeeded') return {};
  const progress = live?.attempt === state.attempt ? live.progress : undefined;
  const fetched = state.bytesFetched + (progress?.bytesFetched ?? 0);
  return {
    step: progress?.step,
    bytesDone: progress?.bytesDone,
    bytesTotal: progress?.bytesTotal,
    bytesFetched: fetched === 0 ? undefined : fetched,
    bytesPerSecond: progress?.bytesPerSecond,
    etaSeconds: progress?.etaSeconds,
    peakBytes: progress?.peakBytes,
  };
}

function reportOf(state: AttemptState | undefined): Partial<Told> {
  const report = state?.report;
  if (state === undefined || report === undefined) return {};
  return {
    bytesDone: report.sourceBytes,
    bytesTotal: report.sourceBytes,
    bytesFetched: state.bytesFetched + report.fetchedBytes,
    peakBytes: report.peakBytes,
    virtualSize: report.virtualSizeBytes,
    allocatedBytes: report.allocatedBytes,
    format: report.format,
    strategy: report.strategy,
    verified: report.verified,
    contentDigest: report.contentDigest,
    sourceDigest: report.sourceDigest,
    committedAt: state.committedAt,
    phases: report.steps,
  };
}

const unknownProgress = 'N/A';

/** CDI's progress string. 100 is held back until the content is committed. */
export function progressText(facts: TransferFacts, given: boolean): string {
  const { state, live } = facts;
  if (given || state === undefined) return unknownProgress;
  if (state.stage === 'succeeded') return '100.0%';
  const progress = live?.attempt === state.attempt ? live.progress : undefined;
  if (progress?.bytesTotal === undefined || progress.bytesTotal === 0) return unknownProgress;
  return `${Math.min(99.99, (100 * progress.bytesDone) / progress.bytesTotal).toFixed(2)}%`;
}

/** The status without what moves all the time: where only that differs, it need not be written at once. */
export function withoutProgress(status: DataVolume['status']): unknown {
  if (status === undefined) return undefined;
  const { progress: _, longshore, ...rest } = status;
  if (longshore === undefined) return rest;
  const {
    step: _1,
    bytesDone: _2,
    bytesTotal: _3,
    bytesFetched: _4,
    bytesPerSecond: _5,
    etaSeconds: _6,
    ...kept
  } = longshore;
  return { ...rest, longshore: kept };
}
