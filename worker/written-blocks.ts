// The last thing that happens to a disk whose blocks are all to be written; the report tells then how many it has.
import { holdsFiles, type TransferReport } from '../domain/volume-record.ts';
import { writeEveryBlock } from '../volumes/preallocation.ts';
import type { Staging } from '../volumes/staging.ts';

/** @throws Fault NoSpace, or the reason of the abort; the staging is discarded then */
export async function withWrittenBlocks(
  report: TransferReport,
  { writtenBlocks }: { writtenBlocks?: true },
  staging: Staging,
  signal: AbortSignal,
): Promise<TransferReport> {
  if (writtenBlocks !== true || holdsFiles({ report })) return report;
  return { ...report, allocatedBytes: await writeEveryBlock(staging.diskPath, signal) };
}
