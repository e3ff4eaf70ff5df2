// Takes a volume out of its pool, whatever its state: its device first, then its directory in one durable rename, then its files.
import { randomBytes } from 'node:crypto';
import { rename } from 'node:fs/promises';
import { isHandedOut, promisedBytes, type VolumeRecord } from '../domain/volume-record.ts';
import { syncDirectory } from '../runtime/durable-file.ts';
import type { KeptRecords } from './kept-records.ts';
import type { OpenedPool } from './pool-opening.ts';
import { removeTree } from './remove-tree.ts';

export type RemovalStep = 'detached' | 'moved';

/**
 * A crash leaves the volume as it was, and attached again by the next open, or removed; what is left of its files then goes with the next open.
 * @throws Fault NoLoopDevice, then it is there as it was; or why files of it cannot be removed: it is gone nevertheless
 */
export async function removeVolume(
  record: VolumeRecord,
  {
    layout,
    ledger,
    blocks,
    bounded,
    closing,
    at,
  }: Pick<OpenedPool, 'layout' | 'ledger' | 'blocks' | 'bounded' | 'closing' | 'at'>,
  records: KeptRecords,
): Promise<void> {
  const { volumeId, mode, state, boundedBytes } = record;
  const doomed = layout.temporary(randomBytes(8).toString('hex'));
  const open =
    boundedBytes !== undefined
      ? await bounded.unmount(volumeId)
      : mode === 'Block'
        ? await blocks.detach(volumeId)
        : undefined;
  try {
    await at('detached');
    await rename(layout.volume(volumeId), doomed);
  } catch (error) {
    if (mode === 'Block' && isHandedOut(state)) await blocks.attach(record);
    if (boundedBytes !== undefined) await bounded.mount(record);
    throw error;
  }
  records.forget(volumeId);
  // Its room is free when its files are, and nobody has its device open. Where files stay, no volume is there that could hold the promise.
  try {
    await syncDirectory(layout.volumes);
    records.tellGone(volumeId);
    await at('moved');
    await removeTree(doomed);
  } finally {
    if (open !== undefined) closing.add(open, promisedBytes(record));
    ledger.release(volumeId);
  }
}
