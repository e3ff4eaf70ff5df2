// The controller service of the CSI, for the volumes of this node: the external-provisioner beside the driver asks it (node deployment).
import type { UntypedServiceImplementation } from '@grpc/grpc-js';
import { Fault, toFault } from '../domain/fault.ts';
import { isVolumeId, type VolumeId } from '../domain/volume-record.ts';
import type { Pool } from '../volumes/pool.ts';
import type { HeldVolume, PoolPlace } from '../volumes/pools.ts';
import { type CreateOptions, createVolume } from './create-volume.ts';
import { type ExpandOptions, expandVolume } from './expand-volume.ts';
import type { NodePools } from './node-pools.ts';
import type { NodeVolumes } from './node-volumes.ts';
import {
  ControllerExpandRequest,
  CreateVolumeRequest,
  GetCapacityRequest,
  ListVolumesRequest,
  Nothing,
  ValidateVolumeCapabilitiesRequest,
  VolumeRequest,
} from './requests.ts';
import { type CallContext, refused, unary } from './unary.ts';
import { assertMode, planMounts } from './volume-capability.ts';
import { conditionOf } from './volume-condition.ts';
import type { VolumeUsages } from './volume-usage.ts';

const capabilities = [
  ...['CREATE_DELETE_VOLUME', 'LIST_VOLUMES', 'GET_CAPACITY', 'GET_VOLUME', 'EXPAND_VOLUME'],
  ...['VOLUME_CONDITION', 'SINGLE_NODE_MULTI_WRITER'],
];

export interface ControllerServiceOptions extends CreateOptions, ExpandOptions {
  volumes: NodeVolumes;
  usages: VolumeUsages;
  /** Ends whatever fills the volume and removes it; one that is not there is no error. */
  deleteVolume(volumeId: VolumeId): Promise<void>;
}

export function controllerService(
  context: CallContext,
  options: ControllerServiceOptions,
): UntypedServiceImplementation {
  const { pools } = options;
  const noSnapshots = refused('snapshots of volumes of pools are not made yet');
  const noAttaching = refused('a volume of a pool is on its node already: nothing is attached');
  return {
    ControllerGetCapabilities: unary(context, Nothing, () => ({
      capabilities: capabilities.map((type) => ({ rpc: { type } })),
    })),
    CreateVolume: unary(context, CreateVolumeRequest, async (request, signal) => ({
      volume: describe(await createVolume(request, options, signal), pools),
    })),
    DeleteVolume: unary(context, VolumeRequest, async ({ volumeId }, signal) => {
      await deleteVolume(volumeId, options, signal);
      return {};
    }),
    ListVolumes: unary(context, ListVolumesRequest, async ({ maxEntries, startingToken }, signal) => {
      const { page, nextToken } = pageOf(pools.list(), maxEntries, startingToken);
      const entries: object[] = [];
      for (const held of page) {
        signal.throwIfAborted();
        entries.push({ volume: describe(held, pools), status: { volumeCondition: await conditionOf(held) } });
      }
      return { entries, nextToken };
    }),
    ControllerGetVolume: unary(context, VolumeRequest, async ({ volumeId }) => {
      const held = pools.need(volumeId);
      return { volume: describe(held, pools), status: { volumeCondition: await conditionOf(held) } };
    }),
    GetCapacity: unary(context, GetCapacityRequest, async (request) => {
      const { parameters, volumeCapabilities, accessibleTopology } = request;
      const places = pools.ofClass(parameters);
      const isHere = accessibleTopology === null || pools.includes(accessibleTopology);
      const canBe = volumeCapabilities.length === 0 || isPossible(() => planMounts(volumeCapabilities));
      return capacityOf(isHere && canBe ? await openPools(places) : []);
    }),
    ValidateVolumeCapabilities: unary(context, ValidateVolumeCapabilitiesRequest, (request) =>
      validate(request, pools),
    ),
    ControllerPublishVolume: noAttaching,
    ControllerUnpublishVolume: noAttaching,
    CreateSnapshot: noSnapshots,
    DeleteSnapshot: noSnapshots,
    ListSnapshots: noSnapshots,
    GetSnapshot: noSnapshots,
    ControllerExpandVolume: unary(context, ControllerExpandRequest, (request, signal) =>
      expandVolume(request, options, signal),
    ),
    ControllerModifyVolume: refused('volumes of pools have nothing that a VolumeAttributesClass could change'),
  };
}

