// The device of a Block volume that nobody fills: made before the record says that the volume is plain, and gone again where it cannot say so.
import type { VolumeRecord } from '../domain/volume-record.ts';
import type { OpenedPool } from './pool-opening.ts';

export type PlainStep = 'devised';

/** @throws Fault NeedsRoot, NoLoopDevice, NoSpace; neither file nor device is left then, nor after the next open where it crashed */
export async function makePlainDevice(
  record: VolumeRecord,
  { blocks, at }: Pick<OpenedPool, 'blocks' | 'at'>,
  write: () => Promise<VolumeRecord>,
): Promise<VolumeRecord> {
  await blocks.make(record);
  try {
    await at('devised');
    return await write();
  } catch (error) {
    await blocks.unmake(record);
    throw error;
  }
}
