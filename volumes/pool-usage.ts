// What a pool tells of its room, measured now; the ledger goes by it from then on.
import { sizeThatFits } from './bounded-size.ts';
import type { KeptImages } from './kept-images.ts';
import type { OpenedPool } from './pool-opening.ts';
import { capacityOf, measureSpace, type PoolUsage } from './pool-space.ts';

export async function usageOf(
  opened: OpenedPool,
  { enforcement, reflink, images }: { enforcement: string; reflink: boolean; images: Pick<KeptImages, 'idleBytes'> },
): Promise<PoolUsage> {
  const { layout, ledger, closing, overcommit } = opened;
  await closing.look();
  const measured = await measureSpace([layout.volumes, layout.staging], layout.directory);
  const { totalBytes: _, ...space } = measured;
  const capacityBytes = capacityOf(measured);
  ledger.limitBytes = Math.floor(capacityBytes * overcommit);
  ledger.usedBytes = space.usedBytes;
  return {
    ...{ ...space, capacityBytes, enforcement, reflink },
    reservedBytes: ledger.promisedBytes - images.idleBytes,
    leftBytes: ledger.leftBytes + images.idleBytes,
    largestVolumeBytes: largestVolume(opened),
  };
}

/** Of any mode: a file system takes room beside the size. */
export function largestVolume({
  ledger,
  longestFileBytes,
  enforcement,
}: Pick<OpenedPool, 'ledger' | 'longestFileBytes' | 'enforcement'>): number {
  const largestFileBytes = Math.min(ledger.limitBytes, longestFileBytes);
  return enforcement === 'loop' ? sizeThatFits(largestFileBytes) : largestFileBytes;
}
