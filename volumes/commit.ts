// The middle of a commit: from a staged disk.img, or a directory of files, to one in its place, every step durable before the next. The pool has checked the fence before and
// writes the record after, which is the commit point; a crash anywhere before it leaves a populating volume, which the next open empties.

import { randomBytes } from 'node:crypto';
import type { Stats } from 'node:fs';
import { lstat, open, readdir, rename, rm, rmdir, truncate } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Fault } from '../domain/fault.ts';
import { holdsFiles, type TransferReport, type VolumeRecord } from '../domain/volume-record.ts';
import { syncDirectory } from '../runtime/durable-file.ts';
import type { BlockVolumes } from './block-volumes.ts';
import { emptyInPlace } from './bounded-volumes.ts';
import { emptyData } from './empty-data.ts';
import type { FileOwnership } from './file-ownership.ts';
import type { PoolLayout } from './pool-layout.ts';
import { removeTree } from './remove-tree.ts';
import type { Staging } from './staging.ts';
import { syncFileSystem } from './sync-file-system.ts';
import { readRecord } from './volume-records.ts';

/** Where a test may stop a commit; `attached` is of Block volumes only. */
export type CommitStep = 'checked' | 'owned' | 'synced' | 'renamed' | 'attached' | 'recorded';

export interface CommitPlace {
  layout: PoolLayout;
  ownership: FileOwnership;
  blocks: BlockVolumes;
  at(step: CommitStep): Promise<void>;
}

/** @throws Fault ImageTooLarge, NoLoopDevice, Internal where there is nothing to commit */
export async function commitStaging(
  staging: Staging,
  record: VolumeRecord,
  place: CommitPlace,
  report: TransferReport,
): Promise<void> {
  return holdsFiles({ report }) ? commitFiles(staging, record, place) : commitDisk(staging, record, place);
}

async function commitDisk(staging: Staging, record: VolumeRecord, place: CommitPlace): Promise<void> {
  const target = place.layout.disk(record.volumeId, record.mode);
  const diskBytes = await checkDisk(staging, record);
  // A device is as long as its file, and zeros follow the image.
  if (record.mode === 'Block' && diskBytes < record.sizeBytes) await truncate(staging.diskPath, record.sizeBytes);
  await place.at('checked');
  await place.ownership.giveFile(staging.diskPath);
  await place.at('owned');
  await syncFile(staging.diskPath);
  await place.at('synced');
  await rename(staging.diskPath, target);
  await staging.giveUpInner();
  await syncDirectory(dirname(target));
  await place.at('renamed');
  if (record.mode !== 'Block') return;
  await place.blocks.attach(record);
  await place.at('attached');
}

/** The directory of the volume is empty, and gives way to another one in one step. */
async function commitFiles(staging: Staging, record: VolumeRecord, place: CommitPlace): Promise<void> {
  const target = place.layout.data(record.volumeId);
  const staged = await lstatStaged(staging, staging.dataPath);
  if (!staged.isDirectory()) throw new Fault('Internal', `the files of ${record.volumeId} lie in no directory`);
  await place.at('checked');
  await place.ownership.giveTree(staging.dataPath);
  await place.at('owned');
  await syncFileSystem(staging.dataPath);
  await place.at('synced');
  if (staging.inner === undefined) await rename(staging.dataPath, target);
  else await moveEntries(staging, target);
  await syncDirectory(dirname(target));
  await place.at('renamed');
}

/** What is mounted gives no way. Until the record says that all is there, the next open takes it back. */
async function moveEntries(staging: Staging, target: string): Promise<void> {
  // An archive may hold what is called like the staging, but not what is called like this.
  const from = join(target, `.committing-${randomBytes(16).toString('hex')}`);
  await rename(staging.dataPath, from);
  await staging.giveUpInner();
  for (const name of await readdir(from, { encoding: 'buffer' })) {
    const below = Buffer.concat([Buffer.from('/'), name]);
    await rename(Buffer.concat([Buffer.from(from), below]), Buffer.concat([Buffer.from(target), below]));
  }
  await rmdir(from);
  await syncDirectory(target);
}

/**
 * A disk that is in its place and could not be recorded would take the room that the next attempt needs: it is removed. Only where the
 * record on disk still says that the volume is populating; where it could not be read, or says complete, the next open decides.
 */
export async function undoneOnFailure<T>(
  record: VolumeRecord,
  place: CommitPlace,
  commit: () => Promise<T>,
): Promise<T> {
  try {
    return await commit();
  } catch (error) {
    const reading = await readRecord(place.layout, record.volumeId);
    if (reading.kind === 'record' && reading.record.state === 'populating') {
      await takeBack(record, place);
    }
    throw error;
  }
}

async function takeBack(record: VolumeRecord, { layout, ownership, blocks }: CommitPlace): Promise<void> {
  if (record.mode === 'Block') return blocks.unmake(record);
  if (record.boundedBytes !== undefined) return emptyInPlace(layout.data(record.volumeId));
  await rm(layout.disk(record.volumeId, record.mode), { force: true });
  const files = await emptyData(layout, ownership, record.volumeId);
  if (files !== undefined) await removeTree(files);
}

async function lstatStaged(staging: Staging, path: string): Promise<Stats> {
  return lstat(path).catch((cause: unknown) => {
    throw new Fault('Internal', `attempt ${staging.attempt} of ${staging.volumeId} left nothing to commit`, { cause });
  });
}

/** @returns its length */
async function checkDisk(staging: Staging, record: VolumeRecord): Promise<number> {
  const disk = await lstatStaged(staging, staging.diskPath);
  if (!disk.isFile()) throw new Fault('Internal', `the disk of ${record.volumeId} is not a regular file`);
  if (disk.size <= record.sizeBytes) return disk.size;
  throw new Fault('ImageTooLarge', `the disk has ${disk.size} bytes and the volume ${record.sizeBytes}`, {
    facts: { imageBytes: disk.size, volumeBytes: record.sizeBytes },
  });
}

async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r+');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
