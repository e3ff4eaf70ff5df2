// What lies on the pool while an image is brought, looked at each time that progress is told: never more than the plan said before it began.
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readdirSync, statSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { importImage } from '../../importer/import-image.ts';
import type { TransferProgress } from '../../importer/transfer-hooks.ts';
import { findPrograms } from '../../runtime/programs.ts';
import { workerPrograms } from '../../worker/worker-programs.ts';
import { HostileServer } from './hostile-server.ts';
import { ImportBench } from './import-bench.ts';

const mib = 1_048_576;
const claimBytes = 24 * mib;
let [bench, server]: [ImportBench | undefined, HostileServer | undefined] = [undefined, undefined];

beforeAll(async () => {
  bench = await ImportBench.make({ programs: findPrograms([...workerPrograms]) });
  server = await HostileServer.start();
  const work = await mkdtemp(join(tmpdir(), 'longshore-peak-'));
  const raw = Buffer.concat([randomBytes(8 * mib), Buffer.alloc(8 * mib), randomBytes(4 * mib)]);
  await writeFile(join(work, 'raw'), raw);
  execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', 'raw', 'qcow2'], { cwd: work });
  execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'vmdk', 'raw', 'vmdk'], { cwd: work });
  server.set('raw', raw);
  for (const format of ['qcow2', 'vmdk']) {
    const image = await readFile(join(work, format));
    server.set(format, image);
    server.set(`${format}.gz`, gzipSync(image, { level: 1 }));
  }
  await rm(work, { recursive: true });
});

afterAll(async () => {
  await bench?.close();
  await server?.stop();
});

function allocatedIn(directory: string): number {
  return readdirSync(directory).reduce((sum, name) => sum + statSync(join(directory, name)).blocks * 512, 0);
}

/** Blocks of the file system itself, for maps of large files and for the list of children. */
const allowanceBytes = 256 * 1024;

test.each([
  ['ranges', 'raw', 'stream'],
  ['ranges', 'qcow2', 'nbd'],
  ['no-ranges', 'qcow2', 'staged'],
  ['ranges', 'qcow2.gz', 'staged'],
  ['no-ranges', 'vmdk', 'staged'],
  ['ranges', 'vmdk.gz', 'staged'],
])('%s of %s (%s)', async (behaviour, image, strategy) => {
  if (bench === undefined || server === undefined) throw new Error('nothing to ask');
  const staging = await bench.staging(claimBytes);
  const told: (TransferProgress & { lies: number })[] = [];
  const onProgress = (progress: TransferProgress): void => {
    told.push({ ...progress, lies: allocatedIn(staging.directory) });
  };
  const url = server.url(behaviour, image);
  const source = { kind: 'http' as const, url, headers: [], certificates: [], insecureSkipVerify: false };
  const request = { source, sizeBytes: claimBytes, preallocation: false };
  const report = await importImage(request, staging, { ...bench.hooks(), onProgress });
  expect(report.strategy).toBe(strategy);
  const peakBytes = report.peakBytes ?? 0;
  const before = told.find(({ step }) => step === 'transfer' || step === 'convert');
  expect(before?.peakBytes).toBe(peakBytes);
  expect(before?.lies).toBeLessThan(allowanceBytes);
  const most = Math.max(...told.map(({ lies }) => lies));
  expect(most).toBeGreaterThan(8 * mib);
  expect(most).toBeLessThan(peakBytes + allowanceBytes);
  // Where the source can be read in any order, or comes as the disk is, there is only the disk: its data, not its size.
  if (strategy !== 'staged') expect(most).toBeLessThan(13 * mib);
  await staging.discard();
});
