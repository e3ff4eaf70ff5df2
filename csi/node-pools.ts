// The pools of this node as storage classes mean them, and where the node is among others.
import { sectorSizeParameter } from '../domain/block-device.ts';
import { Fault } from '../domain/fault.ts';
import { isVolumeId, type VolumeId } from '../domain/volume-record.ts';
import type { HeldVolume, PoolPlace, Pools } from '../volumes/pools.ts';
import type { Topology } from './requests.ts';
import { metadataParameters } from './volume-name.ts';

export interface NodePoolsOptions {
  driver: string;
  node: string;
  pools: Pools;
}

/**
 * `storagePool` names the pool; `overlayCSI` is for CDI's StorageProfile only. Both are those of the hostpath provisioner's classes. `sectorSize` is of the
 * devices of Block volumes.
 */
const classParameters: ReadonlySet<string> = new Set([
  'storagePool',
  sectorSizeParameter,
  'overlayCSI',
  ...Object.values(metadataParameters),
]);

export class NodePools {
  readonly node: string;
  readonly all: Pools;
  readonly #topologyKey: string;

  constructor({ driver, node, pools }: NodePoolsOptions) {
    this.node = node;
    this.all = pools;
    this.#topologyKey = `topology.${driver}/node`;
  }

  /** Where the volumes of this node can be used. */
  get topology(): Topology {
    return { segments: { [this.#topologyKey]: this.node } };
  }

  includes({ segments }: Topology): boolean {
    return segments[this.#topologyKey] === this.node;
  }

  /**
   * The pools that a class means: the one that it names, else all of the node.
   * @throws Fault InvalidRequest naming a parameter that no class of this driver has
   */
  ofClass(parameters: Readonly<Record<string, string>>): readonly Readonly<PoolPlace>[] {
    const unknown = Object.keys(parameters).find((name) => !classParameters.has(name));
    if (unknown !== undefined) {
      throw new Fault(
        'InvalidRequest',
        `the storage class has a parameter ${unknown}; there are storagePool and sectorSize`,
      );
    }
    const asked = parameters['storagePool'];
    return this.all.places.filter(({ name }) => asked === undefined || name === asked);
  }

  /** @throws Fault NoPoolHere, InvalidRequest */
  needOfClass(parameters: Readonly<Record<string, string>>): readonly Readonly<PoolPlace>[] {
    const places = this.ofClass(parameters);
    if (places.length > 0) return places;
    throw new Fault('NoPoolHere', `node ${this.node} has no pool ${parameters['storagePool'] ?? 'at all'}`);
  }

  find(volumeId: string): HeldVolume | undefined {
    return isVolumeId(volumeId) ? this.all.find(volumeId) : undefined;
  }

  /** @throws Fault InvalidRequest where no id is given, NotFound, or why a pool that may hold it is not open */
  need(volumeId: string): HeldVolume {
    if (volumeId === '') throw new Fault('InvalidRequest', 'volume_id is missing');
    const held = this.find(volumeId);
    if (held !== undefined) return held;
    if (isVolumeId(volumeId)) this.all.assertAbsent(volumeId);
    throw new Fault('NotFound', `node ${this.node} has no volume ${volumeId}`);
  }

  /** All volumes, by id. */
  list(): HeldVolume[] {
    return this.all.list().sort((one, other) => compareIds(one.record.volumeId, other.record.volumeId));
  }
}

function compareIds(one: VolumeId, other: VolumeId): number {
  return one < other ? -1 : one > other ? 1 : 0;
}
