// A pool: a directory of volumes with one writer. Every change of a volume goes through here, is durable when the call returns, and is
// serialised per volume. See pool-layout.ts for what lies where and domain/volume-record.ts for the states.
import { Fault } from '../domain/fault.ts';
import {
  canMove,
  isHandedOut,
  promisedBytes,
  type TransferReport,
  type VolumeId,
  type VolumeRecord,
} from '../domain/volume-record.ts';
import type { Enforcement } from '../runtime/pool-settings.ts';
import { KeptImages } from './kept-images.ts';
import { type ChangeListener, KeptRecords } from './kept-records.ts';
import {
  boundedRequest,
  checkSize,
  makeVolume,
  type ReserveRequest,
  sameVolume,
  settledRequest,
} from './new-volume.ts';
import { type OpenDisk, openDisk } from './open-disk.ts';
import { makePlainDevice } from './plain-device.ts';
import { type Finding, findStrays } from './pool-findings.ts';
import { whyGone } from './pool-identity.ts';
import type { PoolLayout } from './pool-layout.ts';
import { type OpenedPool, type OpenPoolOptions, openPool } from './pool-opening.ts';
import type { ReceivedAttempt } from './pool-recovery.ts';
import type { PoolUsage } from './pool-space.ts';
import { largestVolume, usageOf } from './pool-usage.ts';
import { removeTrees } from './remove-tree.ts';
import { removeVolume } from './remove-volume.ts';
import type { Staging } from './staging.ts';
import { StagingArea } from './staging-area.ts';
import { commitVolume, type FillingPlace, takeOver } from './volume-filling.ts';
import { growVolume } from './volume-growth.ts';
import { VolumeLocks } from './volume-locks.ts';

export class Pool {
  readonly name: string;
  readonly directory: string;
  readonly poolId: string;
  readonly reflink: boolean;
  readonly readOnly: Fault | undefined;
  /** Volumes that are there, but whose records cannot be read, and why; nothing is done to them. */
  readonly unreadable: ReadonlyMap<VolumeId, Fault>;
  /** What holds a new Filesystem volume to its size. `none`: this service writes no byte beyond it, but what a machine adds to `data` is not limited. */
  readonly enforcement: Enforcement;
  readonly images: KeptImages;
  readonly #opened: OpenedPool;
  readonly #layout: PoolLayout;
  readonly #records: KeptRecords;
  readonly #area: StagingArea;
  readonly #filling: FillingPlace;
  readonly #locks = new VolumeLocks();
  readonly #closing = new AbortController();
  readonly #tidying: Promise<void>;
  #closed = false;

