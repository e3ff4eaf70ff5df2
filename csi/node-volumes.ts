// Hands volumes out to pods on this node, and takes them back. Only complete and plain volumes are handed out; what is published stays published, whoever
// cannot be reached. One thing at a time for each volume and for each target, since the kubelet asks again when it has waited too long.
import { stat } from 'node:fs/promises';
import { Fault } from '../domain/fault.ts';
import { isHandedOut, type VolumeRecord } from '../domain/volume-record.ts';
import type { Programs } from '../runtime/programs.ts';
import type { HeldVolume } from '../volumes/pools.ts';
import { VolumeLocks } from '../volumes/volume-locks.ts';
import { bindMount, mountsAt, realTarget, removeTarget, unmount } from './bind-mount.ts';
import { type MountEntry, readMountTable, shows, showsDevice, showsLoop } from './mount-table.ts';
import type { NodePools } from './node-pools.ts';
import { refuseBoundedVolume } from './refuse-bounded-pools.ts';
import type { NodePublishRequest } from './requests.ts';
import { assertMode, type MountWish, planMount, type VolumeMode } from './volume-capability.ts';

/** Asks the controller who fills the claim of an empty volume; rejects where it cannot be asked. */
export type WhoFills = (volume: VolumeRecord, signal: AbortSignal) => Promise<'nobody' | 'somebody'>;

export interface NodeVolumesOptions {
  pools: NodePools;
  programs: Programs;
  whoFills: WhoFills;
}

export class NodeVolumes {
  readonly #pools: NodePools;
  readonly #programs: Programs;
  readonly #whoFills: WhoFills;
  readonly #locks = new VolumeLocks();
  readonly #targets = new VolumeLocks();

  constructor({ pools, programs, whoFills }: NodeVolumesOptions) {
    this.#pools = pools;
    this.#programs = programs;
    this.#whoFills = whoFills;
  }

  /**
   * Sees that the volume may be handed out; nothing is mounted, since each pod gets the directory or device itself.
   * @throws Fault InvalidRequest, NotFound, VolumeNotFilled, ControllerUnreachable
   */
  async stage(volumeId: string, mode: VolumeMode, signal: AbortSignal): Promise<void> {
    await this.#alone(volumeId, signal, async () => {
      const held = this.#pools.need(volumeId);
      assertMode(held.record, mode);
      await this.#handOut(held, signal);
    });
  }

  /**
   * Mounts the directory or the device of the volume at the target, unless it is there already.
   * @throws Fault InvalidRequest, NotFound, VolumeNotFilled, ControllerUnreachable, AlreadyExists (published there otherwise), VolumeInUse (is to be
   * published once only), VolumeCorrupt, PoolMissing, NeedsRoot, NoLoopDevice; nothing is mounted then
   */
  async publish(request: NodePublishRequest, signal: AbortSignal): Promise<void> {
    const { volumeId, volumeCapability, targetPath } = request;
    if (volumeId === '') throw new Fault('InvalidRequest', 'volume_id is missing');
    if (targetPath === '') throw new Fault('InvalidRequest', 'target_path is missing');
    if (volumeCapability === null) throw new Fault('InvalidRequest', 'volume_capability is missing');
    const asked = planMount(volumeCapability);
    const wish = { ...asked, readOnly: asked.readOnly || request.readonly };
    const target = await realTarget('target_path', targetPath);
    if (target === undefined) throw new Fault('InvalidRequest', 'the directory above target_path is not there');
    await this.#aloneAt(volumeId, target, signal, async () => {
      const held = this.#pools.need(volumeId);
      assertMode(held.record, wish.mode);
      if (await isPublished(held, target, wish)) return;
      await this.#handOut(held, signal);
      await assertData(held);
      const { pool, record } = held;
      const from = wish.mode === 'Block' ? await pool.device(record.volumeId) : pool.dataPath(record.volumeId);
      if (!wish.readOnly) await pool.markUsed(record.volumeId);
      await bindMount(from, target, wish, { programs: this.#programs, signal });
    });
  }

  /**
   * Takes the volume off the target and removes that; where nothing is there any more it is done. The volume itself may be gone.
   * @throws Fault InvalidRequest (something else is mounted there), VolumeInUse
   */
  async unpublish(volumeId: string, targetPath: string, signal: AbortSignal): Promise<void> {
    if (volumeId === '') throw new Fault('InvalidRequest', 'volume_id is missing');
    if (targetPath === '') throw new Fault('InvalidRequest', 'target_path is missing');
    const target = await realTarget('target_path', targetPath);
    if (target === undefined) return;
    await this.#aloneAt(volumeId, target, signal, async () => {
      const mounts = await mountsAt(target);
      // The volume may be gone, and then nobody knows its device any more.
      if (!mounts.every((mount) => shows(mount, volumeId) || showsLoop(mount))) {
        throw new Fault('InvalidRequest', `something else than ${volumeId} is mounted at ${target}`);
      }
      for (const _ of mounts) await unmount(target, { programs: this.#programs, signal });
      await removeTarget(target);
    });
  }

  /** Removes a volume, and nobody publishes it meanwhile. @throws Fault VolumeInUse where it is mounted anywhere */
  async remove(volumeId: string, signal: AbortSignal, remove: () => Promise<void>): Promise<void> {
    await this.#alone(volumeId, signal, async () => {
      const held = this.#pools.find(volumeId);
      const isShown = held === undefined ? (each: MountEntry) => shows(each, volumeId) : await sightOf(held);
      const mount = (await readMountTable()).find(isShown);
      if (mount !== undefined) throw new Fault('VolumeInUse', `${volumeId} is mounted at ${mount.mountPoint}`);
      await remove();
    });
  }

  /** @throws Fault NotFound where the volume is not at that path */
  async needPublished(volumeId: string, volumePath: string): Promise<HeldVolume> {
    if (volumeId === '') throw new Fault('InvalidRequest', 'volume_id is missing');
    if (volumePath === '') throw new Fault('InvalidRequest', 'volume_path is missing');
    const held = this.#pools.need(volumeId);
    const target = volumePath.startsWith('/') ? await realTarget('volume_path', volumePath) : undefined;
    const mounts = target === undefined ? [] : await mountsAt(target);
    if (mounts.some(await sightOf(held))) return held;
    throw new Fault('NotFound', `${volumeId} is not mounted at ${volumePath}`);
  }

  /** First the volume, then the target, in every call: so no two wait for each other. */
  async #aloneAt(volumeId: string, target: string, signal: AbortSignal, action: () => Promise<void>): Promise<void> {
    await this.#alone(volumeId, signal, () => this.#targets.run(target, action));
  }

  async #alone<T>(volumeId: string, signal: AbortSignal, action: () => Promise<T>): Promise<T> {
    return await this.#locks.run(volumeId, async () => {
      signal.throwIfAborted();
      return await action();
    });
  }

  async #handOut({ pool, record }: HeldVolume, signal: AbortSignal): Promise<void> {
    refuseBoundedVolume(record);
    const { volumeId, owner, state } = record;
    const notFilled = (cause?: unknown) =>
      new Fault('VolumeNotFilled', `claim ${owner.namespace}/${owner.name} (${volumeId}) is ${state}`, { cause });
    switch (state) {
      case 'complete':
      case 'plain':
        return;
      case 'populating':
        throw notFilled();
      case 'empty':
        if ((await this.#askWhoFills(record, signal)) === 'somebody') throw notFilled();
        await pool.markPlain(volumeId).catch((error: unknown) => {
          // Between the answer and now an attempt has taken it.
          throw error instanceof Fault && error.code === 'VolumeInUse' ? notFilled(error) : error;
        });
    }
  }

  async #askWhoFills(record: VolumeRecord, signal: AbortSignal): Promise<'nobody' | 'somebody'> {
    try {
      const answer = await this.#whoFills(record, signal);
      signal.throwIfAborted();
      return answer;
    } catch (cause) {
      if (signal.aborted) throw signal.reason;
      const claim = `${record.owner.namespace}/${record.owner.name}`;
      throw new Fault('ControllerUnreachable', `nobody says whether claim ${claim} is to be filled`, { cause });
    }
  }
}

