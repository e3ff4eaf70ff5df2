// Which volumes wait for an upload. A slot is opened by the controller for one attempt and taken by one request at a time; a request that fails gives it
// back, so that the next one finds it open at once. Kept in memory: after a restart the controller opens it again.
import { Fault } from '../domain/fault.ts';
import type { VolumeId } from '../domain/volume-record.ts';

export interface UploadSlot {
  volumeId: VolumeId;
  attempt: number;
  sizeBytes: number;
  preallocation: boolean;
  writtenBlocks?: true;
  checksum?: string | undefined;
  /** Files of a tar in place of a disk. */
  contentType?: 'archive' | undefined;
}

interface Place {
  slot: UploadSlot;
  state: 'waiting' | 'busy' | 'finished';
}

export class UploadSlots {
  readonly #places = new Map<VolumeId, Place>();

  /** Opening the slot of an attempt again changes nothing. @throws Fault StaleAttempt */
  open(slot: UploadSlot): void {
    const there = this.#places.get(slot.volumeId);
    if (there !== undefined && there.slot.attempt > slot.attempt) {
      throw new Fault('StaleAttempt', `attempt ${there.slot.attempt} waits for the upload of ${slot.volumeId}`);
    }
    if (there?.slot.attempt === slot.attempt) return;
    this.#places.set(slot.volumeId, { slot, state: 'waiting' });
  }

  /** @throws Fault NotAnUploadTarget, MalformedRequest where the slot is for another content type, UploadBusy, UploadFinished */
  take(volumeId: VolumeId, contentType?: 'archive'): UploadSlot {
    const place = this.#places.get(volumeId);
    if (place === undefined) throw new Fault('NotAnUploadTarget', `${volumeId} waits for no upload`);
    const wanted = place.slot.contentType;
    if (wanted !== contentType) {
      throw new Fault(
        'MalformedRequest',
        `${volumeId} waits for ${wanted === 'archive' ? 'an archive' : 'a disk image'}`,
      );
    }
    if (place.state === 'busy') throw new Fault('UploadBusy', `an upload into ${volumeId} is running`);
    if (place.state === 'finished') throw new Fault('UploadFinished', `${volumeId} has its upload`);
    place.state = 'busy';
    return place.slot;
  }

  /** After a failed request the slot waits again; after a good one it is finished. */
  giveBack(slot: UploadSlot, state: 'waiting' | 'finished'): void {
    const place = this.#places.get(slot.volumeId);
    if (place?.slot === slot) place.state = state;
  }

  /** @returns false where no slot of that attempt was open */
  close(key: { volumeId: VolumeId; attempt?: number }): boolean {
    const place = this.#places.get(key.volumeId);
    if (place === undefined || (key.attempt !== undefined && place.slot.attempt !== key.attempt)) return false;
    this.#places.delete(key.volumeId);
    return place.state !== 'finished';
  }

  /** Slots that wait for their bytes now. */
  waiting(): UploadSlot[] {
    return [...this.#places.values()].filter((place) => place.state === 'waiting').map((place) => place.slot);
  }
}
