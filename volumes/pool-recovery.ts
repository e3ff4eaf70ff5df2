// What Pool.open does with the leftovers of a service that was killed: ends its children, removes the staging of attempts that cannot go on,
// takes back a disk or files that were renamed but never recorded, removes images that were shared. Only what the layout says is ours is touched; foreign names
// stay and are findings.
import { lstat, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { VolumeId, VolumeRecord } from '../domain/volume-record.ts';
import { isLeftoverName, syncDirectory } from '../runtime/durable-file.ts';
import { emptyInPlace } from './bounded-volumes.ts';
import { leaveOnlyKept, readCheckpoint } from './checkpoint.ts';
import { emptyData } from './empty-data.ts';
import type { FileOwnership } from './file-ownership.ts';
import {
  innerName,
  isImageName,
  isTemporaryName,
  type PoolLayout,
  parseStagingName,
  type StagingName,
} from './pool-layout.ts';
import { endChildren, type ReceivedUpload, readReceived, removeStaging } from './staging.ts';

export interface ReceivedAttempt extends ReceivedUpload {
  volumeId: VolumeId;
  attempt: number;
}

export interface Recovery {
  /** Uploads that were durable and whose attempt still holds the volume. */
  received: ReceivedAttempt[];
  /** Attempts that still hold their volume and have marked how far they had come. */
  kept: StagingName[];
  /** Names in staging/ and images/ that were removed. */
  removed: string[];
  /** Volumes that were being made or deleted: to be removed while the pool serves already, since a pod may have filled one with files. */
  doomed: string[];
}

/** @param unread volumes whose record cannot be read: their staging is left alone */
export async function recoverPool(
  layout: PoolLayout,
  records: ReadonlyMap<VolumeId, VolumeRecord>,
  unread: ReadonlySet<VolumeId>,
  ownership: FileOwnership,
): Promise<Recovery> {
  const recovery: Recovery = { received: [], kept: [], removed: [], doomed: [] };
  for (const name of await readdir(layout.staging)) await recoverStaging(layout, name, records, unread, recovery);
  for (const record of records.values()) await recoverVolume(layout, record, ownership, recovery);
  await removeImages(layout, recovery);
  await syncDirectory(layout.staging);
  return recovery;
}

async function recoverStaging(
  layout: PoolLayout,
  name: string,
  records: ReadonlyMap<VolumeId, VolumeRecord>,
  unread: ReadonlySet<VolumeId>,
  recovery: Recovery,
): Promise<void> {
  const directory = join(layout.staging, name);
  const owner = parseStagingName(name);
  if (owner === undefined) {
    if (isTemporaryName(name)) recovery.doomed.push(directory);
    return;
  }
  if (unread.has(owner.volumeId)) return;
  const record = records.get(owner.volumeId);
  const holds = record?.state === 'populating' && record.fence === owner.attempt;
  // A link is removed as such: what it leads to is not ours.
  const isOwned = holds && (await lstat(directory)).isDirectory();
  const upload = isOwned ? await readReceived(directory) : undefined;
  if (upload !== undefined) {
    await endChildren(directory);
    await rm(join(directory, 'disk.img'), { force: true });
    recovery.received.push({ ...owner, ...upload });
    return;
  }
  const isBounded = record?.boundedBytes !== undefined;
  const disks = isBounded ? layout.inner(owner.volumeId, owner.attempt) : directory;
  const checkpoint = isOwned ? await readCheckpoint(directory, disks) : undefined;
  if (checkpoint !== undefined) {
    await endChildren(directory);
    await leaveOnlyKept(directory, checkpoint);
    recovery.kept.push(owner);
    return;
  }
  await removeStaging(directory);
  recovery.removed.push(name);
}

/** Nobody waits for them any more. */
async function removeImages({ images }: PoolLayout, recovery: Recovery): Promise<void> {
  const names = await readdir(images).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []; // made with the first image
    throw error;
  });
  for (const name of names.filter(isImageName)) {
    await rm(join(images, name), { force: true });
    recovery.removed.push(name);
  }
}

/** A commit leaves nothing of its staging there, so once the record says more everything is a user's, whatever it is called. */
async function recoverBounded(data: string, { state, volumeId }: VolumeRecord, { kept }: Recovery): Promise<void> {
  if (state !== 'populating') return;
  const here = kept.filter((one) => one.volumeId === volumeId);
  await emptyInPlace(data, new Set(here.map(({ attempt }) => innerName(attempt))));
}

async function recoverVolume(
  layout: PoolLayout,
  record: VolumeRecord,
  ownership: FileOwnership,
  recovery: Recovery,
): Promise<void> {
  const directory = layout.volume(record.volumeId);
  for (const name of await readdir(directory)) {
    if (isLeftoverName(name)) await rm(join(directory, name), { force: true });
  }
  if (record.boundedBytes !== undefined) return recoverBounded(layout.data(record.volumeId), record, recovery);
  const isHalfPlain = record.mode === 'Block' && record.state === 'empty';
  if (record.state !== 'populating' && !isHalfPlain) return;
  // Renamed, but the record never said complete: the commit did not happen. Or made for a user whom the record does not know yet.
  await rm(layout.disk(record.volumeId, record.mode), { force: true });
  if (record.mode === 'Block') return syncDirectory(directory);
  const files = await emptyData(layout, ownership, record.volumeId);
  if (files !== undefined) recovery.doomed.push(files);
  await syncDirectory(layout.data(record.volumeId));
}
