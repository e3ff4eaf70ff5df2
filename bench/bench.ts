// Longshore beside the native tools, in one run: rounds in which floor and ours take turns, medians, ratios; then, not timed, the peak memory of
// the service with this image and a larger one, what it costs to be idle, how fast an empty volume is there, and how long event loops are held up.
// Writes bench/results.json.
//   --rounds N   default 5      --size MIB   virtual size of the image, half of it data, default 2048
//   --larger MIB   of the larger one, with as much data, default 20480; 0 leaves it out
//   --without CASE   all but these: results.json is written without them; may be given again
//   --only CASE   only the case of this name, or those with it in their names: their times and memory, and no results.json; may be given again
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { RunningService, repository } from '../scripts/run-service.ts';
import { BenchImages, type ImageShape } from './bench-images.ts';
import { BenchServers, type ServerName } from './bench-servers.ts';
import { loopDelaysMs } from './loop-delays.ts';
import { type MemoryGrowth, measureMemory } from './memory-growth.ts';
import { OurTransfers } from './our-transfers.ts';
import { type BenchResults, casesOf, casesTable, memoryTable, rounded, textOf } from './report.ts';
import { cpuPercent } from './service-processes.ts';
import { median, type TimedCase, timeRounds } from './timed-rounds.ts';
import { chooseCases, type TransferCase } from './transfer-cases.ts';
import { readUpState } from './up-state.ts';

const cache = join(repository, 'bench', '.cache');
const blankBytes = 1024 ** 3;
const blankRuns = 31;
/** Longer than every timer, and than what the garbage collector makes of the transfers before. */
const idleSeconds = 60;
/** No round is spared by the one before: what was imported is kept for nobody. */
const unshared = { LONGSHORE_SHARED_IMAGE_S: '0' };
/** Fine enough for a percentile of seconds; the default is coarse, because looking costs CPU time. */
const fineDelays = { LONGSHORE_DELAY_RESOLUTION_MS: '10' };

interface Bench {
  cases: readonly TransferCase[];
  images: BenchImages;
  larger: BenchImages | undefined;
  servers: BenchServers;
  rounds: number;
  signal: AbortSignal;
}

interface Running {
  service: RunningService;
  ours: OurTransfers;
}

async function main(): Promise<void> {
  const text = { type: 'string' } as const;
  const only = { type: 'string', multiple: true } as const;
  const { values } = parseArgs({ options: { rounds: text, size: text, larger: text, only, without: only } });
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort()).once('SIGTERM', () => stop.abort());
  await mkdir(cache, { recursive: true });
  const cases = chooseCases(values.only ?? [], values.without);
  const sizeMiB = Number(values.size ?? 2048);
  const largerMiB = Number(values.larger ?? (values.only === undefined ? 20_480 : 0));
  const make = (shape: ImageShape) => BenchImages.make(cache, shape, [...formsOf(cases)], stop.signal);
  const images = await make({ sizeMiB, dataMiB: sizeMiB / 2, quick: false });
  const larger = largerMiB === 0 ? undefined : await make({ sizeMiB: largerMiB, dataMiB: sizeMiB / 2, quick: true });
  await using servers = await BenchServers.start(cache, images.directory, serversOf(cases));
  for (const one of larger === undefined ? [images] : [images, larger]) await servers.publish(one);
  const bench = { cases, images, larger, servers, rounds: Number(values.rounds ?? 5), signal: stop.signal };
  if (values.only === undefined) await measureAll(bench);
  else await measureSome(bench);
}

function formsOf(cases: readonly TransferCase[]): Set<TransferCase['form']> {
  return new Set(cases.map(({ form }) => form));
}

function serversOf(cases: readonly TransferCase[]): Set<ServerName> {
  return new Set(cases.flatMap(({ server }) => server ?? []));
}

async function measureAll(bench: Bench): Promise<void> {
  const measured = await withService(bench, {}, (running) => measure(bench, running));
  const loopDelayP99Ms = await withService(bench, fineDelays, (running) => measureDelays(bench, running));
  const results: BenchResults = { ...measured, loopDelayP99Ms };
  process.stdout.write(textOf(results));
  await writeFile(join(repository, 'bench', 'results.json'), `${JSON.stringify(results, undefined, 2)}\n`);
}

async function measureSome(bench: Bench): Promise<void> {
  await withService(bench, {}, async (running) => {
    const { timed, memory } = await measureTransfers(bench, running);
    process.stdout.write(`${casesTable(casesOf(timed, memory))}\n${memoryTable(largerImage(bench, memory))}`);
  });
}

/** A new service for `work`, gone with all its volumes afterwards. */
async function withService<T>(
  { servers, signal }: Bench,
  environment: NodeJS.ProcessEnv,
  work: (running: Running) => Promise<T>,
): Promise<T> {
  const directory = join(cache, 'data');
  await rm(directory, { recursive: true, force: true });
  const service = await RunningService.start(directory, { LONGSHORE_LOG_LEVEL: 'warn', ...unshared, ...environment });
  try {
    const ours = await OurTransfers.open(service, servers.registryHost, signal);
    try {
      return await work({ service, ours });
    } finally {
      await ours.close();
    }
  } finally {
    await service.stop();
    await rm(directory, { recursive: true, force: true });
  }
}

async function measureTransfers(
  { cases, images, larger, servers, rounds, signal }: Bench,
  { service, ours }: Running,
): Promise<{ timed: TimedCase[]; memory: MemoryGrowth[] }> {
  const place = { cache, images, servers, ours };
  const timed = await timeRounds(cases, place, { rounds, servicePid: service.pid, signal });
  const workerPid = (await readUpState(service.directory)).processes['worker']?.pid ?? service.pid;
  const withLarger = larger === undefined ? undefined : { ...place, images: larger };
  const memory = await measureMemory(cases, place, withLarger, { servicePid: service.pid, workerPid, signal });
  return { timed, memory };
}

async function measure(bench: Bench, running: Running): Promise<Omit<BenchResults, 'loopDelayP99Ms'>> {
  const { timed, memory } = await measureTransfers(bench, running);
  const idleCpuPercent = rounded(await cpuPercent(running.service.pid, idleSeconds));
  const blankSeconds: number[] = [];
  for (let index = 0; index < blankRuns; index += 1) blankSeconds.push(await running.ours.blank(blankBytes));
  return {
    cases: casesOf(timed, memory),
    rounds: bench.rounds,
    idleCpuPercent,
    blankP50Ms: rounded(median(blankSeconds) * 1000),
    largerImage: largerImage(bench, memory),
  };
}

function largerImage({ images, larger }: Bench, cases: MemoryGrowth[]): BenchResults['largerImage'] {
  return { sizeMiB: mebibytes(images), ...(larger === undefined ? {} : { largerSizeMiB: mebibytes(larger) }), cases };
}

function mebibytes({ sizeBytes }: BenchImages): number {
  return sizeBytes / 1024 ** 2;
}

/** One upload, and imports one after another until it has ended. */
async function measureDelays({ images, servers }: Bench, { service, ours }: Running): Promise<Record<string, number>> {
  const delays = await loopDelaysMs(service.directory, async () => {
    let uploading = true;
    const upload = ours.uploadRaw(images).finally(() => {
      uploading = false;
    });
    const importing = async () => {
      do await ours.import({ http: { url: servers.url(images, 'qcow2') } }, images);
      while (uploading);
    };
    await Promise.all([upload, importing()]);
  });
  return Object.fromEntries(Object.entries(delays).map(([name, ms]) => [name, rounded(ms)]));
}

await main();