  private constructor(opened: OpenedPool) {
    this.#opened = opened;
    this.#layout = opened.layout;
    this.#records = new KeptRecords(opened);
    this.name = opened.name;
    this.images = new KeptImages(opened);
    this.directory = opened.layout.directory;
    this.poolId = opened.identity.poolId;
    this.enforcement = opened.enforcement;
    // Volumes that have file systems of their own share nothing.
    this.reflink = opened.reflink && opened.enforcement === 'none';
    this.readOnly = opened.readOnly;
    this.unreadable = opened.unreadable;
    this.#area = new StagingArea(opened, this.images);
    this.#filling = { opened, records: this.#records, area: this.#area };
    this.#tidying = removeTrees(opened.doomed, {
      signal: this.#closing.signal,
      onFailure: (path, { message }) => opened.logger.warn({ path, fault: message }, 'a deleted volume is still there'),
    });
  }

  /**
   * Takes the pool for life and cleans up after a service that was killed; volumes that it was deleting go while the pool serves.
   * @throws Fault PoolMissing, PoolInUse, NewerVersion
   */
  static async open(options: OpenPoolOptions): Promise<Pool> {
    return new Pool(await openPool(options));
  }

  /** One listener: it may not throw, and is told before the call that made the change returns. */
  onChange(listener: ChangeListener): void {
    this.#records.onChange(listener);
  }

  get largestVolumeBytes(): number {
    return largestVolume(this.#opened);
  }

  get(id: VolumeId): VolumeRecord | undefined {
    return this.#records.get(id);
  }

  list(): VolumeRecord[] {
    return [...this.#records.all.values()];
  }

  /** Where the disk of the volume lies, or will lie. @throws Fault NotFound */
  diskPath(id: VolumeId): string {
    return this.#layout.disk(id, this.#records.need(id).mode);
  }

  /** The disk for reading, whatever its consumer puts in its place meanwhile. @throws Fault NotFound, HostileImage (no regular file) */
  async openDisk(id: VolumeId): Promise<OpenDisk> {
    if (this.#records.need(id).mode === 'Block') await this.#opened.blocks.flush(id);
    return await openDisk(this.diskPath(id));
  }

  /** The device of a Block volume, attached where it is not yet. @throws Fault NotFound, VolumeNotFilled, NeedsRoot, NoLoopDevice */
  async device(id: VolumeId): Promise<string> {
    return await this.#change(id, async () => {
      const record = this.#records.need(id);
      if (!isHandedOut(record.state)) throw new Fault('VolumeNotFilled', `${id} is ${record.state}`);
      return await this.#opened.blocks.attach(record);
    });
  }

  /** The directory of a Filesystem volume that a pod mounts. @throws Fault NotFound */
  dataPath(id: VolumeId): string {
    return this.#layout.data(this.#records.need(id).volumeId);
  }

  /** Where the content lies: the disk, or the directory of the files. @throws Fault NotFound */
  readonly contentPath = (id: VolumeId): string => this.#layout.content(this.#records.need(id));

  /** What can still be promised, by the last measuring of the disk. */
  get leftBytes(): number {
    return this.#opened.ledger.leftBytes + this.images.idleBytes;
  }

  /** @throws Fault PoolMissing where the disk of the pool is not there any more */
  async assertThere(): Promise<void> {
    const gone = await whyGone(this.#layout, this.poolId, undefined);
    if (gone !== undefined) throw gone;
  }

  received(): ReceivedAttempt[] {
    return this.#area.received();
  }

  /**
   * Makes an `empty` volume with its room promised, or returns the one that is there.
   * @throws Fault PoolFull, VolumeTooLarge, AlreadyExists (the id is another claim's or of another size), VolumeCorrupt, InvalidRequest, NeedsRoot
   */
  async reserve(asked: ReserveRequest): Promise<VolumeRecord> {
    return await this.#change(asked.volumeId, async () => {
      const request = settledRequest(asked);
      const there = this.#records.get(request.volumeId);
      if (there !== undefined) return sameVolume(there, request);
      this.#records.refuseUnread(request.volumeId);
      checkSize(request, this.largestVolumeBytes);
      if (request.mode === 'Block') this.#opened.blocks.assertPossible();
      return await this.#makeVolume(request);
    });
  }

  /**
   * Gives the volume to an attempt and takes it from the former one, whose children have ended and whose staging is gone when this returns.
   * A volume that is complete for this generation is returned as it is.
   * @throws Fault NotFound, StaleAttempt, VolumeInUse
   */
  async claimFence(id: VolumeId, claim: { attempt: number; generation: number }): Promise<VolumeRecord> {
    return await this.#change(id, () => takeOver(id, claim, this.#filling));
  }

  /**
   * A fresh private directory for the attempt; an older one of the same attempt is ended and removed.
   * @throws Fault NotFound, StaleAttempt, UploadFinished where the attempt has received its upload already
   */
  async openStaging(id: VolumeId, attempt: number): Promise<Staging> {
    return await this.#change(id, async () => {
      return await this.#area.open(this.#records.needOwned(id, attempt), attempt);
    });
  }

  /** As `openStaging`, but what an attempt of a service that was killed has marked is still there; see `Staging.kept`. */
  async goOnStaging(id: VolumeId, attempt: number): Promise<Staging> {
    return await this.#change(id, async () => {
      return await this.#area.goOn(this.#records.needOwned(id, attempt), attempt);
    });
  }

  /** The staging of an upload whose bytes are durable; only `source` is in it. @throws Fault NotFound, StaleAttempt */
  async resumeStaging(id: VolumeId, attempt: number): Promise<Staging> {
    return await this.#change(id, async () => {
      return await this.#area.resume(this.#records.needOwned(id, attempt), attempt);
    });
  }

  /**
   * Makes the staged disk.img, or the directory of files that the report tells of, the volume's, in one step: after a crash it is there wholly or not at all. The staging is gone afterwards.
   * @throws Fault StaleAttempt (leaves nothing), ImageTooLarge, NoSpace; a failure leaves the volume populating and empty
   */
  async commit(staging: Staging, report: TransferReport): Promise<VolumeRecord> {
    try {
      return await this.#change(staging.volumeId, () => commitVolume(staging, report, this.#filling));
    } catch (error) {
      if (error instanceof Fault && error.code === 'StaleAttempt') await staging.discard();
      throw error;
    }
  }

  /** Declares that nobody fills the volume: it is for a user's own files. @throws Fault NotFound, VolumeInUse */
  async markPlain(id: VolumeId): Promise<VolumeRecord> {
    return await this.#change(id, async () => {
      const record = this.#records.need(id);
      if (record.state === 'plain') return record;
      if (!canMove(record.state, 'plain')) throw new Fault('VolumeInUse', `${id} is ${record.state}`);
      const write = () => this.#records.write({ ...record, state: 'plain' });
      return record.mode === 'Block' ? await makePlainDevice(record, this.#opened, write) : await write();
    });
  }

  /**
   * Makes the volume larger, also while it is used; one that is as large already stays as it is.
   * @throws Fault NotFound, VolumeNotFilled, VolumeTooLarge, PoolFull, NoSpace, NeedsRoot, NoLoopDevice
   */
  async expand(id: VolumeId, sizeBytes: number): Promise<VolumeRecord> {
    return await this.#change(id, async () => {
      const record = this.#records.need(id);
      // A volume stays as it was made, whatever the pool does with new ones.
      const enforcement = record.boundedBytes === undefined ? 'none' : 'loop';
      const largestVolumeBytes = largestVolume({ ...this.#opened, enforcement });
      const place = { ...this.#opened, images: this.images, records: this.#records, largestVolumeBytes };
      return await growVolume(record, sizeBytes, place);
    });
  }

  /**
   * Notes that a consumer may write to the volume from now on: the digests of a complete one become void by it, and a plain one is not filled any more.
   * @throws Fault NotFound, VolumeNotFilled
   */
  async markUsed(id: VolumeId): Promise<VolumeRecord> {
    const known = this.#records.need(id);
    if (known.usedSince !== undefined) return known;
    return await this.#change(id, async () => {
      const record = this.#records.need(id);
      if (!isHandedOut(record.state)) throw new Fault('VolumeNotFilled', `${id} is ${record.state}`);
      return await this.#records.write({ usedSince: new Date().toISOString(), ...record });
    });
  }

  /**
   * Ends its attempt and removes the volume, whatever its state. One that is not there is no error.
   * @throws Fault VolumeCorrupt, or why files of it cannot be removed: it is gone nevertheless, and they take room until a later open removes them
   */
  async delete(id: VolumeId): Promise<void> {
    await this.#change(id, async () => {
      this.#records.refuseUnread(id);
      await this.#area.endFormer(id, Number.POSITIVE_INFINITY, new Fault('Cancelled', `${id} was deleted`));
      const record = this.#records.get(id);
      if (record !== undefined) await removeVolume(record, this.#opened, this.#records);
    });
  }

  async usage(): Promise<PoolUsage> {
    const { enforcement, reflink, images } = this;
    return await usageOf(this.#opened, { enforcement, reflink, images });
  }

  async findings(): Promise<Finding[]> {
    const { layout, unread } = this.#opened;
    const records = this.#records;
    return await findStrays({ layout, unread, records: records.all, owns: (...which) => records.isOwned(...which) });
  }

  /** Lets changes that run end, then gives the pool to whoever comes next. Attempts that run are not ended here. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#closing.abort(new Fault('Interrupted', 'the pool is closed'));
    await this.#tidying;
    await this.#locks.settled();
    await this.images.close();
    this.#opened.ledger.close();
  }

  async #change<T>(id: VolumeId, action: () => Promise<T>): Promise<T> {
    return await this.#locks.run(id, async () => {
      if (this.#closed) throw new Fault('Interrupted', 'the pool is closed');
      if (this.readOnly !== undefined) throw this.readOnly;
      try {
        return await action();
      } catch (error) {
        throw (await whyGone(this.#layout, this.poolId, error)) ?? error;
      }
    });
  }

  async #makeVolume(asked: ReserveRequest): Promise<VolumeRecord> {
    const request = boundedRequest(asked, this.enforcement);
    await this.images.promise(request.volumeId, promisedBytes(request));
    try {
      return this.#records.written(await makeVolume(request, this.#opened));
    } catch (error) {
      this.#opened.ledger.release(request.volumeId);
      throw error;
    }
  }
}
