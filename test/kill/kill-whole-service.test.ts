// SIGKILL of the whole service at random moments across import, upload and clone. After a restart every volume ends Succeeded with the
// right content or Failed with a reason, the pool holds nothing that no object owns, and nothing of the killed service lives on.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { until } from '../service-fixture.ts';
import { PacedServer } from './paced-server.ts';
import {
  createVolume,
  endsOf,
  killWhole,
  phaseOf,
  processesAt,
  Service,
  seededRandom,
  strays,
  untilAllEnded,
  upload,
} from './storm.ts';
import { makeStormImages, type StormImages } from './storm-images.ts';

const rounds = Number(process.env['LONGSHORE_KILL_ROUNDS'] ?? 30);
const seed = Number(process.env['LONGSHORE_KILL_SEED'] ?? Date.now() % 1_000_000);

let directory: string;
let images: StormImages;
let web: PacedServer;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'lk-'));
  images = await makeStormImages(directory);
  web = await PacedServer.start(directory, 60 * 1024 * 1024);
});

afterAll(async () => {
  await web.stop();
  await rm(directory, { recursive: true, force: true });
});

test(`SIGKILL at ${rounds} random moments (seed ${seed}) loses nothing`, async () => {
  const data = join(directory, 'data');
  const random = seededRandom(seed);
  const environment = { LONGSHORE_BACKOFF_BASE_MS: '100' };
  let service = await Service.start({ directory: data, environment });
  await createVolume(service, 'golden', { http: { url: web.urlOf(images.raw) } });
  await until('the first volume is there', async () => (await phaseOf(service, 'golden')) === 'Succeeded');
  for (let round = 0; round < rounds; round += 1) {
    await beginWork(service, round);
    await delay(random() * 1_200);
    const killed = killWhole(service);
    await service.ended;
    await until('nothing of the killed service lives on', () => processesAt(data).length === 0, 5_000);
    expect(killed.length).toBeGreaterThan(3);
    service = await Service.start({ directory: data, environment });
  }
  await untilAllEnded(service, images);
  const ends = await endsOf(service, images);
  expect(ends.length).toBeGreaterThan(rounds);
  expect(ends.filter(({ end }) => end !== 'Succeeded')).toEqual([]);
  expect(await strays(service)).toEqual([]);
  await service.stop();
  expect(processesAt(data)).toEqual([]);
});

/** What is under way when the service is killed; calls that find it gone are part of the game. */
async function beginWork(service: Service, round: number): Promise<void> {
  const kinds = [
    () => createVolume(service, `qcow2-${round}`, { http: { url: web.urlOf(images.qcow2) } }),
    () => createVolume(service, `gz-${round}`, { http: { url: web.urlOf(images.gz) } }),
    () => createVolume(service, `clone-${round}`, { pvc: { namespace: 'default', name: 'golden' } }),
    async () => {
      await createVolume(service, `upload-${round}`, { upload: {} });
      await until('the upload is ready', async () => (await phaseOf(service, `upload-${round}`)) === 'UploadReady');
      void upload(service, `upload-${round}`, join(images.directory, images.qcow2)).catch(() => undefined); // the service is killed under it
    },
  ];
  for (const offset of [0, 1]) await kinds[(round + offset * 2 + (round >> 2)) % kinds.length]?.();
}
