// The last step before commit: the disk gets exactly the size of the volume, and its content its digest.
import { stat, truncate, writeFile } from 'node:fs/promises';
import { toFault } from '../domain/fault.ts';
import { BlockHasher } from '../volumes/block-hasher.ts';
import type { FollowingDigest } from '../volumes/following-digest.ts';
import { allocate } from '../volumes/preallocation.ts';
import { imageTooLarge } from './image/too-large.ts';

export interface DiskTarget {
  path: string;
  sizeBytes: number;
  preallocation: boolean;
}

export interface SettledDisk {
  contentDigest: string;
  /** Where the content of the image ended; zeros follow. */
  contentBytes: number;
  allocatedBytes: number;
}

/** Grows what qemu-img wrote; never shrinks it. The digest reads only what has data. @throws Fault ImageTooLarge, NoSpace */
export async function settleConvertedDisk(
  disk: DiskTarget,
  digest: FollowingDigest,
  signal: AbortSignal,
): Promise<SettledDisk> {
  const { size } = await stat(disk.path);
  if (size > disk.sizeBytes) throw imageTooLarge(size, disk.sizeBytes);
  await grow(disk);
  const { contentDigest } = await digest.finish();
  if (disk.preallocation) await allocate(disk.path, disk.sizeBytes, signal);
  return { contentDigest, contentBytes: size, allocatedBytes: await allocatedBytesOf(disk.path) };
}

/** An empty disk: a hole of that size, whose digest is known without reading. */
export async function makeBlankDisk(disk: DiskTarget, signal: AbortSignal): Promise<SettledDisk> {
  await writeFile(disk.path, '', { flag: 'wx', mode: 0o660 });
  await grow(disk);
  if (disk.preallocation) await allocate(disk.path, disk.sizeBytes, signal);
  const contentDigest = await new BlockHasher().finish(disk.sizeBytes);
  return { contentDigest, contentBytes: 0, allocatedBytes: await allocatedBytesOf(disk.path) };
}

async function grow({ path, sizeBytes }: DiskTarget): Promise<void> {
  try {
    await truncate(path, sizeBytes);
  } catch (error) {
    throw toFault(error);
  }
}

async function allocatedBytesOf(path: string): Promise<number> {
  const { blocks } = await stat(path);
  return blocks * 512;
}