function describe({ record }: HeldVolume, pools: NodePools): object {
  const { volumeId, sizeBytes } = record;
  return { volumeId, capacityBytes: sizeBytes, accessibleTopology: [pools.topology] };
}

async function deleteVolume(
  volumeId: string,
  { volumes, usages, deleteVolume }: ControllerServiceOptions,
  signal: AbortSignal,
): Promise<void> {
  if (volumeId === '') throw new Fault('InvalidRequest', 'volume_id is missing');
  // No volume of ours has another kind of id, so it is gone.
  if (!isVolumeId(volumeId)) return;
  await volumes.remove(volumeId, signal, () => deleteVolume(volumeId));
  usages.forget(volumeId);
}

/** The token is the id of the last volume of a page, so that volumes which come and go between two pages put nothing out of order. */
function pageOf(
  all: readonly HeldVolume[],
  maxEntries: number,
  startingToken: string,
): { page: readonly HeldVolume[]; nextToken: string } {
  if (maxEntries < 0) throw new Fault('InvalidRequest', `max_entries is ${maxEntries}`);
  if (startingToken !== '' && !isVolumeId(startingToken)) {
    throw new Fault('Conflict', 'starting_token is none of this driver; list again from the beginning');
  }
  const rest = all.filter(({ record }) => record.volumeId > startingToken);
  const page = maxEntries === 0 ? rest : rest.slice(0, maxEntries);
  return { page, nextToken: page.length < rest.length ? (page.at(-1)?.record.volumeId ?? '') : '' };
}

/**
 * No pool, no room: so the scheduler looks at another node. Room is what can still be promised, whatever is written of it; of several pools that of the one
 * with most, since a volume lies in one.
 */
function capacityOf(pools: readonly Pool[]): object {
  const roomOf = ({ leftBytes, largestVolumeBytes }: Pool) => Math.min(leftBytes, largestVolumeBytes);
  const [pool] = pools.toSorted((one, other) => roomOf(other) - roomOf(one));
  if (pool === undefined) return { availableCapacity: 0, maximumVolumeSize: { value: 0 } };
  return {
    availableCapacity: pool.leftBytes,
    maximumVolumeSize: { value: roomOf(pool) },
    minimumVolumeSize: { value: 1 },
  };
}

async function openPools(places: readonly Readonly<PoolPlace>[]): Promise<Pool[]> {
  const pools: Pool[] = [];
  for (const { pool } of places) if (pool !== undefined && (await isOpen(pool))) pools.push(pool);
  return pools;
}

async function isOpen(pool: Pool): Promise<boolean> {
  if (pool.readOnly !== undefined) return false;
  try {
    await pool.assertThere();
    return true;
  } catch (error) {
    if (toFault(error).code === 'PoolMissing') return false;
    throw error;
  }
}

function isPossible(plan: () => unknown): boolean {
  try {
    plan();
    return true;
  } catch (error) {
    if (toFault(error).code === 'InvalidRequest') return false;
    throw error;
  }
}

function validate(request: ValidateVolumeCapabilitiesRequest, pools: NodePools): object {
  const { volumeId, volumeCapabilities, volumeContext, parameters } = request;
  const { pool, record } = pools.need(volumeId);
  if (volumeCapabilities.length === 0) throw new Fault('InvalidRequest', 'volume_capabilities is missing');
  try {
    assertMode(record, planMounts(volumeCapabilities).mode);
    if (!pools.ofClass(parameters).some((place) => place.pool === pool))
      throw new Fault('InvalidRequest', 'the volume is in another pool');
    if (Object.keys(request.mutableParameters).length > 0) {
      throw new Fault('InvalidRequest', 'a volume of a pool has no mutable parameters');
    }
  } catch (error) {
    const fault = toFault(error);
    if (fault.code !== 'InvalidRequest') throw fault;
    return { message: fault.detail };
  }
  return { confirmed: { volumeContext, volumeCapabilities, parameters } };
}
