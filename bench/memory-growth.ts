// The peak memory of the service, of each transfer with the image and with one several times as large: it is not to grow with it.
// Not timed, because looking costs CPU time.
import { type PeakMemory, peakMemory } from './service-processes.ts';
import type { CasePlace, TransferCase } from './transfer-cases.ts';

/** The highest of several: one short pass may have been looked at only between its peaks. */
const passesOfSmall = 2;

export interface MemoryGrowth {
  case: string;
  peakMemoryMiB: number;
  /** Of this the worker and what it runs. */
  workerPeakMiB: number;
  /** These three only where the larger image was brought, too. */
  largerPeakMemoryMiB?: number;
  largerWorkerPeakMiB?: number;
  growthPercent?: number;
}

export interface Measured {
  servicePid: number;
  workerPid: number;
  signal: AbortSignal;
}

/** @param larger undefined: only with the smaller image, as a case that makes many volumes always */
export async function measureMemory(
  cases: readonly TransferCase[],
  place: CasePlace,
  larger: CasePlace | undefined,
  { servicePid, workerPid, signal }: Measured,
): Promise<MemoryGrowth[]> {
  const found: MemoryGrowth[] = [];
  for (const one of cases) {
    signal.throwIfAborted();
    const small = await peakMemory(servicePid, workerPid, async () => {
      for (let pass = 0; pass < passesOfSmall; pass += 1) await one.ourSeconds(place);
    });
    const again = larger === undefined || one.isWide === true ? undefined : larger;
    const large =
      again === undefined ? undefined : await peakMemory(servicePid, workerPid, async () => one.ourSeconds(again));
    process.stderr.write(
      `memory, ${one.name}: ${textOf(small)}${large === undefined ? '' : `; larger ${textOf(large)}`}\n`,
    );
    found.push({
      case: one.name,
      peakMemoryMiB: Math.round(small.allMiB),
      workerPeakMiB: Math.round(small.workerMiB),
      ...(large === undefined ? {} : growthOf(small, large)),
    });
  }
  return found;
}

function growthOf(small: PeakMemory, large: PeakMemory) {
  return {
    largerPeakMemoryMiB: Math.round(large.allMiB),
    largerWorkerPeakMiB: Math.round(large.workerMiB),
    growthPercent: Math.round((large.allMiB / small.allMiB - 1) * 1000) / 10,
  };
}

function textOf({ allMiB, workerMiB }: PeakMemory): string {
  return `${allMiB.toFixed(0)} MiB, of these the worker ${workerMiB.toFixed(0)}`;
}
