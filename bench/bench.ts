// Longshore beside the native tools, in one run: rounds in which floor and ours take turns, medians, ratios; then, not timed, the peak memory of
// all processes of the service with this image and a larger one, what it costs to be idle, how fast an empty volume is there, and how long
// event loops are held up. Writes bench/results.json.
//   --rounds N   default 5      --size MIB   virtual size of the image, default 2048      --larger MIB   of the larger one, default 6144
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { RunningService, repository } from '../scripts/run-service.ts';
import { type BenchImages, makeBenchImages } from './bench-images.ts';
import { type BenchNginx, startNginx } from './bench-nginx.ts';
import { loopDelaysMs } from './loop-delays.ts';
import { type MemoryGrowth, measureMemory } from './memory-growth.ts';
import { OurTransfers } from './our-transfers.ts';
import { type BenchResults, type CaseResult, rounded, textOf } from './report.ts';
import { cpuPercent } from './service-processes.ts';
import { median, type TimedCase, timeRounds } from './timed-rounds.ts';
import { planCases } from './transfer-cases.ts';

const cache = join(repository, 'bench', '.cache');
const blankBytes = 1024 ** 3;
const blankRuns = 31;
/** Longer than every timer, and than what the garbage collector makes of the transfers before. */
const idleSeconds = 60;
/** Fine enough for a percentile of seconds; the default is coarse, because looking costs CPU time. */
const fineDelays = { LONGSHORE_DELAY_RESOLUTION_MS: '10' };

interface Bench {
  images: BenchImages;
  larger: BenchImages;
  nginx: BenchNginx;
  rounds: number;
  signal: AbortSignal;
}

async function main(): Promise<void> {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({ options: { rounds: text, size: text, larger: text } });
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort()).once('SIGTERM', () => stop.abort());
  await mkdir(cache, { recursive: true });
  const images = await makeBenchImages(cache, Number(values.size ?? 2048), stop.signal);
  const larger = await makeBenchImages(cache, Number(values.larger ?? 6144), stop.signal);
  const nginx = await startNginx(cache, images.directory);
  const bench = { images, larger, nginx, rounds: Number(values.rounds ?? 5), signal: stop.signal };
  try {
    const measured = await withService(bench, {}, (service, ours) => measure(bench, service, ours));
    const loopDelayP99Ms = await withService(bench, fineDelays, (service, ours) => measureDelays(bench, service, ours));
    const results: BenchResults = { ...measured, loopDelayP99Ms };
    process.stdout.write(textOf(results));
    await writeFile(join(repository, 'bench', 'results.json'), `${JSON.stringify(results, undefined, 2)}\n`);
  } finally {
    await nginx.stop();
  }
}

/** A new service for `work`, gone with all its volumes afterwards. */
async function withService<T>(
  { signal }: Bench,
  environment: NodeJS.ProcessEnv,
  work: (service: RunningService, ours: OurTransfers) => Promise<T>,
): Promise<T> {
  const directory = join(cache, 'data');
  await rm(directory, { recursive: true, force: true });
  const service = await RunningService.start(directory, { LONGSHORE_LOG_LEVEL: 'warn', ...environment });
  try {
    const ours = await OurTransfers.open(service, signal);
    try {
      return await work(service, ours);
    } finally {
      await ours.close();
    }
  } finally {
    await service.stop();
    await rm(directory, { recursive: true, force: true });
  }
}

async function measure(
  { images, larger, nginx, rounds, signal }: Bench,
  service: RunningService,
  ours: OurTransfers,
): Promise<Omit<BenchResults, 'loopDelayP99Ms'>> {
  const cases = planCases(cache, ours, images, nginx);
  const timed = await timeRounds(cases, rounds, signal);
  const idleCpuPercent = rounded(await cpuPercent(service.pid, idleSeconds));
  const blankSeconds: number[] = [];
  for (let index = 0; index < blankRuns; index += 1) blankSeconds.push(await ours.blank(blankBytes));
  const memory = await measureMemory(service.pid, cases, planCases(cache, ours, larger, nginx), signal);
  return {
    cases: timed.map((one, index) => resultOf(one, memory[index])),
    rounds,
    idleCpuPercent,
    blankP50Ms: rounded(median(blankSeconds) * 1000),
    largerImage: { sizeMiB: mebibytes(images), largerSizeMiB: mebibytes(larger), cases: memory },
  };
}

function resultOf({ one, seconds, floorSeconds }: TimedCase, memory: MemoryGrowth | undefined): CaseResult {
  return {
    case: one.name,
    seconds: rounded(seconds),
    floor: one.floor,
    floorSeconds: rounded(floorSeconds),
    ratio: rounded(seconds / floorSeconds),
    aim: one.aim,
    peakMemoryMiB: memory?.peakMemoryMiB ?? Number.NaN,
  };
}

function mebibytes({ sizeBytes }: BenchImages): number {
  return sizeBytes / 1024 ** 2;
}

/** One upload, and imports one after another until it has ended. */
async function measureDelays(
  { images, nginx }: Bench,
  service: RunningService,
  ours: OurTransfers,
): Promise<Record<string, number>> {
  const delays = await loopDelaysMs(service.directory, async () => {
    let uploading = true;
    const upload = ours.uploadRaw(images).finally(() => {
      uploading = false;
    });
    const importing = async () => {
      do await ours.importQcow2(images, nginx);
      while (uploading);
    };
    await Promise.all([upload, importing()]);
  });
  return Object.fromEntries(Object.entries(delays).map(([name, ms]) => [name, rounded(ms)]));
}

await main();