/** Tells whether a mount shows the volume. */
async function sightOf({ pool, record }: HeldVolume): Promise<(mount: MountEntry) => boolean> {
  if (record.mode === 'Filesystem') return (mount) => shows(mount, record.volumeId);
  if (!isHandedOut(record.state)) return () => false;
  const device = await pool.device(record.volumeId);
  return (mount) => showsDevice(mount, device);
}

/** Whether the volume is at the target as it is wanted. @throws Fault AlreadyExists, InvalidRequest, VolumeInUse */
async function isPublished(held: HeldVolume, target: string, wish: MountWish): Promise<boolean> {
  const { record } = held;
  const table = await readMountTable();
  const isShown = await sightOf(held);
  const there = table.findLast(({ mountPoint }) => mountPoint === target);
  if (there !== undefined) {
    if (!isShown(there)) {
      throw new Fault('InvalidRequest', `something else than ${record.volumeId} is mounted at ${target}`);
    }
    if (there.readOnly === wish.readOnly) return true;
    const how = there.readOnly ? 'for reading only' : 'for writing';
    throw new Fault('AlreadyExists', `${record.volumeId} is published at ${target} ${how}`);
  }
  const other = wish.exclusive ? table.find(isShown) : undefined;
  if (other === undefined) return false;
  throw new Fault('VolumeInUse', `${record.volumeId} is for one pod only and is published at ${other.mountPoint}`);
}

/** @throws Fault PoolMissing, VolumeCorrupt */
async function assertData({ pool, record }: HeldVolume): Promise<void> {
  try {
    await stat(record.mode === 'Block' ? pool.diskPath(record.volumeId) : pool.dataPath(record.volumeId));
  } catch (cause) {
    await pool.assertThere();
    throw new Fault(
      'VolumeCorrupt',
      `the ${record.mode === 'Block' ? 'file' : 'directory'} of ${record.volumeId} is missing`,
      { cause },
    );
  }
}
