// Rounds in which floor and ours take turns; what counts is the median of each.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { TransferCase } from './transfer-cases.ts';

export interface TimedCase {
  one: TransferCase;
  seconds: number;
  floorSeconds: number;
}

export async function timeRounds(
  cases: readonly TransferCase[],
  rounds: number,
  signal: AbortSignal,
): Promise<TimedCase[]> {
  const timed = cases.map((one): { one: TransferCase; floors: number[]; times: number[] } => {
    return { one, floors: [], times: [] };
  });
  for (let round = 1; round <= rounds; round += 1) {
    for (const { one, floors, times } of timed) {
      signal.throwIfAborted();
      await flush();
      const floorSeconds = await one.floorSeconds();
      await flush();
      const seconds = await one.ourSeconds();
      floors.push(floorSeconds);
      times.push(seconds);
      process.stderr.write(
        `round ${round}, ${one.name}: floor ${floorSeconds.toFixed(2)} s, ours ${seconds.toFixed(2)} s\n`,
      );
    }
  }
  return timed.map(({ one, floors, times }) => ({ one, seconds: median(times), floorSeconds: median(floors) }));
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
