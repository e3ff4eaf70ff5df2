// What the worker tells the controller of its pools: their room, their volumes, and what lies in them without an owner.
import { type FaultRecord, faultRecord, toFault } from '../domain/fault.ts';
import type { VolumeRecord } from '../domain/volume-record.ts';
import type { PoolState } from '../jobs/channel-protocol.ts';
import type { Pool } from '../volumes/pool.ts';
import type { Finding } from '../volumes/pool-findings.ts';
import type { HeldVolume, Pools } from '../volumes/pools.ts';

export function told({ pool, record }: HeldVolume): VolumeRecord & { pool: string } {
  return { ...record, pool: pool.name };
}

export function unreadableOf(pool: Pool): { volumeId: string; fault: FaultRecord }[] {
  return [...pool.unreadable].map(([volumeId, fault]) => ({ volumeId, fault: faultRecord(fault) }));
}

/** Measures each pool that is there. What is amiss with one is told and fails nothing. */
export async function tellPools(pools: Pools): Promise<PoolState[]> {
  return await Promise.all(
    pools.places.map(async ({ name, directory, pool, fault }) => {
      const told = { name, directory, ...(fault === undefined ? {} : { fault: faultRecord(fault) }) };
      // Another file system may stand in its place: its room says nothing of the pool.
      if (pool === undefined || (fault !== undefined && fault !== pool.readOnly)) return told;
      try {
        return { ...told, usage: await pool.usage() };
      } catch (error) {
        return { ...told, fault: faultRecord(fault ?? toFault(error)) };
      }
    }),
  );
}

/** What lies in the pools without a record that owns it. */
export async function examine(
  pools: Pools,
): Promise<{ findings: (Finding & { pool: string })[]; faults: { pool: string; fault: FaultRecord }[] }> {
  await pools.look(); // another directory may stand in the place of one, which is not ours to judge
  const findings: (Finding & { pool: string })[] = [];
  const faults: { pool: string; fault: FaultRecord }[] = [];
  for (const { name, pool, fault } of pools.places) {
    const isThere = pool !== undefined && (fault === undefined || fault === pool.readOnly);
    if (fault !== undefined && !isThere) faults.push({ pool: name, fault: faultRecord(fault) });
    if (isThere) findings.push(...(await pool.findings()).map((finding) => ({ pool: name, ...finding })));
  }
  return { findings, faults };
}
