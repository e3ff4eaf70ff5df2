// What a pool tells of its room, measured now; the ledger goes by it from then on.
import type { KeptImages } from './kept-images.ts';
import type { OpenedPool } from './pool-opening.ts';
import { measureSpace, type PoolUsage } from './pool-space.ts';

export async function usageOf(
  opened: OpenedPool,
  enforcement: string,
  images: Pick<KeptImages, 'idleBytes'>,
): Promise<PoolUsage> {
  const { layout, ledger, overcommit, reflink, longestFileBytes } = opened;
  const space = await measureSpace([layout.volumes, layout.staging], layout.directory);
  const capacityBytes = space.freeBytes + space.usedBytes;
  ledger.limitBytes = Math.floor(capacityBytes * overcommit);
  return {
    ...{ ...space, capacityBytes, enforcement, reflink },
    reservedBytes: ledger.promisedBytes - images.idleBytes,
    leftBytes: ledger.leftBytes + images.idleBytes,
    largestVolumeBytes: Math.min(ledger.limitBytes, longestFileBytes),
  };
}
