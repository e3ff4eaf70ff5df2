// The peak memory of all processes of the service, of each transfer with the image and with one several times as large: it is not to grow with it.
// Not timed, because looking costs CPU time.
import { peakMemoryMiB } from './service-processes.ts';
import type { TransferCase } from './transfer-cases.ts';

/** The highest of several: one short pass may have been looked at only between its peaks. */
const passesOfSmall = 2;

export interface MemoryGrowth {
  case: string;
  peakMemoryMiB: number;
  largerPeakMemoryMiB: number;
  growthPercent: number;
}

/** @param larger the same cases in the same order, with the larger image */
export async function measureMemory(
  servicePid: number,
  cases: readonly TransferCase[],
  larger: readonly TransferCase[],
  signal: AbortSignal,
): Promise<MemoryGrowth[]> {
  const found: MemoryGrowth[] = [];
  for (const [index, one] of cases.entries()) {
    signal.throwIfAborted();
    const peakMiB = await peakMemoryMiB(servicePid, async () => {
      for (let pass = 0; pass < passesOfSmall; pass += 1) await one.ourSeconds();
    });
    const largerPeakMiB = await peakMemoryMiB(servicePid, async () => larger[index]?.ourSeconds());
    process.stderr.write(`memory, ${one.name}: ${peakMiB.toFixed(0)} MiB, larger ${largerPeakMiB.toFixed(0)} MiB\n`);
    found.push({
      case: one.name,
      peakMemoryMiB: Math.round(peakMiB),
      largerPeakMemoryMiB: Math.round(largerPeakMiB),
      growthPercent: Math.round((largerPeakMiB / peakMiB - 1) * 1000) / 10,
    });
  }
  return found;
}
