// The Block claims of a pool: a file of fixed size, `block.img`, behind a loop device that /dev/longshore/<volume id> names. While the volume is complete or
// plain it has its device: attached before the record says so, kept when the service stops, found or attached again when the pool opens. It is detached
// before the volume is removed. So no device is there that no record owns, and no file has two.
import { mkdir, open, realpath, rename, rm, symlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { defaultSectorBytes, deviceDirectory, devicePathOf } from '../domain/block-device.ts';
import { Fault, toFault } from '../domain/fault.ts';
import { isHandedOut, isVolumeId, type VolumeId, type VolumeRecord } from '../domain/volume-record.ts';
import { syncDirectory } from '../runtime/durable-file.ts';
import type { ClosingDevices } from './closing-devices.ts';
import type { FileOwnership } from './file-ownership.ts';
import { deviceOf, type LoopDevice, type LoopDevices, sizeOfDevice } from './loop-devices.ts';
import type { PoolLayout } from './pool-layout.ts';

export interface BlockVolumesOptions {
  layout: PoolLayout;
  ownership: FileOwnership;
  /** Undefined where the service may not attach any. */
  loops: LoopDevices | undefined;
  /** Told of what was detached while it was open. */
  closing: ClosingDevices;
}

/** Told of a volume that has no device, though it should. */
export type DeviceTrouble = (id: VolumeId, fault: Fault) => void;

const attachedAtOnce = 8;

export class BlockVolumes {
  readonly #layout: PoolLayout;
  readonly #ownership: FileOwnership;
  readonly #loops: LoopDevices | undefined;
  readonly #closing: ClosingDevices;

  constructor({ layout, ownership, loops, closing }: BlockVolumesOptions) {
    this.#layout = layout;
    this.#ownership = ownership;
    this.#loops = loops;
    this.#closing = closing;
  }

  /** @throws Fault NeedsRoot saying what to run */
  assertPossible(): LoopDevices {
    if (this.#loops !== undefined) return this.#loops;
    const what = 'a claim of volumeMode Block has a loop device, which only root may attach';
    throw new Fault('NeedsRoot', `${what}: run \`sudo longshore up\`, or ask for volumeMode Filesystem`);
  }

  /**
   * The device of the volume, attached where it is not yet, and its link. The file is there.
   * @throws Fault NeedsRoot, NoLoopDevice
   */
  async attach({ volumeId, sectorBytes = defaultSectorBytes }: VolumeRecord): Promise<string> {
    const device = await this.assertPossible().attach(this.#layout.disk(volumeId, 'Block'), sectorBytes);
    await link(device, devicePathOf(volumeId));
    return device;
  }

  /**
   * Takes the link and the device away; where nothing is attached it is done. One that is open stays until it is closed, and nobody finds it any more.
   * @returns it, where it stays
   */
  async detach(volumeId: VolumeId): Promise<LoopDevice | undefined> {
    if (this.#loops === undefined) return undefined;
    const device = await this.#find(volumeId, await this.#loops.list());
    await rm(devicePathOf(volumeId), { force: true });
    return device === undefined ? undefined : await this.#loops.detach(device);
  }

  /** File and device of a volume that nobody fills: all zeros, as any new file is. What fails leaves neither. @throws Fault NeedsRoot, NoLoopDevice, NoSpace */
  async make(record: VolumeRecord): Promise<void> {
    this.assertPossible();
    await this.unmake(record); // of a try that failed: nobody has had it
    try {
      await this.#makeFile(this.#layout.disk(record.volumeId, 'Block'), record.sizeBytes);
      await this.attach(record);
    } catch (error) {
      await this.unmake(record);
      throw toFault(error);
    }
  }

  async #makeFile(path: string, sizeBytes: number): Promise<void> {
    await using file = await open(path, 'wx', 0o660);
    await file.truncate(sizeBytes);
    await this.#ownership.giveFile(path);
    await file.sync();
    await syncDirectory(dirname(path));
  }

  /** Of a plain volume that is to be filled after all. @throws Fault VolumeInUse where somebody has the device open; it stays, and is found, then */
  async takeBack(record: VolumeRecord): Promise<void> {
    if ((await this.detach(record.volumeId)) !== undefined) {
      // Else it would go when it is closed. Attaching what is attached takes that back, and makes the link anew.
      await this.attach(record);
      throw new Fault('VolumeInUse', `the device of ${record.volumeId} is open`);
    }
    await this.unmake(record);
  }

  /** Device and file, as if they had never been there. */
  async unmake(record: VolumeRecord): Promise<void> {
    await this.detach(record.volumeId);
    await rm(this.#layout.disk(record.volumeId, 'Block'), { force: true });
  }

  /** After the file has grown. @throws Fault NeedsRoot, NoLoopDevice */
  async takeLength(record: VolumeRecord): Promise<void> {
    await this.assertPossible().takeLength(await this.attach(record));
  }

  /** What was written to the device is in the file when this returns. */
  async flush(id: VolumeId): Promise<void> {
    try {
      await using device = await open(devicePathOf(id), 'r');
      await device.datasync();
    } catch (error) {
      // Without a device nobody has written.
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw toFault(error);
    }
  }

  /** What a former service, or a restart of the machine, left undone. @param records of the whole pool */
  async settle(records: ReadonlyMap<VolumeId, VolumeRecord>, onTrouble: DeviceTrouble): Promise<void> {
    const blocks = [...records.values()].filter(({ mode }) => mode === 'Block');
    if (this.#loops === undefined) {
      const why = new Fault('NeedsRoot', 'only a service of root attaches the devices of Block volumes');
      for (const { volumeId } of blocks) onTrouble(volumeId, why);
      return;
    }
    const wanted = blocks.filter(({ state }) => isHandedOut(state));
    const failed = await this.#detachUnowned(records).then(
      () => undefined,
      (error: unknown) => toFault(error),
    );
    // The pool serves its other volumes nevertheless.
    if (failed !== undefined) {
      for (const { volumeId } of wanted) onTrouble(volumeId, failed);
      return;
    }
    for (let first = 0; first < wanted.length; first += attachedAtOnce) {
      const some = wanted.slice(first, first + attachedAtOnce);
      await Promise.all(
        some.map((record) =>
          this.#restore(record).catch((error: unknown) => onTrouble(record.volumeId, toFault(error))),
        ),
      );
    }
  }

  /** The file has the length that the record says: a growth that was not recorded did not happen. */
  async #restore(record: VolumeRecord): Promise<void> {
    const path = this.#layout.disk(record.volumeId, 'Block');
    await using file = await open(path, 'r+');
    const { size } = await file.stat();
    if (size !== record.sizeBytes) {
      await file.truncate(record.sizeBytes);
      await file.sync();
    }
    await this.takeLength(record);
  }

  async #detachUnowned(records: ReadonlyMap<VolumeId, VolumeRecord>): Promise<void> {
    const devices = await this.assertPossible().list();
    const owned = new Set<LoopDevice | undefined>();
    for (const { volumeId, mode, state } of records.values()) {
      if (mode !== 'Block') continue;
      const device = await this.#find(volumeId, devices);
      if (isHandedOut(state)) owned.add(device);
      else if (device !== undefined) await this.detach(volumeId);
    }
    for (const device of devices) if (!owned.has(device)) await this.#detachStray(device);
  }

  /** A file of this pool that is gone or about to go, a file system's too. What lies in the place of a volume is not touched: its record may only be unreadable. */
  async #detachStray(device: LoopDevice): Promise<void> {
    const { backingFile } = device;
    // The kernel tells of files where they are, whatever links lead there.
    const [volumes, staging] = await Promise.all([realpath(this.#layout.volumes), realpath(this.#layout.staging)]);
    const isRemoved = backingFile.startsWith(`${volumes}/`) && /\/(block|fs)\.img \(deleted\)$/.test(backingFile);
    const isDoomed = backingFile.startsWith(`${staging}/`) && /\/(block|fs)\.img( \(deleted\))?$/.test(backingFile);
    if (!isRemoved && !isDoomed) return;
    const id = basename(dirname(backingFile));
    if (isVolumeId(id)) await rm(devicePathOf(id), { force: true });
    const sizeBytes = await sizeOfDevice(device.path);
    const open = await this.assertPossible().detach(device);
    if (open !== undefined) this.#closing.add(open, sizeBytes);
  }

  async #find(id: VolumeId, devices: readonly LoopDevice[]): Promise<LoopDevice | undefined> {
    const path = this.#layout.disk(id, 'Block');
    try {
      return await deviceOf(path, devices);
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
      const gone = join(await realpath(this.#layout.volumes), id, basename(path));
      return devices.find(({ backingFile }) => backingFile === `${gone} (deleted)`);
    }
  }
}

async function link(device: string, path: string): Promise<void> {
  await mkdir(deviceDirectory, { recursive: true, mode: 0o755 });
  const beside = `${path}.new`;
  await rm(beside, { force: true });
  await symlink(device, beside);
  await rename(beside, path);
}
