// Phases of a DataVolume, in CDI's words, and how they may follow one another. Within an attempt a phase only moves forward:
//
//   '' ─► Pending ─► WaitForFirstConsumer, PendingPopulation ─► PVCBound ─► …Scheduled ─► …InProgress, UploadReady ─► Succeeded
//                                                                                                           └─► Paused, Failed
//
// A new attempt may begin again at any step that leads to the end; it is the only way out of Failed. Unknown is a claim whose state cannot be told:
// it may be left for anywhere. Succeeded is left only when the claim is lost.
import type { DataVolumeSource } from './data-volume.ts';

/** How far each phase is on the way. A phase of a lower rank never follows one of a higher rank in the same attempt. */
const ranks = {
  '': 0,
  Pending: 1,
  WaitForFirstConsumer: 2,
  PendingPopulation: 2,
  PVCBound: 3,
  ImportScheduled: 4,
  UploadScheduled: 4,
  CloneScheduled: 4,
  ImportInProgress: 5,
  UploadReady: 5,
  CloneInProgress: 5,
  SnapshotForSmartCloneInProgress: 5,
  CloneFromSnapshotSourceInProgress: 5,
  SmartClonePVCInProgress: 5,
  CSICloneInProgress: 5,
  NamespaceTransferInProgress: 6,
  PrepClaimInProgress: 6,
  ExpansionInProgress: 6,
  RebindInProgress: 7,
  Paused: 8,
  Succeeded: 9,
  Failed: 9,
  Unknown: -1,
} as const;

export type Phase = keyof typeof ranks;

// Safe: the very keys that Phase is made of.
export const phases = Object.keys(ranks) as readonly Phase[];

export function isPhase(text: string): text is Phase {
  return Object.hasOwn(ranks, text);
}

export type Operation = 'import' | 'upload' | 'clone';

const operationOfPhase: Partial<Record<Phase, Operation>> = {
  ImportScheduled: 'import',
  ImportInProgress: 'import',
  Paused: 'import',
  UploadScheduled: 'upload',
  UploadReady: 'upload',
  CloneScheduled: 'clone',
  CloneInProgress: 'clone',
  SnapshotForSmartCloneInProgress: 'clone',
  CloneFromSnapshotSourceInProgress: 'clone',
  SmartClonePVCInProgress: 'clone',
  CSICloneInProgress: 'clone',
  NamespaceTransferInProgress: 'clone',
  PrepClaimInProgress: 'clone',
  ExpansionInProgress: 'clone',
  RebindInProgress: 'clone',
};

/** Nothing further happens by itself. */
export function isFinalPhase(phase: Phase): boolean {
  return phase === 'Succeeded' || phase === 'Failed';
}

/**
 * Whether a DataVolume in phase `from` may be shown in phase `to`. Staying is always allowed.
 * @param newAttempt true where an attempt begins that the former phase did not know
 */
export function canFollow(from: Phase, to: Phase, newAttempt = false): boolean {
  if (from === to) return true;
  if (to === '') return false;
  if (from === 'Succeeded') return to === 'Failed';
  if (to === 'Unknown') return from !== 'Failed';
  if (changesOperation(from, to)) return false;
  if (newAttempt) return true;
  if (from === 'Failed') return false;
  return from === 'Unknown' || ranks[to] >= ranks[from];
}

function changesOperation(from: Phase, to: Phase): boolean {
  const [before, after] = [operationOfPhase[from], operationOfPhase[to]];
  return before !== undefined && after !== undefined && before !== after;
}

/** What has to be done for that source. @returns undefined where none is set */
export function operationOf(source: DataVolumeSource | undefined): Operation | undefined {
  if (source === undefined) return undefined;
  if (source.upload !== undefined) return 'upload';
  if (source.pvc !== undefined || source.snapshot !== undefined) return 'clone';
  const imports = [source.http, source.s3, source.gcs, source.registry, source.imageio, source.vddk, source.blank];
  return imports.some((wish) => wish !== undefined) ? 'import' : undefined;
}

/** Phases of an operation whose attempt waits (`scheduled`) and runs (`running`; an upload: waits for or takes its bytes). */
export const operationPhases = {
  import: { scheduled: 'ImportScheduled', running: 'ImportInProgress' },
  upload: { scheduled: 'UploadScheduled', running: 'UploadReady' },
  clone: { scheduled: 'CloneScheduled', running: 'CloneInProgress' },
} as const satisfies Record<Operation, { scheduled: Phase; running: Phase }>;
