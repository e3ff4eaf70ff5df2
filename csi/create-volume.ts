// Makes the empty volume of a claim. It is filled later, by a job that finds it by the claim's uid, or declared plain when it is first used.
import { defaultSectorBytes, parseSectorBytes, sectorSizeParameter, wholeSectors } from '../domain/block-device.ts';
import { Fault, toFault } from '../domain/fault.ts';
import type { VolumeId, VolumeRecord } from '../domain/volume-record.ts';
import type { Pool } from '../volumes/pool.ts';
import { chooseSize, isInRange, type SizeRange, sizeRangeOf } from './capacity-range.ts';
import type { HeldVolume, NodePools } from './node-pools.ts';
import type { CreateVolumeRequest } from './requests.ts';
import { planMounts, type VolumeMode } from './volume-capability.ts';
import { ownerOf, volumeIdOfName } from './volume-name.ts';

export interface CreateOptions {
  pools: NodePools;
  /** Told of a volume for which there is no room here, beside the answer; may not throw. */
  onRefusal?: (volumeId: VolumeId, fault: Fault) => void;
}

/** A claim is filled once, so there is one generation of its content. */
const contentGeneration = 1;

/**
 * Returns the volume that is there where it has been made already. Room is promised when this returns, and the capacity told from then on is less by it.
 * @throws Fault InvalidRequest; AlreadyExists where a volume of that name is there and not as wanted; and what plans the claim anew on another node:
 * PoolFull, VolumeTooLarge, NoPoolHere (also where the disk of the pool is not there, or only read)
 */
export async function createVolume(
  request: CreateVolumeRequest,
  { pools, onRefusal }: CreateOptions,
  signal: AbortSignal,
): Promise<HeldVolume> {
  const { name, parameters } = request;
  const volumeId = volumeIdOfName(name);
  const { mode } = planMounts(request.volumeCapabilities);
  refuseExtras(request);
  const range = sizeRangeOf(request.capacityRange);
  const pool = pools.needOfClass(parameters);
  const there = pools.find(volumeId);
  if (there !== undefined) return sameVolume(there, { pool, range, mode });
  refuseElsewhere(request, pools);
  signal.throwIfAborted();
  const shape = shapeOf(mode, parameters, range);
  const asked = { volumeId, owner: ownerOf(volumeId, name, parameters), ...shape };
  try {
    return { pool, record: await reserve(pool, asked) };
  } catch (error) {
    const fault = toFault(error);
    // Told is what is amiss with the pool itself, where that is why it counts as none.
    if (fault.row.grpc === 'RESOURCE_EXHAUSTED')
      onRefusal?.(volumeId, fault.cause instanceof Fault ? fault.cause : fault);
    throw fault;
  }
}

/** @throws Fault InvalidRequest where a device of whole sectors is larger than the limit, or there are no such sectors */
function shapeOf(
  mode: VolumeMode,
  parameters: Readonly<Record<string, string>>,
  range: SizeRange,
): Pick<VolumeRecord, 'mode' | 'sizeBytes' | 'sectorBytes'> {
  const sizeBytes = chooseSize(range);
  if (mode === 'Filesystem') return { mode, sizeBytes };
  const text = parameters[sectorSizeParameter];
  const sectorBytes =
    text === undefined ? defaultSectorBytes : parseSectorBytes(text, `parameter ${sectorSizeParameter} of the class`);
  const rounded = wholeSectors(sizeBytes, sectorBytes);
  if (rounded > range.mostBytes) {
    throw new Fault('InvalidRequest', `a device has ${rounded} bytes, and limit_bytes is ${range.mostBytes}`);
  }
  return { mode, sizeBytes: rounded, sectorBytes };
}

async function reserve(
  pool: Pool,
  asked: Pick<VolumeRecord, 'volumeId' | 'owner' | 'sizeBytes' | 'mode' | 'sectorBytes'>,
): Promise<VolumeRecord> {
  try {
    return await pool.reserve({ ...asked, generation: contentGeneration });
  } catch (error) {
    const fault = toFault(error);
    if (fault.code !== 'PoolMissing' && fault.code !== 'PoolReadOnly') throw fault;
    // Nothing was made, so another node may have the claim.
    throw new Fault('NoPoolHere', fault.detail, { cause: fault });
  }
}

function refuseExtras({ volumeContentSource, mutableParameters }: CreateVolumeRequest): void {
  if (volumeContentSource !== null) {
    throw new Fault(
      'InvalidRequest',
      'volumes of snapshots and of other claims are not made yet; clone by a DataVolume',
    );
  }
  if (Object.keys(mutableParameters).length > 0) {
    throw new Fault('InvalidRequest', 'a volume of a pool has no mutable parameters');
  }
}

function sameVolume(there: HeldVolume, wanted: { pool: Pool; range: SizeRange; mode: VolumeMode }): HeldVolume {
  const { sizeBytes, volumeId, mode } = there.record;
  if (there.pool === wanted.pool && mode === wanted.mode && isInRange(sizeBytes, wanted.range)) return there;
  throw new Fault('AlreadyExists', `${volumeId} is in ${there.pool.directory} with ${sizeBytes} bytes, mode ${mode}`);
}

/** @throws Fault NoPoolHere where the request wants no volume on this node */
function refuseElsewhere({ accessibilityRequirements }: CreateVolumeRequest, pools: NodePools): void {
  const requisite = accessibilityRequirements?.requisite ?? [];
  if (requisite.length === 0 || requisite.some((topology) => pools.includes(topology))) return;
  throw new Fault('NoPoolHere', `the volume is wanted elsewhere than on node ${pools.node}`);
}
