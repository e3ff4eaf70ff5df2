// Makes an empty volume on disk in one step: built privately, then renamed into volumes/. A crash leaves it there with its record, or not at all.
import { randomBytes } from 'node:crypto';
import { lstat, mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { defaultSectorBytes, type SectorBytes, wholeSectors } from '../domain/block-device.ts';
import { Fault } from '../domain/fault.ts';
import {
  canMove,
  type VolumeId,
  type VolumeOwner,
  type VolumeRecord,
  volumeRecordVersion,
} from '../domain/volume-record.ts';
import { syncDirectory } from '../runtime/durable-file.ts';
import type { Enforcement } from '../runtime/pool-settings.ts';
import { fileSystemBytesFor } from './bounded-size.ts';
import type { BoundedVolumes } from './bounded-volumes.ts';
import type { PoolLayout } from './pool-layout.ts';
import type { OpenedPool } from './pool-opening.ts';
import { unlessAbsent } from './pool-space.ts';
import { writeRecordIn } from './volume-records.ts';

export interface ReserveRequest {
  volumeId: VolumeId;
  owner: VolumeOwner;
  mode: VolumeRecord['mode'];
  /** Rounded up to whole sectors where the mode is Block. */
  sizeBytes: number;
  generation: number;
  /** Of a Block volume's device. */
  sectorBytes?: SectorBytes | undefined;
  /** Of a Filesystem volume that is to have a file system of its own. */
  boundedBytes?: number;
}

export function boundedRequest(request: ReserveRequest, enforcement: Enforcement): ReserveRequest {
  if (enforcement === 'none' || request.mode === 'Block') return request;
  return { ...request, boundedBytes: fileSystemBytesFor(request.sizeBytes) };
}

/** What the volume is to have, with the size that it can have. Pure. */
export function settledRequest(request: ReserveRequest): ReserveRequest {
  const { mode, sizeBytes, sectorBytes = defaultSectorBytes, ...others } = request;
  if (mode !== 'Block') return { ...others, mode, sizeBytes };
  return { ...others, mode, sectorBytes, sizeBytes: wholeSectors(sizeBytes, sectorBytes) };
}

/** @throws Fault InvalidRequest, VolumeTooLarge */
export function checkSize(
  { sizeBytes, volumeId }: Pick<ReserveRequest, 'sizeBytes' | 'volumeId'>,
  largestBytes: number,
): void {
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 1) {
    throw new Fault('InvalidRequest', `${volumeId}: not a size in bytes: ${sizeBytes}`);
  }
  if (sizeBytes <= largestBytes) return;
  throw new Fault('VolumeTooLarge', `${sizeBytes} bytes were asked; the largest volume has ${largestBytes}`, {
    facts: { askedBytes: sizeBytes, largestBytes },
  });
}

/** The volume that is there, if it is the one that is asked for. @throws Fault AlreadyExists */
export function sameVolume(there: VolumeRecord, request: ReserveRequest): VolumeRecord {
  const { owner, mode, sizeBytes, sectorBytes } = there;
  const isAlike = mode === request.mode && sizeBytes === request.sizeBytes && sectorBytes === request.sectorBytes;
  if (owner.uid === request.owner.uid && isAlike) return there;
  const sectors = sectorBytes === undefined ? '' : `, sectors of ${sectorBytes}`;
  throw new Fault('AlreadyExists', `${there.volumeId} is there with ${sizeBytes} bytes, mode ${mode}${sectors}`);
}

/**
 * A volume is filled once, and not where anybody was before: what lies in an empty or plain one is its user's, also where it was not told to be plain yet,
 * and who has it for writing may put something there at any time.
 * @throws Fault VolumeInUse
 */
export async function assertFillable(record: VolumeRecord, layout: PoolLayout): Promise<void> {
  const { volumeId, state, usedSince, mode } = record;
  const inUse = (why: string) => new Fault('VolumeInUse', `${volumeId} ${why}`);
  if (!canMove(state, 'populating')) throw inUse(`is ${state} and is not filled again`);
  if (state === 'populating') return;
  if (usedSince !== undefined) throw inUse('was handed out to be written');
  const isEmpty =
    mode === 'Block'
      ? await hasNoData(layout.disk(volumeId, mode))
      : (await readdir(layout.data(volumeId))).length === 0;
  if (!isEmpty) throw inUse(mode === 'Block' ? 'holds data of a user' : 'holds files of a user');
}

/** Nothing was ever written to the file, where there is one. */
async function hasNoData(path: string): Promise<boolean> {
  const disk = await unlessAbsent(lstat(path));
  return disk === undefined || disk.blocks === 0;
}

/** Leaves nothing when it fails. */
export async function makeVolume(
  request: ReserveRequest,
  { layout, ownership, bounded }: Pick<OpenedPool, 'layout' | 'ownership' | 'bounded'>,
): Promise<VolumeRecord> {
  const { volumeId, owner, mode, sizeBytes, generation, sectorBytes, boundedBytes } = request;
  const record: VolumeRecord = {
    ...{ schemaVersion: volumeRecordVersion, volumeId, owner, mode, sizeBytes, generation },
    ...(sectorBytes === undefined ? {} : { sectorBytes }),
    ...(boundedBytes === undefined ? {} : { boundedBytes }),
    state: 'empty',
    fence: 0,
    createdAt: new Date().toISOString(),
  };
  const building = layout.temporary(randomBytes(8).toString('hex'));
  try {
    // Not recursive: where the pool is not mounted nothing is made.
    await mkdir(building, { mode: 0o755 });
    if (mode === 'Filesystem') {
      await mkdir(join(building, 'data'), { mode: 0o755 });
      await ownership.giveDirectory(join(building, 'data'));
    }
    if (boundedBytes !== undefined) await bounded.format(join(building, 'fs.img'), boundedBytes);
    await writeRecordIn(building, record);
    await rename(building, layout.volume(volumeId));
  } catch (error) {
    await rm(building, { recursive: true, force: true });
    throw error;
  }
  await syncDirectory(layout.volumes);
  if (boundedBytes !== undefined) await mountNew(record, layout, bounded);
  return record;
}

/** A volume without its file system would be filled in the one of the pool. */
async function mountNew(record: VolumeRecord, layout: PoolLayout, bounded: BoundedVolumes): Promise<void> {
  try {
    await bounded.mountNew(record);
  } catch (error) {
    await bounded.unmount(record.volumeId);
    await rm(layout.volume(record.volumeId), { recursive: true, force: true });
    throw error;
  }
}
