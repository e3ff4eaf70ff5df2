// What a round of reconciling a claim may ask for, and the facts that it is given. Both ends of the pure function in reconcile-claim.ts.
import type { SectorBytes } from '../../domain/block-device.ts';
import type { Fault } from '../../domain/fault.ts';
import type { Claim } from '../../domain/kube-shapes.ts';
import type { Provisioning } from '../../domain/provisioning.ts';
import type { VolumeId } from '../../domain/volume-record.ts';
import type { JobPayload } from '../../jobs/payload.ts';
import type { RetryPlan } from '../../jobs/retry-policy.ts';
import type { HeldVolume, LiveAttempt, NodeState, PendingOutcome } from '../nodes/node-views.ts';
import type { AttemptState } from './attempt-state.ts';
import type { ClaimContent } from './claim-content.ts';

/** What has to be there before an attempt begins: the source of a clone, secrets, config maps. */
export type Readiness = { ready: true } | { ready: false; fault: Fault };

export interface ClaimFacts {
  content: ClaimContent;
  /** The storage class is one of ours. */
  ours: boolean;
  /** Who makes, binds and deletes the volume; see domain/provisioning.ts. */
  provisionedBy: Provisioning['by'];
  /** The class binds when a consumer has chosen a node. */
  waitsForConsumer: boolean;
  volumeId: VolumeId;
  /** Of the device, where the claim is a Block one. */
  sectorBytes: SectorBytes | undefined;
  /** Node of the claim, or the one chosen for it. */
  node: NodeState | undefined;
  /** Pool that was chosen for the volume that is to be made. */
  pool: string | undefined;
  volume: HeldVolume | undefined;
  live: LiveAttempt | undefined;
  /** The job of this attempt was put into the queue since the controller last had reason to doubt it. */
  enqueued: boolean;
  readiness: Readiness;
  /** A result that the worker has told. */
  outcome: PendingOutcome | undefined;
  /** The DataVolume or the claim asks for the end of the attempt. */
  cancelRequested: boolean;
  /** An action of an earlier pass of this round that failed, or a volume that is there and cannot be read. */
  obstacle: Fault | undefined;
  /** Why the volume could not grow in this round, which keeps nobody from filling it. */
  growthFault: Fault | undefined;
  /** Asked for each failed attempt; jobs/retry-policy.ts with the settings and chance in it. */
  plan(failed: { fault: Fault; state: AttemptState; bytesFetched: number }): RetryPlan;
  now: Date;
}

export interface ClaimPatch {
  /** null removes. */
  annotations: Record<string, string | null>;
  /** Added where there is none of that name. */
  labels?: Readonly<Record<string, string>>;
  volumeName?: string;
  finalizer?: 'add' | 'remove';
}

export type ClaimAction =
  | {
      kind: 'reserve';
      node: string;
      pool: string | undefined;
      sizeBytes: number;
      mode: 'Filesystem' | 'Block';
      sectorBytes?: SectorBytes;
    }
  | { kind: 'expand'; node: string; sizeBytes: number }
  | { kind: 'fence'; node: string; attempt: number }
  | { kind: 'enqueue'; node: string; payload: JobPayload; delayMs: number }
  | { kind: 'dequeue'; node: string; attempt: number }
  | { kind: 'openUpload'; node: string; attempt: number; sizeBytes: number; contentType?: 'archive' }
  | { kind: 'cancelAttempt'; node: string; attempt: number; reason: string }
  | { kind: 'markPlain'; node: string }
  | { kind: 'deleteVolume'; node: string }
  | { kind: 'patch'; patch: ClaimPatch }
  | { kind: 'patchStatus'; status: NonNullable<Claim['status']> }
  | { kind: 'event'; type: 'Normal' | 'Warning'; reason: string; message: string }
  | { kind: 'outcomeTaken' }
  /** Look again then, though nothing changes. */
  | { kind: 'again'; afterMs: number };

/** The running condition as it stands in the claim's annotations. */
export interface RunningNote {
  running: boolean;
  reason: string;
  message: string;
}
