// Makes the empty volume of a claim. It is filled later, by a job that finds it by the claim's uid, or declared plain when it is first used.
import { defaultSectorBytes, parseSectorBytes, sectorSizeParameter, wholeSectors } from '../domain/block-device.ts';
import { Fault, toFault } from '../domain/fault.ts';
import type { VolumeId, VolumeOwner, VolumeRecord } from '../domain/volume-record.ts';
import type { HeldVolume, PoolPlace } from '../volumes/pools.ts';
import { chooseSize, isInRange, type SizeRange, sizeRangeOf } from './capacity-range.ts';
import type { NodePools } from './node-pools.ts';
import type { CreateVolumeRequest } from './requests.ts';
import { planMounts, type VolumeMode } from './volume-capability.ts';
import { ownerOf, volumeIdOfName } from './volume-name.ts';

/** Name of the pool that a claim wishes for; rejects where nobody can be asked. */
export type PoolWish = (owner: VolumeOwner, signal: AbortSignal) => Promise<string | undefined>;

export interface CreateOptions {
  pools: NodePools;
  poolWish?: PoolWish;
  /** Told of a volume for which there is no room here, beside the answer; may not throw. */
  onRefusal?: (volumeId: VolumeId, fault: Fault) => void;
}

/** A claim is filled once, so there is one generation of its content. */
const contentGeneration = 1;

/**
 * Returns the volume that is there where it has been made already. Room is promised when this returns, and the capacity told from then on is less by it.
 * @throws Fault InvalidRequest; AlreadyExists where a volume of that name is there and not as wanted; and what plans the claim anew on another node:
 * PoolFull, VolumeTooLarge, NoPoolHere (also where the disk of the pool is not there, or only read); ControllerUnreachable where the class leaves a choice of
 * pools and nobody says which the claim wishes for
 */
export async function createVolume(
  request: CreateVolumeRequest,
  { pools, onRefusal, poolWish }: CreateOptions,
  signal: AbortSignal,
): Promise<HeldVolume> {
  const { name, parameters } = request;
  const volumeId = volumeIdOfName(name);
  const { mode } = planMounts(request.volumeCapabilities);
  refuseExtras(request);
  const range = sizeRangeOf(request.capacityRange);
  const places = pools.needOfClass(parameters);
  const there = pools.find(volumeId);
  if (there !== undefined) return sameVolume(there, { places, range, mode });
  refuseElsewhere(request, pools);
  signal.throwIfAborted();
  const shape = shapeOf(mode, parameters, range);
  const asked = { volumeId, owner: ownerOf(volumeId, name, parameters), ...shape };
  const candidates = await wishedOf(places, asked.owner, poolWish, signal);
  try {
    return await reserve(pools, candidates, asked);
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

/** Those that the class means, or of them the one that the claim wishes for, which need not be there. @throws Fault ControllerUnreachable */
async function wishedOf(
  places: readonly Readonly<PoolPlace>[],
  owner: VolumeOwner,
  poolWish: PoolWish | undefined,
  signal: AbortSignal,
): Promise<readonly Readonly<PoolPlace>[]> {
  if (places.length < 2 || poolWish === undefined) return places;
  try {
    const wish = await poolWish(owner, signal);
    return wish === undefined ? places : places.filter(({ name }) => name === wish);
  } catch (cause) {
    if (signal.aborted) throw signal.reason;
    const claim = `${owner.namespace}/${owner.name}`;
    throw new Fault('ControllerUnreachable', `nobody says which pool claim ${claim} wishes for`, { cause });
  }
}

async function reserve(
  pools: NodePools,
  candidates: readonly Readonly<PoolPlace>[],
  asked: Pick<VolumeRecord, 'volumeId' | 'owner' | 'sizeBytes' | 'mode' | 'sectorBytes'>,
): Promise<HeldVolume> {
  try {
    const { name } = pools.all.roomiest(candidates);
    return await pools.all.reserve({ ...asked, generation: contentGeneration }, name);
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

function sameVolume(
  there: HeldVolume,
  wanted: { places: readonly Readonly<PoolPlace>[]; range: SizeRange; mode: VolumeMode },
): HeldVolume {
  const { sizeBytes, volumeId, mode } = there.record;
  const isThere = wanted.places.some(({ pool }) => pool === there.pool);
  if (isThere && mode === wanted.mode && isInRange(sizeBytes, wanted.range)) return there;
  throw new Fault('AlreadyExists', `${volumeId} is in ${there.pool.directory} with ${sizeBytes} bytes, mode ${mode}`);
}

/** @throws Fault NoPoolHere where the request wants no volume on this node */
function refuseElsewhere({ accessibilityRequirements }: CreateVolumeRequest, pools: NodePools): void {
  const requisite = accessibilityRequirements?.requisite ?? [];
  if (requisite.length === 0 || requisite.some((topology) => pools.includes(topology))) return;
  throw new Fault('NoPoolHere', `the volume is wanted elsewhere than on node ${pools.node}`);
}
