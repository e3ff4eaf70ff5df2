// All stagings of a pool: which are open in this process, which received uploads wait for their conversion, what room they were promised.
// The pool calls it under the lock of the volume.
import { existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Fault } from '../domain/fault.ts';
import type { VolumeId, VolumeRecord } from '../domain/volume-record.ts';
import { syncDirectory } from '../runtime/durable-file.ts';
import { emptyInPlace } from './bounded-volumes.ts';
import { readCheckpoint } from './checkpoint.ts';
import type { KeptImages } from './kept-images.ts';
import type { PoolLayout } from './pool-layout.ts';
import { parseStagingName } from './pool-layout.ts';
import type { PoolLedger } from './pool-ledger.ts';
import type { OpenedPool } from './pool-opening.ts';
import type { ReceivedAttempt } from './pool-recovery.ts';
import { endChildren, readReceived, removeStaging, Staging } from './staging.ts';

export class StagingArea {
  readonly #layout: PoolLayout;
  readonly #ledger: PoolLedger;
  readonly #images: Pick<KeptImages, 'makeRoom'>;
  readonly #open = new Map<string, Staging>();
  /** Received before this process; an attempt that is resumed moves to #open. */
  readonly #waiting = new Map<string, ReceivedAttempt>();
  /** Checkpoints of a service that has ended, which held the pool as this one does now: nobody writes there. Never one of this process. */
  readonly #kept: Map<VolumeId, number>;

  constructor(
    { layout, ledger, received, kept }: Pick<OpenedPool, 'layout' | 'ledger' | 'received' | 'kept'>,
    images: Pick<KeptImages, 'makeRoom'>,
  ) {
    this.#kept = new Map(kept.map(({ volumeId, attempt }) => [volumeId, attempt]));
    this.#layout = layout;
    this.#ledger = ledger;
    this.#images = images;
    for (const upload of received) this.#waiting.set(keyOf(upload.volumeId, upload.attempt), upload);
  }

  /** @throws Fault UploadFinished */
  async open({ volumeId, boundedBytes }: VolumeRecord, attempt: number): Promise<Staging> {
    const directory = this.#layout.attempt(volumeId, attempt);
    if ((await readReceived(directory)) !== undefined) {
      throw new Fault('UploadFinished', `attempt ${attempt} of ${volumeId} has received its upload`);
    }
    await this.#end(volumeId, attempt, new Fault('StaleAttempt', `attempt ${attempt} of ${volumeId} began anew`));
    // Others may pass through, to a socket or a file that is theirs, but neither look around nor write.
    await mkdir(directory, { mode: 0o711 });
    const inner = await this.#makeInner(boundedBytes, volumeId, attempt);
    return this.#hold(new Staging(this.#keeper(), { volumeId, attempt, directory, inner }));
  }

  /** As `open`, but what a killed attempt has marked is there: `kept` of the staging. */
  async goOn(record: VolumeRecord, attempt: number): Promise<Staging> {
    const { volumeId, boundedBytes } = record;
    const directory = this.#layout.attempt(volumeId, attempt);
    const inner = boundedBytes === undefined ? undefined : this.#layout.inner(volumeId, attempt);
    const isThere = this.#kept.get(volumeId) === attempt && !this.#open.has(keyOf(volumeId, attempt));
    const kept = isThere ? await readCheckpoint(directory, inner ?? directory) : undefined;
    if (kept === undefined) return await this.open(record, attempt);
    this.#kept.delete(volumeId);
    if (kept.file !== 'disk.img') await this.#makeInner(boundedBytes, volumeId, attempt);
    return this.#hold(new Staging(this.#keeper(), { volumeId, attempt, directory, inner, kept }));
  }

