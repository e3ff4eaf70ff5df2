// What the benchmark found: the shape of bench/results.json, and the same for a person, each figure beside its aim.
import { textTable } from '../cli/text-table.ts';
import type { MemoryGrowth } from './memory-growth.ts';
import type { TimedCase } from './timed-rounds.ts';

const aims = {
  idleCpuPercent: 1,
  blankP50Ms: 100,
  peakMemoryMiB: 400,
  workerPeakMiB: 182,
  growthPercent: 10,
  loopDelayP99Ms: 50,
};

export interface CaseResult {
  case: string;
  seconds: number;
  floor: string;
  floorSeconds: number;
  /** User and system, of all programs of either side. */
  cpuSeconds: number;
  floorCpuSeconds: number;
  ratio: number;
  aim: number;
  peakMemoryMiB: number;
}

export interface BenchResults {
  cases: CaseResult[];
  rounds: number;
  idleCpuPercent: number;
  blankP50Ms: number;
  /** The same transfers with a larger image, where one was brought. */
  largerImage: { sizeMiB: number; largerSizeMiB?: number; cases: MemoryGrowth[] };
  /** Of each process while imports of the qcow2 image run beside an upload of the raw one. */
  loopDelayP99Ms: Record<string, number>;
}

export function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}

export function casesOf(timed: readonly TimedCase[], memory: readonly MemoryGrowth[]): CaseResult[] {
  return timed.map(({ one, ...measured }, index) => ({
    case: one.name,
    seconds: rounded(measured.seconds),
    floor: one.floor,
    floorSeconds: rounded(measured.floorSeconds),
    cpuSeconds: rounded(measured.cpuSeconds),
    floorCpuSeconds: rounded(measured.floorCpuSeconds),
    ratio: rounded(measured.seconds / measured.floorSeconds),
    aim: one.aim,
    peakMemoryMiB: memory[index]?.peakMemoryMiB ?? Number.NaN,
  }));
}

export function textOf(results: BenchResults): string {
  const { idleCpuPercent, blankP50Ms, largerImage } = results;
  const delays = Object.entries(results.loopDelayP99Ms).map(([name, ms]) => `${name} ${ms.toFixed(0)} ms`);
  return `${casesTable(results.cases)}
${memoryTable(largerImage)}
idle: ${idleCpuPercent.toFixed(2)} % of a core (aim: under ${aims.idleCpuPercent})
blank 1 GiB, create to Succeeded: ${blankP50Ms.toFixed(0)} ms at p50 (aim: under ${aims.blankP50Ms})
event loop delay during import and upload, p99: ${delays.join(', ')} (aim: under ${aims.loopDelayP99Ms} ms each)
`;
}

export function casesTable(cases: readonly CaseResult[]): string {
  const head = ['CASE', 'SECONDS', 'CPU', 'FLOOR', 'SECONDS', 'CPU', 'RATIO', 'AIM'];
  const rows = cases.map((one) => [
    one.case,
    one.seconds.toFixed(2),
    one.cpuSeconds.toFixed(2),
    one.floor,
    one.floorSeconds.toFixed(2),
    one.floorCpuSeconds.toFixed(2),
    one.ratio.toFixed(2),
    `<= ${one.aim}`,
  ]);
  return textTable(head, rows);
}

export function memoryTable({ sizeMiB, largerSizeMiB, cases }: BenchResults['largerImage']): string {
  const peak = (size: number) => `PEAK MIB OF ${size} MIB`;
  const head = [
    'CASE',
    peak(sizeMiB),
    largerSizeMiB === undefined ? 'LARGER' : peak(largerSizeMiB),
    'AIM',
    'GROWTH',
    'AIM',
    'THE WORKER',
    'LARGER',
    'AIM',
  ];
  const rows = cases.map((one) => [
    one.case,
    String(one.peakMemoryMiB),
    String(one.largerPeakMemoryMiB ?? '-'),
    `< ${aims.peakMemoryMiB}`,
    one.growthPercent === undefined ? '-' : `${one.growthPercent.toFixed(1)} %`,
    `<= ${aims.growthPercent} %`,
    String(one.workerPeakMiB),
    String(one.largerWorkerPeakMiB ?? '-'),
    `< ${aims.workerPeakMiB}`,
  ]);
  return textTable(head, rows);
}
