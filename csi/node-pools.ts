// The pools of this node, by the name that a storage class gives, and where the node is among others.
import { sectorSizeParameter } from '../domain/block-device.ts';
import { Fault } from '../domain/fault.ts';
import { isVolumeId, type VolumeId, type VolumeRecord } from '../domain/volume-record.ts';
import type { Pool } from '../volumes/pool.ts';
import type { Topology } from './requests.ts';
import { metadataParameters } from './volume-name.ts';

export interface HeldVolume {
  pool: Pool;
  record: VolumeRecord;
}

export interface NodePoolsOptions {
  driver: string;
  node: string;
  /** By name; a class that names none gets the first. */
  pools: ReadonlyMap<string, Pool>;
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
  readonly #pools: ReadonlyMap<string, Pool>;
  readonly #topologyKey: string;

  constructor({ driver, node, pools }: NodePoolsOptions) {
    this.node = node;
    this.#pools = pools;
    this.#topologyKey = `topology.${driver}/node`;
  }

  /** Where the volumes of this node can be used. */
  get topology(): Topology {
    return { segments: { [this.#topologyKey]: this.node } };
  }

  includes({ segments }: Topology): boolean {
    return segments[this.#topologyKey] === this.node;
  }

  all(): Pool[] {
    return [...this.#pools.values()];
  }

  /**
   * The pool that a class means; undefined where this node has none of that name.
   * @throws Fault InvalidRequest naming a parameter that no class of this driver has
   */
  ofClass(parameters: Readonly<Record<string, string>>): Pool | undefined {
    const unknown = Object.keys(parameters).find((name) => !classParameters.has(name));
    if (unknown !== undefined) {
      throw new Fault(
        'InvalidRequest',
        `the storage class has a parameter ${unknown}; there are storagePool and sectorSize`,
      );
    }
    const name = parameters['storagePool'];
    return name === undefined ? this.all()[0] : this.#pools.get(name);
  }

  /** @throws Fault NoPoolHere, InvalidRequest */
  needOfClass(parameters: Readonly<Record<string, string>>): Pool {
    const pool = this.ofClass(parameters);
    if (pool !== undefined) return pool;
    throw new Fault('NoPoolHere', `node ${this.node} has no pool ${parameters['storagePool'] ?? 'at all'}`);
  }

  find(volumeId: string): HeldVolume | undefined {
    if (!isVolumeId(volumeId)) return undefined;
    for (const pool of this.#pools.values()) {
      const record = pool.get(volumeId);
      if (record !== undefined) return { pool, record };
    }
    return undefined;
  }

  /** @throws Fault InvalidRequest where no id is given, NotFound */
  need(volumeId: string): HeldVolume {
    if (volumeId === '') throw new Fault('InvalidRequest', 'volume_id is missing');
    const held = this.find(volumeId);
    if (held === undefined) throw new Fault('NotFound', `node ${this.node} has no volume ${volumeId}`);
    return held;
  }

  /** All volumes, by id. */
  list(): HeldVolume[] {
    return this.all()
      .flatMap((pool) => pool.list().map((record) => ({ pool, record })))
      .sort((one, other) => compareIds(one.record.volumeId, other.record.volumeId));
  }
}

function compareIds(one: VolumeId, other: VolumeId): number {
  return one < other ? -1 : one > other ? 1 : 0;
}
