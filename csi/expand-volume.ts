// Makes a volume larger, whether it is used or not. The external-resizer asks the driver of any one node, so a volume of another is grown through the
// controller: its pool says whether there is room before Kubernetes is told of a larger volume.
import { Fault } from '../domain/fault.ts';
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

/** @throws Fault InvalidRequest, NotFound, VolumeTooLarge, PoolFull, NoSpace, VolumeNotFilled; the volume keeps its size then */
export async function expandVolume(
  { volumeId, capacityRange, volumeCapability }: ControllerExpandRequest,
  { pools, expandElsewhere }: ExpandOptions,
  signal: AbortSignal,
): Promise<{ capacityBytes: number; nodeExpansionRequired: boolean }> {
  if (volumeId === '') throw new Fault('InvalidRequest', 'volume_id is missing');
  if (capacityRange === null) throw new Fault('InvalidRequest', 'capacity_range is missing');
  const mode = volumeCapability === null ? undefined : planMount(volumeCapability).mode;
  const held = pools.find(volumeId);
  if (held === undefined && expandElsewhere !== undefined && isVolumeId(volumeId)) {
    const { leastBytes, mostBytes } = sizeRangeOf(capacityRange);
    const wish = { sizeBytes: Math.max(1, leastBytes), mostBytes, ...(mode === undefined ? {} : { mode }) };
    return { capacityBytes: await expandElsewhere(volumeId, wish, signal), nodeExpansionRequired: false };
  }
  const here = pools.need(volumeId);
  if (mode !== undefined) assertMode(here.record, mode);
  const { sizeBytes } = await expandHeld(here, capacityRange);
  return { capacityBytes: sizeBytes, nodeExpansionRequired: false };
}

/** @throws Fault InvalidRequest where it is larger than the limit, and those of expandVolume */
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
