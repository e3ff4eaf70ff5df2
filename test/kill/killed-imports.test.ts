// SIGKILL of the worker in the middle of an import: the next attempt fetches only what was not durable yet, and the digests are of the whole. Where the source
// says that it changed, it begins anew and says why.
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { annotations } from '../../domain/annotations.ts';
import { contentDigestOfFile } from '../../volumes/content-digest.ts';
import { ServiceUser } from '../e2e/service-user.ts';
import { Service, until } from '../service-fixture.ts';
import { PacedServer } from './paced-server.ts';

const MiB = 1_048_576;
/** What is fetched ahead of the writing, the probe and the news since the last mark. */
const slackBytes = 6 * MiB;
const disk = Buffer.concat([randomBytes(14 * MiB), Buffer.alloc(6 * MiB), randomBytes(24 * MiB)]);
let service: Service;
let user: ServiceUser;
let server: PacedServer;
let work: string;

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 'ls-killed-'));
  await writeFile(join(work, 'raw'), disk);
  execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', join(work, 'raw'), join(work, 'qcow2')]);
  const environment = {
    LONGSHORE_CHECKPOINT_MIB: '1',
    LONGSHORE_BACKOFF_BASE_MS: '100',
    LONGSHORE_SHARED_IMAGE_S: '0',
  };
  server = await PacedServer.start(work, 1);
  service = await Service.start({ directory: join(work, 'data'), environment });
  user = new ServiceUser(service);
}, 120_000);

afterAll(async () => {
  await Promise.all([server.stop(), service.end('SIGTERM')]);
  await rm(work, { recursive: true });
});

beforeEach(() => {
  server.bytesPerSecond = 4 * MiB;
});

/** Of the one import that runs. */
function markedBytes(): number {
  const stagings = join(service.state.pool, 'staging');
  const paths = readdirSync(stagings).map((name) => join(stagings, name, 'checkpoint.json'));
  const [path] = paths.filter((one) => existsSync(one));
  return path === undefined ? 0 : JSON.parse(readFileSync(path, 'utf8')).bytes;
}

/** @returns what was marked. @param thenPerSecond how fast the next attempt gets the rest */
async function killBeyond(bytes: number, thenPerSecond = 400 * MiB): Promise<number> {
  await until('enough is marked', () => markedBytes() >= bytes, 60_000);
  process.kill(service.state.processes['worker']?.pid ?? 0, 'SIGKILL');
  const marked = markedBytes();
  server.sentBytes = 0;
  server.bytesPerSecond = thenPerSecond;
  return marked;
}

function log(): string {
  return readFileSync(join(service.directory, 'log/worker.log'), 'utf8');
}

async function expectWhole(name: string): Promise<void> {
  const volume = await user.untilPhase(name, 'Succeeded', 60_000);
  expect(readFileSync(user.diskOf(volume)).subarray(0, disk.length).equals(disk)).toBe(true);
  const { signal } = new AbortController();
  const { contentDigest } = await contentDigestOfFile(user.diskOf(volume), { signal });
  expect(volume.status?.longshore?.contentDigest).toBe(contentDigest);
  expect(user.staged()).toEqual([]);
}

function sha256Of(name: string): string {
  return `sha256:${createHash('sha256')
    .update(readFileSync(join(work, name)))
    .digest('hex')}`;
}

test.each([
  ['raw', undefined],
  ['raw', 'checksum'],
  ['qcow2', 'checksum'],
])(
  '%s (%s) goes on from the last mark',
  async (image, asked) => {
    const name = `killed-${image}-${asked ?? 'plain'}`;
    const checksum = asked === undefined ? {} : { [annotations.checksum]: sha256Of(image) };
    await user.create(name, { http: { url: server.urlOf(image) } }, '64Mi', checksum);
    const marked = await killBeyond(16 * MiB);
    await expectWhole(name);
    expect((await user.volume(name)).status?.longshore?.sourceDigest).toBe(sha256Of(image));
    expect(server.sentBytes).toBeLessThan(disk.length - marked + slackBytes);
    expect(log()).toContain('the import goes on where it was');
  },
  120_000,
);

test('killed twice, what is fetched stays near the size of the image', async () => {
  server.bytesPerSecond = 2 * MiB; // slow enough to be seen: the first 8 MiB of each attempt come by one connection
  server.sentBytes = 0;
  await user.create('twice', { http: { url: server.urlOf('raw') } }, '64Mi');
  let fetched = 0;
  let marked = 0;
  for (const thenPerSecond of [2 * MiB, 400 * MiB]) {
    const beyond = marked + 4 * MiB;
    await until('more is marked', () => markedBytes() >= beyond, 60_000);
    fetched += server.sentBytes;
    marked = await killBeyond(beyond, thenPerSecond);
  }
  await expectWhole('twice');
  expect(fetched + server.sentBytes).toBeLessThan(disk.length + 2 * slackBytes);
}, 120_000);

test('a source that changed is fetched anew, and the log says why', async () => {
  await user.create('changed', { http: { url: server.urlOf('raw') } }, '64Mi');
  await until('enough is marked', () => markedBytes() >= 8 * MiB, 60_000);
  server.edition += 1;
  await killBeyond(8 * MiB);
  await expectWhole('changed');
  expect(server.sentBytes).toBeGreaterThanOrEqual(disk.length);
  expect(log()).toMatch(/the source changed: it was .{1,40}-1.{1,40} and is .{1,40}-2.*the import starts over/);
}, 120_000);

test('a worker that is asked to stop leaves the mark to the next one', async () => {
  await user.create('stopped', { http: { url: server.urlOf('raw') } }, '64Mi');
  await until('enough is marked', () => markedBytes() >= 16 * MiB, 60_000);
  process.kill(service.state.processes['worker']?.pid ?? 0, 'SIGTERM');
  const marked = markedBytes();
  server.sentBytes = 0;
  server.bytesPerSecond = 400 * MiB;
  await expectWhole('stopped');
  expect(server.sentBytes).toBeLessThan(disk.length - marked + slackBytes);
}, 120_000);
