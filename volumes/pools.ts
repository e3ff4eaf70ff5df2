// The pools of one node, by the names that storage classes give. Each is opened by itself: one whose disk is not there keeps no other from serving; it is
// told with its fault and tried again. A volume that is seen nowhere may lie in one that is not open, so then nobody is told that it is gone.
import { Fault, toFault } from '../domain/fault.ts';
import { isHandedOut, type VolumeId, type VolumeRecord } from '../domain/volume-record.ts';
import type { PoolSetting } from '../runtime/pool-settings.ts';
import type { Programs } from '../runtime/programs.ts';
import type { ChangeListener } from './kept-records.ts';
import type { LoopDevices } from './loop-devices.ts';
import type { ReserveRequest } from './new-volume.ts';
import { Pool } from './pool.ts';
import type { PoolLogger } from './pool-opening.ts';
import type { ReceivedAttempt } from './pool-recovery.ts';
import { SharedRoom } from './shared-room.ts';
import { VolumeLocks } from './volume-locks.ts';

export interface PoolsOptions {
  settings: readonly PoolSetting[];
  overcommit: number;
  logger: PoolLogger;
  /** For Block volumes; left out where the service may not attach devices. */
  loops?: LoopDevices | undefined;
  /** For file systems of volumes. */
  programs?: Programs | undefined;
}

export interface HeldVolume {
  pool: Pool;
  record: VolumeRecord;
}

/** One pool as it was when it was looked at last. */
export interface PoolPlace extends PoolSetting {
  /** Undefined until it could be opened. */
  pool?: Pool;
  /** Why nothing is changed in it now. */
  fault?: Fault;
}

/** What no other pool makes good: another worker of this node may be alive. */
const fatal: ReadonlySet<string> = new Set(['PoolInUse', 'InvalidSetting']);

export class Pools {
  readonly #options: PoolsOptions;
  readonly #places: PoolPlace[];
  readonly #locks = new VolumeLocks();
  readonly #room = new SharedRoom();
  #listener: ChangeListener | undefined;
  #closed = false;

  private constructor(options: PoolsOptions) {
    this.#options = options;
    this.#places = options.settings.map((setting) => ({ ...setting }));
  }

  /**
   * Opens those that can be opened, at least one; look() tries the others again.
   * @throws Fault PoolMissing, PoolInUse, NewerVersion, InvalidSetting; none is held then
   */
  static async open(options: PoolsOptions): Promise<Pools> {
    const pools = new Pools(options);
    try {
      await pools.look();
      if (pools.all().length === 0) throw pools.#faults()[0] ?? new Fault('NoPoolHere', 'no pool is named');
      return pools;
    } catch (error) {
      await pools.close();
      throw error;
    }
  }

  /** One listener for all volumes of all pools; see Pool.onChange. */
  onChange(listener: ChangeListener): void {
    this.#listener = listener;
    for (const pool of this.all()) pool.onChange(listener);
  }

  /** In the order of the settings. */
  get places(): readonly Readonly<PoolPlace>[] {
    return this.#places;
  }

  all(): Pool[] {
    return this.#places.flatMap(({ pool }) => (pool === undefined ? [] : [pool]));
  }

