// Whether a volume is as it should be, in the words that an event on its claim shows.
import { lstat, statfs } from 'node:fs/promises';
import { toFault } from '../domain/fault.ts';
import { isHandedOut } from '../domain/volume-record.ts';
import type { HeldVolume } from '../volumes/pools.ts';

export interface VolumeCondition {
  abnormal: boolean;
  message: string;
}

/** Looks at the disk; never throws. */
export async function conditionOf({ pool, record }: HeldVolume): Promise<VolumeCondition> {
  try {
    await pool.assertThere();
    const trouble = (await troubleOfFiles({ pool, record })) ?? (await troubleOfRoom(pool.directory));
    return { abnormal: trouble !== undefined, message: trouble ?? `the volume is there and ${record.state}` };
  } catch (error) {
    return { abnormal: true, message: toFault(error).detail };
  }
}

async function troubleOfFiles({ pool, record }: HeldVolume): Promise<string | undefined> {
  if (record.mode === 'Block') {
    const isMissing = isHandedOut(record.state) && !(await isThere(pool.diskPath(record.volumeId)));
    return isMissing ? 'the file of the block device is missing' : undefined;
  }
  if (!(await isThere(pool.dataPath(record.volumeId)))) return 'the directory of the volume is missing';
  // Once a pod could write, its files are the pod's own affair.
  if (record.state !== 'complete' || record.usedSince !== undefined) return undefined;
  return (await isThere(pool.contentPath(record.volumeId))) ? undefined : 'the disk image of the volume is missing';
}

async function troubleOfRoom(directory: string): Promise<string | undefined> {
  const { bavail, files, ffree } = await statfs(directory);
  if (bavail === 0) return 'the disk of the pool is full';
  // Some file systems have no fixed number of files, and say 0 of 0.
  return files > 0 && ffree === 0 ? 'the file system of the pool can hold no more files' : undefined;
}

async function isThere(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
    throw error;
  }
}
