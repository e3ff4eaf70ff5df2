// Rounds in which floor and ours take turns; what counts is the median of each.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { cpuSecondsOf, endedChildrenCpuSeconds } from './service-processes.ts';
import type { CasePlace, TransferCase } from './transfer-cases.ts';

export interface TimedCase {
  one: TransferCase;
  seconds: number;
  floorSeconds: number;
  /** User and system, of the programs of the floor, or of the service and the client; not of the servers that are asked. */
  cpuSeconds: number;
  floorCpuSeconds: number;
}

export interface Rounds {
  rounds: number;
  servicePid: number;
  signal: AbortSignal;
}

interface Pass {
  seconds: number;
  cpuSeconds: number;
}

export async function timeRounds(
  cases: readonly TransferCase[],
  place: CasePlace,
  { rounds, servicePid, signal }: Rounds,
): Promise<TimedCase[]> {
  const timed = cases.map((one): { one: TransferCase; floors: Pass[]; times: Pass[] } => {
    return { one, floors: [], times: [] };
  });
  for (let round = 1; round <= rounds; round += 1) {
    for (const { one, floors, times } of timed) {
      signal.throwIfAborted();
      const floor = await measured(servicePid, () => one.floorSeconds(place));
      const ours = await measured(servicePid, () => one.ourSeconds(place));
      floors.push(floor);
      times.push(ours);
      process.stderr.write(`round ${round}, ${one.name}: floor ${textOf(floor)}, ours ${textOf(ours)}\n`);
    }
  }
  return timed.map(({ one, floors, times }) => ({
    one,
    seconds: median(times.map(({ seconds }) => seconds)),
    floorSeconds: median(floors.map(({ seconds }) => seconds)),
    cpuSeconds: median(times.map(({ cpuSeconds }) => cpuSeconds)),
    floorCpuSeconds: median(floors.map(({ cpuSeconds }) => cpuSeconds)),
  }));
}

async function measured(servicePid: number, work: () => Promise<number>): Promise<Pass> {
  await flush();
  const used = async () => (await cpuSecondsOf(servicePid)) + (await endedChildrenCpuSeconds());
  const before = await used();
  const seconds = await work();
  return { seconds, cpuSeconds: (await used()) - before };
}

function textOf({ seconds, cpuSeconds }: Pass): string {
  return `${seconds.toFixed(2)} s (CPU ${cpuSeconds.toFixed(2)} s)`;
}

/** Nobody pays for what another one left in the page cache. */
async function flush(): Promise<void> {
  await promisify(execFile)('sync');
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((one, other) => one - other);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
}
