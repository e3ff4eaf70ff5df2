// What a claim tells of its volume's size while and after it grows, in the words of Kubernetes' external-resizer; and when it is to grow. Pure.
import { type Fault, faultRecord } from '../../domain/fault.ts';
import type { Claim, Condition } from '../../domain/kube-shapes.ts';
import { formatBytes, quantityBytes } from '../../domain/quantity.ts';
import type { VolumeRecord } from '../../domain/volume-record.ts';
import type { ClaimAction, ClaimFacts } from './claim-actions.ts';
import { faultMessage } from './claim-annotations.ts';

const resizing = 'Resizing';
const failed = 'ControllerResizeError';

function bytesAsked(claim: Claim): number {
  return quantityBytes(claim.spec.resources?.requests?.['storage'] ?? 0) ?? 0;
}

/** A volume that an attempt fills grows when it is filled: the attempt has its size. One that could not grow in this round is used as it is. */
export function planGrowth(claim: Claim, { volume, node, growthFault }: ClaimFacts, sizeBytes: number): ClaimAction[] {
  if (volume === undefined || node === undefined || volume.state === 'populating') return [];
  if (claim.status?.phase !== 'Bound' || sizeBytes <= volume.sizeBytes || growthFault !== undefined) return [];
  return [{ kind: 'expand', node: node.name, sizeBytes }];
}

/** Status and events of a claim that has its volume; nothing where it says so already. */
export function boundStatus(
  claim: Claim,
  volume: VolumeRecord,
  { obstacle, now }: Pick<ClaimFacts, 'obstacle' | 'now'>,
): ClaimAction[] {
  const { status } = claim;
  const capacity = { storage: formatBytes(volume.sizeBytes) };
  if (status?.phase !== 'Bound') {
    const { accessModes } = claim.spec;
    const modes = accessModes === undefined ? {} : { accessModes };
    return [{ kind: 'patchStatus', status: { phase: 'Bound', capacity, ...modes } }, ...roundingTold(claim, volume)];
  }
  const wanted = bytesAsked(claim) > volume.sizeBytes ? growing(claim, obstacle, now) : undefined;
  const others = (status.conditions ?? []).filter(({ type }) => type !== resizing && type !== failed);
  const conditions = wanted === undefined ? others : [...others, wanted];
  const told = quantityBytes(status.capacity?.['storage'] ?? '');
  const isLarger = told !== undefined && told < volume.sizeBytes;
  const isSame =
    wanted === undefined
      ? others.length === (status.conditions?.length ?? 0)
      : wanted === conditionOf(claim, wanted.type);
  if (!isLarger && isSame) return [];
  const { conditions: _, ...rest } = status;
  const next = { ...rest, capacity, ...(conditions.length === 0 ? {} : { conditions }) };
  return [{ kind: 'patchStatus', status: next }, ...eventsOf(volume, { wanted, isLarger, obstacle })];
}

/** The condition as it is to be: the one that stands there where that says the same. */
function growing(claim: Claim, obstacle: Fault | undefined, now: Date): Condition {
  const type = obstacle === undefined ? resizing : failed;
  const message = obstacle === undefined ? '' : faultMessage(faultRecord(obstacle));
  const there = conditionOf(claim, type);
  // What failed is tried again; meanwhile it stays told.
  const before = obstacle === undefined ? conditionOf(claim, failed) : undefined;
  if (before !== undefined) return before;
  if (there !== undefined && (there.message ?? '') === message) return there;
  const why = obstacle === undefined ? {} : { reason: obstacle.code, message };
  return { type, status: 'True', lastTransitionTime: now.toISOString(), ...why };
}

function conditionOf(claim: Claim, type: string): Condition | undefined {
  return claim.status?.conditions?.find((condition) => condition.type === type);
}

function eventsOf(
  { volumeId, sizeBytes }: VolumeRecord,
  { wanted, isLarger, obstacle }: { wanted: Condition | undefined; isLarger: boolean; obstacle: Fault | undefined },
): ClaimAction[] {
  if (isLarger) {
    const message = `Resize volume succeeded: ${volumeId} has ${sizeBytes} bytes`;
    return [{ kind: 'event', type: 'Normal', reason: 'VolumeResizeSuccessful', message }];
  }
  if (wanted === undefined) return [];
  if (obstacle === undefined) {
    return [{ kind: 'event', type: 'Normal', reason: resizing, message: `Longshore is resizing volume ${volumeId}` }];
  }
  const message = `resize volume ${volumeId} failed: ${faultMessage(faultRecord(obstacle))}`;
  return [{ kind: 'event', type: 'Warning', reason: 'VolumeResizeFailed', message }];
}

/** A device has whole sectors, so it may be larger than what was asked. */
function roundingTold(claim: Claim, { sizeBytes, sectorBytes = 512 }: VolumeRecord): ClaimAction[] {
  const asked = bytesAsked(claim);
  if (asked === sizeBytes) return [];
  const message = `${asked} bytes were asked; the device has ${sizeBytes}, whole sectors of ${sectorBytes}`;
  return [{ kind: 'event', type: 'Normal', reason: 'SizeRounded', message }];
}
