// Longshore beside the native tools, in one run: rounds in which floor and ours take turns, medians, ratios; then the peak memory of all
// processes of the service, in a pass that is not timed; then what it costs to be idle and how fast an empty volume is there. Writes bench/results.json.
//   --rounds N   default 5      --size MIB   virtual size of the image, default 2048
import { execFile } from 'node:child_process';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { digestFile } from '../cli/file-digest.ts';
import { textTable } from '../cli/text-table.ts';
import { RunningService, repository } from '../scripts/run-service.ts';
import { type BenchImages, makeBenchImages } from './bench-images.ts';
import { type BenchNginx, startNginx } from './bench-nginx.ts';
import { qcow2Floor, rawFloor, uploadFloor } from './native-floors.ts';
import { OurTransfers } from './our-transfers.ts';
import { cpuPercent, peakMemoryMiB } from './service-processes.ts';

const cache = join(repository, 'bench', '.cache');
const blankBytes = 1024 ** 3;
const blankRuns = 31;
const idleSeconds = 15;

interface Case {
  name: string;
  floor: string;
  aim: number;
  floorSeconds(): Promise<number>;
  ourSeconds(): Promise<number>;
}

interface CaseResult {
  case: string;
  seconds: number;
  floor: string;
  floorSeconds: number;
  ratio: number;
  aim: number;
  peakMemoryMiB: number;
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { rounds: { type: 'string' }, size: { type: 'string' } } });
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort()).once('SIGTERM', () => stop.abort());
  await mkdir(cache, { recursive: true });
  const images = await makeBenchImages(cache, Number(values.size ?? 2048));
  const { contentDigest } = await digestFile(images.raw, false, stop.signal);
  const nginx = await startNginx(cache, images.directory);
  try {
    await rm(join(cache, 'data'), { recursive: true, force: true });
    const service = await RunningService.start(join(cache, 'data'), { LONGSHORE_LOG_LEVEL: 'warn' });
    try {
      await measure(service, images, nginx, contentDigest, Number(values.rounds ?? 5), stop.signal);
    } finally {
      await service.stop();
    }
  } finally {
    await nginx.stop();
    await rm(join(cache, 'data'), { recursive: true, force: true });
  }
}

async function measure(
  service: RunningService,
  images: BenchImages,
  nginx: BenchNginx,
  contentDigest: string,
  rounds: number,
  signal: AbortSignal,
): Promise<void> {
  const ours = await OurTransfers.open(service, signal);
  try {
    const cases = planCases(ours, images, nginx, contentDigest);
    const results = await runRounds(service, cases, rounds, signal);
    const idleCpuPercent = await cpuPercent(service.pid, idleSeconds);
    const blankSeconds: number[] = [];
    for (let index = 0; index < blankRuns; index += 1) blankSeconds.push(await ours.blank(blankBytes));
    const blankP50Ms = median(blankSeconds) * 1000;
    show(results, idleCpuPercent, blankP50Ms);
    const extras = { rounds, idleCpuPercent: rounded(idleCpuPercent), blankP50Ms: rounded(blankP50Ms) };
    const text = JSON.stringify({ cases: results, ...extras }, undefined, 2);
    await writeFile(join(repository, 'bench', 'results.json'), `${text}\n`);
  } finally {
    await ours.close();
  }
}

function planCases(ours: OurTransfers, images: BenchImages, nginx: BenchNginx, contentDigest: string): Case[] {
  return [
    {
      name: 'import raw',
      floor: 'curl | dd conv=sparse,fdatasync',
      aim: 1.1,
      floorSeconds: () => rawFloor(cache, images, nginx),
      ourSeconds: () => ours.importRaw(images, nginx, contentDigest),
    },
    {
      name: 'import qcow2',
      floor: 'max(curl to nowhere, qemu-img convert -t none)',
      aim: 2,
      floorSeconds: () => qcow2Floor(cache, images, nginx),
      ourSeconds: () => ours.importQcow2(images, nginx, contentDigest),
    },
    {
      name: 'upload raw',
      floor: 'curl -T to nginx WebDAV over TLS, flushed',
      aim: 1,
      floorSeconds: () => uploadFloor(cache, images, nginx),
      ourSeconds: () => ours.uploadRaw(images, contentDigest),
    },
  ];
}

async function runRounds(
  service: RunningService,
  cases: readonly Case[],
  rounds: number,
  signal: AbortSignal,
): Promise<CaseResult[]> {
  const floors = cases.map((): number[] => []);
  const times = cases.map((): number[] => []);
  for (let round = 1; round <= rounds; round += 1) {
    for (const [index, one] of cases.entries()) {
      signal.throwIfAborted();
      await flush();
      const floorSeconds = await one.floorSeconds();
      await flush();
      const seconds = await one.ourSeconds();
      floors[index]?.push(floorSeconds);
      times[index]?.push(seconds);
      process.stderr.write(
        `round ${round}, ${one.name}: floor ${floorSeconds.toFixed(2)} s, ours ${seconds.toFixed(2)} s\n`,
      );
    }
  }
  const results: CaseResult[] = [];
  for (const [index, one] of cases.entries()) {
    signal.throwIfAborted();
    const peakMiB = await peakMemoryMiB(service.pid, () => one.ourSeconds());
    process.stderr.write(`memory, ${one.name}: ${peakMiB.toFixed(0)} MiB\n`);
    results.push(resultOf(one, floors[index] ?? [], times[index] ?? [], peakMiB));
  }
  return results;
}

function resultOf(one: Case, floors: readonly number[], times: readonly number[], peakMiB: number): CaseResult {
  const [seconds, floorSeconds] = [median(times), median(floors)];
  return {
    case: one.name,
    seconds: rounded(seconds),
    floor: one.floor,
    floorSeconds: rounded(floorSeconds),
    ratio: rounded(seconds / floorSeconds),
    aim: one.aim,
    peakMemoryMiB: Math.round(peakMiB),
  };
}

/** Nobody pays for what another one left in the page cache. */
async function flush(): Promise<void> {
  await promisify(execFile)('sync');
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((one, other) => one - other);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
}

function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}

function show(results: readonly CaseResult[], idleCpuPercent: number, blankP50Ms: number): void {
  const head = ['CASE', 'SECONDS', 'FLOOR', 'FLOOR SECONDS', 'RATIO', 'AIM', 'PEAK MIB'];
  const rows = results.map((one) => [
    one.case,
    one.seconds.toFixed(2),
    one.floor,
    one.floorSeconds.toFixed(2),
    one.ratio.toFixed(2),
    `<= ${one.aim}`,
    String(one.peakMemoryMiB),
  ]);
  process.stdout.write(`${textTable(head, rows)}\n`);
  process.stdout.write(`idle: ${idleCpuPercent.toFixed(2)} % of a core (aim: under 1)\n`);
  process.stdout.write(`blank 1 GiB, create to Succeeded: ${blankP50Ms.toFixed(0)} ms at p50 (aim: under 100)\n`);
}

await main();
