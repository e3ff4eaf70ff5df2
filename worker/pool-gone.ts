// Why an attempt failed, where the disk of its pool went away under it: that shows as any failure of files and of the programs that write them.

import { type Fault, toFault } from '../domain/fault.ts';
import { exitCodes } from '../domain/fault-catalogue.ts';
import type { Pool } from '../volumes/pool.ts';

const mayComeOfIt: ReadonlySet<number> = new Set(
  (['internal', 'image', 'space', 'machine'] as const).map((group) => exitCodes[group].code),
);

/** @returns PoolMissing where the pool is not there any more; faults of sources and ends that somebody chose stay what they are */
export async function explainByPool(fault: Fault, pool: Pool): Promise<Fault> {
  if (!mayComeOfIt.has(fault.row.exit)) return fault;
  try {
    await pool.assertThere();
    return fault;
  } catch (error) {
    return toFault(error);
  }
}
