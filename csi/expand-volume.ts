// Makes a volume larger, whether it is used or not. The external-resizer asks the driver of any one node, so a volume of another is grown through the
// controller: its pool says whether there is room before Kubernetes is told of a larger volume.
import { Fault, toFault } from '../domain/fault.ts';
import type { FaultCode } from '../domain/fault-catalogue.ts';
import { isVolumeId, type VolumeId, type VolumeRecord } from '../domain/volume-record.ts';
import type { HeldVolume } from '../volumes/pools.ts';
import { isInRange, sizeRangeOf } from './capacity-range.ts';
import type { NodePools } from './node-pools.ts';
import type { CapacityRange, ControllerExpandRequest } from './requests.ts';
import { assertMode, planMount } from './volume-capability.ts';

/** What a volume of another node is to have. */
export interface GrowthWish {
  sizeBytes: number;
  /** It may not be larger than that. */
  mostBytes: number;
  /** As Kubernetes takes it to be; absent where it does not say. */
  mode?: VolumeRecord['mode'];
}

export interface ExpandOptions {
  pools: NodePools;
  /** Undefined where there is no other node. @returns the size that it has then */
  expandElsewhere?: (volumeId: VolumeId, wish: GrowthWish, signal: AbortSignal) => Promise<number>;
}

/** @throws Fault InvalidRequest, NotFound, CannotGrow, VolumeNotFilled; the volume keeps its size then */
export async function expandVolume(
  request: ControllerExpandRequest,
  options: ExpandOptions,
  signal: AbortSignal,
): Promise<{ capacityBytes: number; nodeExpansionRequired: boolean }> {
  try {
    return { capacityBytes: await expandAnywhere(request, options, signal), nodeExpansionRequired: false };
  } catch (error) {
    throw asFinal(toFault(error, { signal }));
  }
}

/**
 * After a lack of resources the resizer does not know whether something is still under way, and asks for that size forever, also when the claim has come to ask for
 * less. Out of range says that nothing has happened.
 */
function asFinal(fault: Fault): Fault {
  return lacksOfRoom.includes(fault.code) ? new Fault('CannotGrow', fault.detail, { cause: fault }) : fault;
}

const lacksOfRoom: readonly FaultCode[] = ['VolumeTooLarge', 'PoolFull', 'NoSpace'];

async function expandAnywhere(
  { volumeId, capacityRange, volumeCapability }: ControllerExpandRequest,
  { pools, expandElsewhere }: ExpandOptions,
  signal: AbortSignal,
): Promise<number> {
  if (volumeId === '') throw new Fault('InvalidRequest', 'volume_id is missing');
  if (capacityRange === null) throw new Fault('InvalidRequest', 'capacity_range is missing');
  const mode = volumeCapability === null ? undefined : planMount(volumeCapability).mode;
  const held = pools.find(volumeId);
  if (held === undefined && expandElsewhere !== undefined && isVolumeId(volumeId)) {
    const { leastBytes, mostBytes } = sizeRangeOf(capacityRange);
    const wish = { sizeBytes: Math.max(1, leastBytes), mostBytes, ...(mode === undefined ? {} : { mode }) };
    return await expandElsewhere(volumeId, wish, signal);
  }
  const here = pools.need(volumeId);
  if (mode !== undefined) assertMode(here.record, mode);
  return (await expandHeld(here, capacityRange)).sizeBytes;
}

/** @throws Fault InvalidRequest where it is larger than the limit, VolumeTooLarge, PoolFull, NoSpace, VolumeNotFilled; the volume keeps its size then */
export async function expandHeld({ pool, record }: HeldVolume, asked: CapacityRange | null): Promise<VolumeRecord> {
  const range = sizeRangeOf(asked);
  const wanted = Math.max(range.leastBytes, record.sizeBytes);
  if (!isInRange(wanted, range)) {
    throw new Fault(
      'InvalidRequest',
      `the volume has ${record.sizeBytes} bytes, and limit_bytes is ${range.mostBytes}`,
    );
  }
  return await pool.expand(record.volumeId, wanted);
}
