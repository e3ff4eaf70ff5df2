// Takes back what an attempt put into the `data` of a volume that is still populating: its commit did not happen. Nobody else may have put anything there.
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rename } from 'node:fs/promises';
import type { VolumeId } from '../domain/volume-record.ts';
import { syncDirectory } from '../runtime/durable-file.ts';
import type { FileOwnership } from './file-ownership.ts';
import type { PoolLayout } from './pool-layout.ts';

/**
 * The directory is there and empty afterwards, durably; a crash in between leaves it missing, and the next call makes it.
 * @returns where all of it lies now, among what the next open removes; undefined where there was nothing
 */
export async function emptyData(
  layout: PoolLayout,
  ownership: FileOwnership,
  volumeId: VolumeId,
): Promise<string | undefined> {
  const data = layout.data(volumeId);
  const names = await namesIn(data);
  if (names?.length === 0) return undefined;
  const doomed = names === undefined ? undefined : layout.temporary(randomBytes(8).toString('hex'));
  if (doomed !== undefined) await rename(data, doomed);
  await mkdir(data, { mode: 0o755 });
  await ownership.giveDirectory(data);
  await syncDirectory(layout.volume(volumeId));
  return doomed;
}

/** @returns undefined where there is no directory */
async function namesIn(directory: string): Promise<string[] | undefined> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}