  /**
   * Looks whether each pool is there, and opens what was not open.
   * @throws Fault PoolInUse, InvalidSetting where a pool is not ours to open
   */
  async look(): Promise<void> {
    // One look at a time: no pool is opened twice.
    await this.#locks.run('look', async () => {
      const looks = await Promise.allSettled(this.#places.map((place) => this.#lookAt(place)));
      // When all have ended: what was opened meanwhile is known, and can be given back.
      for (const look of looks) if (look.status === 'rejected') throw look.reason;
    });
  }

  /** Should two pools hold it, since one was away while it was planned anew, it is the one that is further. */
  find(volumeId: VolumeId): HeldVolume | undefined {
    const held = this.all().flatMap((pool) => {
      const record = pool.get(volumeId);
      return record === undefined ? [] : [{ pool, record }];
    });
    return held.length < 2 ? held[0] : held.toSorted((one, other) => howFar(other.record) - howFar(one.record))[0];
  }

  get(volumeId: VolumeId): VolumeRecord | undefined {
    return this.find(volumeId)?.record;
  }

  /** The pool that holds the volume. @throws Fault NotFound, VolumeCorrupt, PoolReadOnly, or why a pool that may hold it is not open */
  holderOf(volumeId: VolumeId): Pool {
    const held = this.#holder(volumeId);
    if (held === undefined) throw new Fault('NotFound', `no volume ${volumeId} in the pools of this node`);
    return held;
  }

  /** @throws Fault why a pool that may hold the volume, which is seen in none, is not open */
  assertAbsent(volumeId: VolumeId): void {
    this.#holder(volumeId);
  }

  /** @throws Fault NoPoolHere, or why it is not open */
  named(name: string): Pool {
    const place = this.#places.find((candidate) => candidate.name === name);
    if (place === undefined) throw new Fault('NoPoolHere', `this node has no pool ${name}`);
    if (place.pool === undefined) throw place.fault ?? new Fault('PoolMissing', `pool ${name} is not open`);
    return place.pool;
  }

  /** The pool with most room to promise among those that may be written. @throws Fault NoPoolHere, or why none may be written */
  roomiest(candidates: readonly Readonly<PoolPlace>[] = this.#places): Pool {
    const usable = candidates.flatMap(({ pool, fault }) => (pool === undefined || fault !== undefined ? [] : [pool]));
    const [best] = usable.toSorted((one, other) => other.leftBytes - one.leftBytes);
    if (best !== undefined) return best;
    throw candidates.find(({ fault }) => fault !== undefined)?.fault ?? new Fault('NoPoolHere', 'no such pool is here');
  }

  list(): HeldVolume[] {
    return this.all().flatMap((pool) => pool.list().map((record) => ({ pool, record })));
  }

  received(): ReceivedAttempt[] {
    return this.all().flatMap((pool) => pool.received());
  }

  /**
   * Makes the volume in that pool, or returns the one that is there, in whichever pool.
   * @param name undefined: where most room is
   * @throws Fault as of Pool.reserve; NoPoolHere; PoolMissing also where it may be in a pool that is not open
   */
  async reserve(request: ReserveRequest, name?: string): Promise<HeldVolume> {
    return await this.#locks.run(request.volumeId, async () => {
      const there = this.#holder(request.volumeId, name);
      const pool = there ?? (name === undefined ? this.roomiest() : this.named(name));
      return { pool, record: await pool.reserve(request) };
    });
  }

  /** See Pool.delete. @throws also why a pool that may hold it is not open: it is not told to be gone then */
  async delete(volumeId: VolumeId): Promise<void> {
    await this.#locks.run(volumeId, async () => {
      await this.#holder(volumeId)?.delete(volumeId);
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(this.all().map((pool) => pool.close()));
  }

  /**
   * @param wanted pool that a new volume is to be made in: what else may hold it is not asked, where that is open
   * @throws Fault where a pool that may hold the volume is not open
   */
  #holder(volumeId: VolumeId, wanted?: string): Pool | undefined {
    const pools = this.all();
    const found = this.find(volumeId)?.pool ?? pools.find((pool) => pool.unreadable.has(volumeId));
    if (found !== undefined || pools.some(({ name }) => name === wanted)) return found;
    const shut = this.#places.find(({ pool }) => pool === undefined);
    if (shut?.fault !== undefined) throw shut.fault;
    return undefined;
  }

  #faults(): Fault[] {
    return this.#places.flatMap(({ fault }) => (fault === undefined ? [] : [fault]));
  }

  async #lookAt(place: PoolPlace): Promise<void> {
    if (this.#closed) return;
    const former = place.fault;
    try {
      place.pool ??= await this.#open(place);
      await place.pool.assertThere();
      delete place.fault;
      if (place.pool.readOnly !== undefined) place.fault = place.pool.readOnly;
    } catch (error) {
      place.fault = toFault(error);
      if (fatal.has(place.fault.code)) throw place.fault;
    }
    const { name: pool, directory, fault } = place;
    if (fault?.code === former?.code) return;
    if (fault !== undefined) this.#options.logger.warn({ pool, directory, fault: fault.message }, 'a pool is amiss');
    else this.#options.logger.info({ pool, directory }, 'the pool is there again');
  }

  async #open({ name, directory, enforcement = 'none' }: PoolSetting): Promise<Pool> {
    const { overcommit, logger, loops, programs } = this.#options;
    const asked = { name, directory, enforcement, overcommit, logger, loops, programs };
    const pool = await Pool.open({ ...asked, create: true, room: this.#room });
    if (this.#listener !== undefined) pool.onChange(this.#listener);
    // Closed meanwhile: nobody else would give it back.
    if (this.#closed) await pool.close();
    return pool;
  }
}

function howFar({ state, fence }: VolumeRecord): number {
  return isHandedOut(state) ? Number.POSITIVE_INFINITY : fence;
}