  /** The attempt that takes the volume over gets what the one before has marked. */
  async handOn({ volumeId, boundedBytes }: VolumeRecord, attempt: number): Promise<void> {
    const former = this.#kept.get(volumeId);
    if (former === undefined || former >= attempt) return;
    this.#kept.delete(volumeId);
    await rename(this.#layout.attempt(volumeId, former), this.#layout.attempt(volumeId, attempt));
    await syncDirectory(this.#layout.staging);
    if (boundedBytes !== undefined) await this.#renameInner(volumeId, former, attempt);
    this.#kept.set(volumeId, attempt);
  }

  /** @throws Fault NotFound */
  async resume({ volumeId, boundedBytes }: VolumeRecord, attempt: number): Promise<Staging> {
    const directory = this.#layout.attempt(volumeId, attempt);
    const received = await readReceived(directory);
    if (received === undefined) {
      throw new Fault('NotFound', `attempt ${attempt} of ${volumeId} has no received upload`);
    }
    const key = keyOf(volumeId, attempt);
    await this.#open.get(key)?.end(new Fault('StaleAttempt', `attempt ${attempt} of ${volumeId} was resumed`));
    await clearForResume(directory);
    this.#waiting.delete(key);
    const inner = await this.#makeInner(boundedBytes, volumeId, attempt);
    return this.#hold(new Staging(this.#keeper(), { volumeId, attempt, directory, inner, received }));
  }

  /** Fresh, and nothing beside it, such as what a former attempt has left. Undefined where the volume lies on the file system of the pool. */
  async #makeInner(boundedBytes: number | undefined, id: VolumeId, attempt: number): Promise<string | undefined> {
    if (boundedBytes === undefined) return undefined;
    const inner = this.#layout.inner(id, attempt);
    await emptyInPlace(this.#layout.data(id));
    await mkdir(inner, { mode: 0o711 });
    return inner;
  }

  async #renameInner(id: VolumeId, former: number, attempt: number): Promise<void> {
    const inner = this.#layout.inner(id, former);
    if (existsSync(inner)) await rename(inner, this.#layout.inner(id, attempt));
    await syncDirectory(this.#layout.data(id));
  }

  received(): ReceivedAttempt[] {
    const open = [...this.#open.values()].flatMap((staging) => {
      const upload = staging.received();
      return upload === undefined ? [] : [{ volumeId: staging.volumeId, attempt: staging.attempt, ...upload }];
    });
    return [...this.#waiting.values(), ...open];
  }

  /** Ends every attempt of the volume below `fence`: open here, or left by a former service. */
  async endFormer(volumeId: VolumeId, fence: number, reason: Fault): Promise<void> {
    const names = (await readdir(this.#layout.staging)).map(parseStagingName);
    for (const name of names) {
      if (name?.volumeId === volumeId && name.attempt < fence) await this.#end(volumeId, name.attempt, reason);
    }
  }

  async remove(staging: Staging, reason: Fault): Promise<void> {
    await this.#end(staging.volumeId, staging.attempt, reason);
  }

  async #end(volumeId: VolumeId, attempt: number, reason: Fault): Promise<void> {
    const key = keyOf(volumeId, attempt);
    const open = this.#open.get(key);
    await open?.end(reason);
    // After its children have ended, which are noted there.
    await endChildren(this.#layout.attempt(volumeId, attempt));
    if (open?.inner !== undefined) await removeStaging(open.inner);
    await removeStaging(this.#layout.attempt(volumeId, attempt));
    this.#open.delete(key);
    this.#waiting.delete(key);
    if (this.#kept.get(volumeId) === attempt) this.#kept.delete(volumeId);
    this.#ledger.release(scratchKeyOf(key));
  }

  #hold(staging: Staging): Staging {
    this.#open.set(keyOf(staging.volumeId, staging.attempt), staging);
    return staging;
  }

  #keeper() {
    return {
      makeRoom: (bytes: number): Promise<void> => this.#images.makeRoom(bytes),
      promiseScratch: (staging: Staging, bytes: number): void => {
        this.#ledger.promise(scratchKeyOf(keyOf(staging.volumeId, staging.attempt)), bytes);
      },
      discard: async (staging: Staging): Promise<void> => {
        const key = keyOf(staging.volumeId, staging.attempt);
        // One that was ended was removed by who ended it; the directory may be its successor's by now.
        if (this.#open.get(key) !== staging) return;
        await this.#end(staging.volumeId, staging.attempt, new Fault('StaleAttempt', 'the staging was discarded'));
      },
      leave: async (staging: Staging): Promise<void> => {
        const key = keyOf(staging.volumeId, staging.attempt);
        if (this.#open.get(key) !== staging) return;
        if ((await readCheckpoint(staging.directory, dirname(staging.diskPath))) === undefined)
          return await staging.discard();
        await staging.end(new Fault('Interrupted', 'the staging was left to the next service'));
        await endChildren(staging.directory);
        this.#open.delete(key);
        this.#ledger.release(scratchKeyOf(key));
      },
    };
  }
}

function keyOf(volumeId: VolumeId, attempt: number): string {
  return `${volumeId}.${attempt}`;
}

function scratchKeyOf(key: string): string {
  return `scratch:${key}`;
}

async function clearForResume(directory: string): Promise<void> {
  await endChildren(directory);
  await rm(join(directory, 'disk.img'), { force: true });
}
