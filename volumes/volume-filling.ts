// How a volume is filled: an attempt takes it over, and what that has staged becomes the volume's in one step. The pool lets one change of a volume run at a time.
import { Fault } from '../domain/fault.ts';
import type { TransferReport, VolumeId, VolumeRecord } from '../domain/volume-record.ts';
import { commitStaging, undoneOnFailure } from './commit.ts';
import type { KeptRecords } from './kept-records.ts';
import { assertFillable } from './new-volume.ts';
import type { OpenedPool } from './pool-opening.ts';
import type { Staging } from './staging.ts';
import type { StagingArea } from './staging-area.ts';

export interface FillingPlace {
  opened: OpenedPool;
  records: KeptRecords;
  area: StagingArea;
}

/** See Pool.claimFence. */
export async function takeOver(
  id: VolumeId,
  { attempt, generation }: { attempt: number; generation: number },
  { opened, records, area }: FillingPlace,
): Promise<VolumeRecord> {
  const record = records.need(id);
  if (record.state === 'complete' && record.generation === generation) return record;
  await assertFillable(record, opened.layout);
  if (attempt < record.fence) {
    throw new Fault('StaleAttempt', `attempt ${attempt} of ${id} comes after attempt ${record.fence}`);
  }
  const held = record.fence === attempt && record.state === 'populating';
  if (record.mode === 'Block' && record.state === 'plain') await opened.blocks.takeBack(record);
  // First the fence, durably: should the rest fail, the former attempt cannot commit any more, and the next claim ends it.
  const next = held ? record : await records.write({ ...record, state: 'populating', fence: attempt, generation });
  // What a former service has marked is of this very content only where the generation is the same.
  if (record.generation === generation) await area.handOn(record, attempt);
  await area.endFormer(id, attempt, new Fault('StaleAttempt', `attempt ${attempt} took over ${id}`));
  return next;
}

/** See Pool.commit. */
export async function commitVolume(
  staging: Staging,
  report: TransferReport,
  { opened, records, area }: FillingPlace,
): Promise<VolumeRecord> {
  const { volumeId: id, attempt } = staging;
  staging.assertHeld();
  const record = records.needOwned(id, attempt);
  const complete = await undoneOnFailure(record, opened, async () => {
    await commitStaging(staging, record, opened, report);
    return await records.write({ ...record, state: 'complete', committedAt: new Date().toISOString(), report });
  });
  await opened.at('recorded');
  await area.remove(staging, new Fault('StaleAttempt', `${id} is complete`));
  return complete;
}
