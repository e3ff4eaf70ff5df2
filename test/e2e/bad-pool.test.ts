// What happens to the directory of the pool while a service runs over it: it goes away in the middle of an import, or a later version wrote into it.
// What is there is kept as it is, nothing is made in its place, the object tells, and all goes on by itself when the pool is as it was.
import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { DataVolume } from '../../domain/data-volume.ts';
import { type FaultCode, faultCatalogue } from '../../domain/fault-catalogue.ts';
import { PacedServer } from '../kill/paced-server.ts';
import { Service, until } from '../service-fixture.ts';
import { expectTold, ServiceUser } from './service-user.ts';

const MiB = 1_048_576;
const image = randomBytes(12 * MiB);
const environment = { LONGSHORE_BACKOFF_BASE_MS: '100', LONGSHORE_BACKOFF_CAP_MS: '500' };
let work: string;
let server: PacedServer;

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 'ls-bad-pool-'));
  await mkdir(join(work, 'served'));
  await writeFile(join(work, 'served', 'raw'), image);
  execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', 'raw', 'qcow2'], { cwd: join(work, 'served') });
  server = await PacedServer.start(join(work, 'served'), 8 * MiB);
});

afterAll(async () => {
  await server.stop();
  await rm(work, { recursive: true });
});

function mayMount(): boolean {
  if (process.getuid?.() !== 0) return false;
  const tried = spawnSync('sh', ['-c', 'd=$(mktemp -d) && mount --bind "$d" "$d" && umount -l "$d" && rmdir "$d"']);
  return tried.status === 0;
}

/** Takes the pool away and brings it back. */
interface Away {
  way: string;
  possible: boolean;
  prepare(pool: string): Promise<void>;
  take(pool: string): Promise<void>;
  bringBack(pool: string): Promise<void>;
  /** Directory entries where the pool was; undefined where there is not even a directory. */
  bare(pool: string): string[] | undefined;
  putAway(pool: string): Promise<void>;
}

const ways: Away[] = [
  {
    way: 'renamed',
    possible: true,
    prepare: async () => undefined,
    take: (pool) => rename(pool, `${pool}-away`),
    bringBack: (pool) => rename(`${pool}-away`, pool),
    bare: () => undefined,
    putAway: async () => undefined,
  },
  {
    way: 'unmounted',
    possible: mayMount(),
    prepare: async (pool) => {
      await mkdir(pool);
      await mkdir(`${pool}-disk`);
      execFileSync('mount', ['--bind', `${pool}-disk`, pool]);
    },
    take: async (pool) => void execFileSync('umount', ['-l', pool]),
    bringBack: async (pool) => void execFileSync('mount', ['--bind', `${pool}-disk`, pool]),
    bare: () => [],
    putAway: async (pool) => void spawnSync('umount', [pool]),
  },
];

function entriesOf(directory: string): string[] | undefined {
  try {
    return readdirSync(directory);
  } catch {
    return undefined; // that is the answer: it is not there
  }
}

async function untilTold(user: ServiceUser, name: string, code: FaultCode): Promise<DataVolume> {
  await until(`${name} tells ${code}`, async () => {
    const { longshore } = (await user.volume(name)).status ?? {};
    if (longshore?.fault?.code !== code) throw new Error(`it tells ${JSON.stringify(longshore)}`);
    return true;
  });
  const volume = await user.volume(name);
  expect(volume.status?.phase).not.toBe('Failed');
  expect(volume.status?.longshore?.fault?.nextStep).toBe(faultCatalogue[code].nextStep);
  return volume;
}

for (const { way, possible, prepare, take, bringBack, bare, putAway } of ways) {
  describe.skipIf(!possible)(`a pool that is ${way} while imports run`, () => {
    let pool: string;
    let service: Service;
    let user: ServiceUser;
    beforeAll(async () => {
      pool = join(work, `pool-${way}`);
      await prepare(pool);
      service = await Service.start({ environment, words: ['--pool', pool] });
      user = new ServiceUser(service);
      await user.create('before', { blank: {} }, '2Mi');
      await user.untilPhase('before', 'Succeeded');
    });
    afterAll(async () => {
      await service.stop();
      await putAway(pool);
    });

    test('they tell PoolMissing, nothing is made in its place, and they go on when it is back', async () => {
      const names = ['raw', 'qcow2'];
      for (const name of names) {
        const before = server.sentBytes;
        await user.create(name, { http: { url: server.urlOf(name) } }, '12Mi');
        await until('its bytes come', () => server.sentBytes > before + MiB);
      }
      await take(pool);
      for (const name of names) await untilTold(user, name, 'PoolMissing');
      await user.create('meanwhile', { blank: {} }, '2Mi');
      await untilTold(user, 'meanwhile', 'PoolMissing');
      expectTold(await user.run('digest', 'default/before'), 'PoolMissing');
      const doctor = await user.run('doctor');
      expect(doctor.stdout).toMatch(/local +default .*PoolMissing/);
      expectTold({ ...doctor, stdout: '' }, 'PoolMissing');
      expect(service.logs()).not.toContain('"call failed"');
      expect(entriesOf(pool)).toEqual(bare(pool));
      expect((await user.volume('before')).status?.phase).toBe('Succeeded');

      await bringBack(pool);
      for (const name of [...names, 'meanwhile']) {
        const volume = await user.untilPhase(name, 'Succeeded', 60_000);
        if (name === 'meanwhile') continue;
        expect(readFileSync(user.diskOf(volume)).equals(image)).toBe(true);
      }
      await until('nothing of the former attempts is left', () => user.staged().length === 0);
      expect((await user.run('digest', 'default/before')).code).toBe(0);
      expect((await user.run('doctor')).stdout).toContain('nothing lies about');
    });
  });
}

test('one record of a newer version: nothing is changed until it can be read, and nothing is lost', async () => {
  const directory = await mkdtemp(join(work, 'newer-'));
  const first = await Service.start({ directory, environment });
  const maker = new ServiceUser(first);
  for (const name of ['newer', 'current']) {
    await maker.create(name, { blank: {} }, '2Mi');
    await maker.untilPhase(name, 'Succeeded');
  }
  const path = join(maker.diskOf(await maker.volume('newer')), '../../volume.json');
  await first.end('SIGTERM');
  const before = await readFile(path, 'utf8');
  const newer = JSON.stringify({ ...JSON.parse(before), schemaVersion: 99, what: 'this version does not know' });
  await writeFile(path, newer);

  const second = await Service.start({ directory, environment });
  const user = new ServiceUser(second);
  await user.create('wanted', { blank: {} }, '2Mi');
  await untilTold(user, 'wanted', 'PoolReadOnly');
  for (const name of ['newer', 'current']) expect((await user.volume(name)).status?.phase).toBe('Succeeded');
  expect((await user.run('digest', 'default/current')).code).toBe(0);
  expectTold(await user.run('digest', 'default/newer'), 'PoolReadOnly');
  expect((await user.run('doctor')).stdout).toMatch(/^newer-record .*has version 99$/m);
  expect(await readFile(path, 'utf8')).toBe(newer);
  await second.end('SIGTERM');

  await writeFile(path, before);
  const third = await Service.start({ directory, environment });
  await new ServiceUser(third).untilPhase('wanted', 'Succeeded');
  expect((await new ServiceUser(third).run('digest', 'default/newer')).code).toBe(0);
  await third.end('SIGTERM');
  await rm(directory, { recursive: true });
});
