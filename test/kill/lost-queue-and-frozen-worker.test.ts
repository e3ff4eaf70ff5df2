// Redis is emptied at each step of imports, uploads and clones, and a worker is frozen past the lock of its job: everything ends well, and nothing
// runs twice into the same volume.
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, open, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { startTimeOf } from '../../runtime/process-identity.ts';
import { until } from '../service-fixture.ts';
import { PacedServer } from './paced-server.ts';
import { createVolume, endsOf, listVolumes, phaseOf, Service, strays, untilAllEnded, upload } from './storm.ts';
import { makeStormImages, type StormImages } from './storm-images.ts';

const run = promisify(execFile);

let directory: string;
let images: StormImages;
let web: PacedServer;
let service: Service;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'lq-'));
  images = await makeStormImages(directory);
  web = await PacedServer.start(directory, 60 * 1024 * 1024);
  const environment = {
    LONGSHORE_BACKOFF_BASE_MS: '100',
    LONGSHORE_LOCK_DURATION_MS: '1500',
    LONGSHORE_LOG_LEVEL: 'debug',
    LONGSHORE_SHARED_IMAGE_S: '0', // each import takes all its steps
    LONGSHORE_IMPORT_CONCURRENCY: '20',
  };
  service = await Service.start({ directory: join(directory, 'data'), environment });
  await createVolume(service, 'golden', { http: { url: web.urlOf(images.raw) } });
  await until('the first volume is there', async () => (await phaseOf(service, 'golden')) === 'Succeeded');
});

beforeEach(() => {
  web.bytesPerSecond = 60 * 1024 * 1024;
});

afterAll(async () => {
  await service.stop();
  await web.stop();
  await rm(directory, { recursive: true, force: true });
});

async function flushall(): Promise<void> {
  await run('redis-cli', ['-s', join(service.directory, 'run/redis.sock'), 'flushall']);
}

/** Volumes that each line of the worker's log tells as committed, in order. */
function committed(): string[] {
  const lines = readFileSync(join(service.directory, 'log/worker.log'), 'utf8').split('\n');
  return lines
    .filter((line) => line.includes('"outcome":"ok"'))
    .map((line) => /"volumeId":"([^"]+)"/.exec(line)?.[1] ?? '');
}

async function expectAllWell(): Promise<void> {
  await untilAllEnded(service, images);
  expect((await endsOf(service, images)).filter(({ end }) => end !== 'Succeeded')).toEqual([]);
  expect(await strays(service)).toEqual([]);
  const ids = committed();
  expect(ids.length).toBe((await listVolumes(service)).length);
  expect(new Set(ids).size).toBe(ids.length);
}

/** Resolves when the worker's log tells that the step has begun for a volume that was not seen in the log before. */
async function stepBegins(step: string, from: number): Promise<void> {
  const log = join(service.directory, 'log/worker.log');
  await until(`the step ${step} begins`, () => readFileSync(log, 'utf8').slice(from).includes(`"step":"${step}"`));
}

function logLength(): number {
  return readFileSync(join(service.directory, 'log/worker.log'), 'utf8').length;
}

const imports = ['probe', 'plan', 'transfer', 'convert', 'verify', 'resize', 'commit'];

test.each([
  ['qcow2', () => ({ http: { url: web.urlOf(images.qcow2) } }), imports.filter((step) => step !== 'transfer')],
  ['raw', () => ({ http: { url: web.urlOf(images.raw) } }), imports.filter((step) => step !== 'convert')],
  ['gz', () => ({ http: { url: web.urlOf(images.gz) } }), imports.filter((step) => step !== 'convert')],
  [
    'clone',
    () => ({ pvc: { namespace: 'default', name: 'golden' } }),
    ['probe', 'plan', 'transfer', 'verify', 'commit'],
  ],
] as const)('FLUSHALL at each named step: %s', async (name, source, steps) => {
  web.bytesPerSecond = 40 * 1024 * 1024;
  for (const step of steps) {
    const from = logLength();
    await createVolume(service, `flush-${name}-${step}`, source());
    await stepBegins(step, from);
    await flushall();
    // One loss each: a source that is read again and again uses up its byte budget, which is another story.
    await untilAllEnded(service, images);
  }
  await expectAllWell();
});

test('FLUSHALL at each named step of an upload and its conversion', async () => {
  for (const step of ['probe', 'transfer', 'convert', 'verify', 'resize', 'commit']) {
    const name = `flush-upload-${step}`;
    await createVolume(service, name, { upload: {} });
    await until('the upload is ready', async () => (await phaseOf(service, name)) === 'UploadReady');
    await flushall();
    const from = logLength();
    const sent = upload(service, name, join(images.directory, images.qcow2));
    await stepBegins(step, from);
    await flushall();
    await sent;
    await untilAllEnded(service, images);
  }
  await expectAllWell();
});

test('FLUSHALL during 20 running imports: all end well, none twice into the same volume', async () => {
  web.bytesPerSecond = 6 * 1024 * 1024;
  const names = Array.from({ length: 20 }, (_, index) => `many-${index}`);
  for (const name of names) await createVolume(service, name, { http: { url: web.urlOf(images.gz) } });
  await until('most of them run', async () => {
    const running = (await listVolumes(service)).filter(({ status }) => status?.phase === 'ImportInProgress');
    return running.length >= 15;
  });
  await flushall();
  web.bytesPerSecond = 60 * 1024 * 1024;
  await expectAllWell();
});

async function frozenImport(name: string): Promise<{ pid: number; staging: string }> {
  web.bytesPerSecond = 4 * 1024 * 1024;
  await createVolume(service, name, { http: { url: web.urlOf(images.raw) } });
  await until('bytes come', async () => {
    const volume = (await listVolumes(service)).find(({ metadata }) => metadata.name === name);
    return (volume?.status?.longshore?.bytesDone ?? 0) > 2 * 1024 * 1024;
  });
  const [staging = ''] = await readdir(join(service.state.pool, 'staging'));
  const pid = service.state.processes['worker']?.pid ?? 0;
  process.kill(pid, 'SIGSTOP');
  web.bytesPerSecond = 60 * 1024 * 1024;
  return { pid, staging };
}

test('a worker frozen past its lock and resumed writes no byte for the old attempt once the next one has begun', async () => {
  const from = logLength();
  const { pid, staging } = await frozenImport('resumed');
  // Held open: what is written to it later would show, also after its name is gone.
  await using disk = await open(join(service.state.pool, 'staging', staging, 'disk.img'));
  await delay(4_000);
  process.kill(pid, 'SIGCONT');
  const volumeId = staging.replace(/\.\d+$/, '');
  await until('the next attempt has begun', () =>
    readFileSync(join(service.directory, 'log/worker.log'), 'utf8')
      .slice(from)
      .includes(`"volumeId":"${volumeId}","attempt":2,"step":`),
  );
  const before = await disk.stat();
  await expectAllWell();
  const after = await disk.stat();
  expect(after.nlink).toBe(0);
  expect({ blocks: after.blocks, mtimeMs: after.mtimeMs }).toEqual({ blocks: before.blocks, mtimeMs: before.mtimeMs });
});

test('a worker that stays frozen is ended by its supervisor, and the next attempt does the work', async () => {
  const { pid } = await frozenImport('replaced');
  const startTime = startTimeOf(pid);
  await until('the frozen worker is gone', () => startTimeOf(pid) !== startTime, 60_000);
  await expectAllWell();
});
