// What the machine does to a service: a disk that is full or gone, a Redis that ends or may evict, a program that is missing, data of a newer version.
// Starting refuses with the fault, its next step and its exit code; what runs tells it on the object, keeps nothing half-written and goes on by itself.
import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { accessSync, constants, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type FaultCode, faultCatalogue } from '../../domain/fault-catalogue.ts';
import { HostileServer } from '../hostile/hostile-server.ts';
import { RedisFixture } from '../redis-fixture.ts';
import { Service, type ServiceOptions, until } from '../service-fixture.ts';
import { expectTold, ServiceUser } from './service-user.ts';

const MiB = 1_048_576;
const image = randomBytes(20 * MiB);
const quick = { LONGSHORE_BACKOFF_BASE_MS: '100', LONGSHORE_BACKOFF_CAP_MS: '500', LONGSHORE_ATTEMPT_LIMIT: '1000' };
let server: HostileServer;
let work: string;

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 'ls-machine-'));
  server = await HostileServer.start();
  server.set('raw', image);
});

afterAll(async () => {
  await server.stop();
  await rm(work, { recursive: true });
});

/** A start that is not refused goes on for ever. */
const refusalMs = 55_000;

/** A start that is refused ends with the catalogue's exit code, says what is wrong and what to do, and leaves no process. */
async function expectRefused(options: ServiceOptions, code: FaultCode, told: string): Promise<void> {
  const service = await Service.spawn(options);
  const tooLate = setTimeout(() => void service.end('SIGTERM'), refusalMs);
  const end = await service.ended;
  clearTimeout(tooLate);
  const { exit, sentence, nextStep } = faultCatalogue[code];
  expect({ end, output: service.output }).toEqual({ end: { code: exit, signal: null }, output: service.output });
  for (const text of [sentence, nextStep, told]) expect(service.output).toContain(text);
  expect(runningBelow(service.directory)).toEqual([]);
  if (options.directory === undefined) await rm(service.directory, { recursive: true });
}

/** Processes whose command or environment names that directory. */
function runningBelow(directory: string): string[] {
  return readdirSync('/proc')
    .filter((pid) => /^\d+$/.test(pid) && pid !== String(process.pid))
    .filter((pid) => {
      try {
        return ['cmdline', 'environ'].some((file) =>
          readFileSync(`/proc/${pid}/${file}`, 'latin1').includes(directory),
        );
      } catch {
        return false; // it has just ended, or it is not ours
      }
    });
}

/** Directory with links to every program of the PATH but those. */
async function searchPathWithout(...missing: string[]): Promise<string> {
  const directory = await mkdtemp(join(work, 'path-'));
  const wanted = 'setpriv prlimit unshare redis-server cp xz zstd gzip bzip2 qemu-img node'.split(' ');
  for (const name of wanted.filter((program) => !missing.includes(program))) {
    const found = ['/usr/local/bin', '/usr/bin', '/bin'].map((place) => join(place, name)).find(isThere);
    if (found !== undefined) await symlink(found, join(directory, name));
  }
  return directory;
}

function isThere(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false; // absent: the answer is no
  }
}

describe('a service that must not start', () => {
  test.each(['qemu-img', 'redis-server', 'xz'])('without %s', async (program) => {
    const environment = { PATH: await searchPathWithout(program) };
    await expectRefused({ environment }, 'ProgramMissing', `${program} is not installed: sudo apt-get install`);
  });

  test('with a Redis that may evict', async () => {
    const redis = await RedisFixture.start();
    const socket = redis.url.replace('unix://', '');
    execFileSync('redis-cli', ['-s', socket, 'config', 'set', 'maxmemory-policy', 'allkeys-lru'], { stdio: 'ignore' });
    const environment = { LONGSHORE_REDIS_URL: redis.url };
    await expectRefused({ environment }, 'RedisUnsafe', 'maxmemory-policy is allkeys-lru');
    const taken = await Service.start({ environment: { ...environment, LONGSHORE_REDIS_MAY_EVICT: 'yes' } });
    await taken.stop();
    await redis.close();
  });

  test('with a Redis that is not there', async () => {
    const environment = { LONGSHORE_REDIS_URL: `unix://${join(work, 'no.sock')}` };
    await expectRefused({ environment }, 'RedisUnavailable', 'ENOENT');
  });

  describe('over data that is not as it was left', () => {
    let directory: string;
    beforeAll(async () => {
      const service = await Service.start({ directory: await mkdtemp(join(tmpdir(), 'ls-left-')) });
      directory = service.directory;
      const user = new ServiceUser(service);
      await user.create('kept', { blank: {} }, '2Mi');
      await user.untilPhase('kept', 'Succeeded');
      await service.end('SIGTERM');
    });
    afterAll(async () => {
      const service = await Service.start({ directory });
      expect((await new ServiceUser(service).volume('kept')).status?.phase).toBe('Succeeded');
      await service.stop();
      await rm(directory, { recursive: true });
    });

    test('a store of a newer version', async () => {
      const path = join(directory, 'store', 'objects.sqlite');
      const before = await schemaVersionOf(path);
      await setSchemaVersion(path, 99);
      await expectRefused({ directory }, 'NewerVersion', '99');
      await setSchemaVersion(path, before);
    });

    test('a pool of a newer version', async () => {
      const path = join(directory, 'pools', 'default', 'pool.json');
      const before = await readFile(path, 'utf8');
      await writeFile(path, JSON.stringify({ ...JSON.parse(before), schemaVersion: 99 }));
      await expectRefused({ directory }, 'NewerVersion', '99');
      await writeFile(path, before);
    });

    test('a pool whose directory is missing, or empty', async () => {
      const pool = join(directory, 'pools', 'default');
      await rename(pool, `${pool}-away`);
      await expectRefused({ directory }, 'PoolMissing', pool);
      execFileSync('mkdir', [pool]);
      await expectRefused({ directory }, 'PoolMissing', pool);
      expect(readdirSync(pool)).toEqual([]);
      await rm(pool, { recursive: true });
      await rename(`${pool}-away`, pool);
    });

    test('a pool that another service has', async () => {
      const pool = join(directory, 'pools', 'default');
      const owner = await Service.start({ directory });
      await expectRefused({ words: ['--pool', pool] }, 'PoolInUse', 'process');
      await owner.end('SIGTERM');
    });
  });

  test('the command says so where no service runs', async () => {
    const nowhere = { directory: join(work, 'nowhere') };
    // Safe: only the directory is looked at.
    const ended = await new ServiceUser(nowhere as Service).run('get');
    expectTold(ended, 'ServiceUnreachable');
  });
});

async function schemaVersionOf(path: string): Promise<number> {
  using database = new DatabaseSync(path);
  return Number(database.prepare('SELECT version FROM schemaVersion').get()?.['version']);
}

async function setSchemaVersion(path: string, version: number): Promise<void> {
  using database = new DatabaseSync(path);
  database.prepare('UPDATE schemaVersion SET version = ?').run(version);
}

describe('a Redis that ends while an import runs', () => {
  test('the private one is started again', async () => {
    const service = await Service.start({ environment: quick });
    const user = new ServiceUser(service);
    const before = service.state.processes['redis']?.pid ?? 0;
    process.kill(before, 'SIGKILL');
    await user.create('during', { http: { url: server.url('ranges', 'raw') } }, '20Mi');
    const volume = await user.untilPhase('during', 'Succeeded');
    expect(readFileSync(user.diskOf(volume)).equals(image)).toBe(true);
    expect(service.state.processes['redis']?.pid).not.toBe(before);
    await service.stop();
  });

  test("somebody else's is waited for", async () => {
    const redis = await RedisFixture.start();
    const service = await Service.start({ environment: { ...quick, LONGSHORE_REDIS_URL: redis.url } });
    const user = new ServiceUser(service);
    await redis.halt();
    await user.create('during', { http: { url: server.url('ranges', 'raw') } }, '20Mi');
    await until('the worker tells', async () => (await service.probe('worker', 'readyz')).status === 503);
    expect((await user.volume('during')).status?.phase).not.toBe('Failed');
    await redis.resume();
    const volume = await user.untilPhase('during', 'Succeeded', 60_000);
    expect(readFileSync(user.diskOf(volume)).equals(image)).toBe(true);
    await until('it is ready again', async () => (await service.probe('worker', 'readyz')).status === 200);
    await service.stop();
    await redis.close();
  });
});

/** A small file system to fill; undefined where this machine lets nobody mount one. */
function canMount(): boolean {
  if (process.getuid?.() !== 0) return false;
  const tried = spawnSync('sh', ['-c', 'd=$(mktemp -d) && mount -t tmpfs none "$d" && umount "$d" && rmdir "$d"']);
  return tried.status === 0;
}

describe.skipIf(!canMount())('a disk of its own for the pool (needs root and mount)', () => {
  let disk: string;
  let service: Service;
  let user: ServiceUser;
  beforeAll(async () => {
    disk = await mkdtemp(join(tmpdir(), 'ls-disk-'));
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'none', disk]);
    service = await Service.start({
      // What was imported is kept for nobody: the disk becomes smaller than that.
      environment: { ...quick, LONGSHORE_OVERCOMMIT: '100', LONGSHORE_SHARED_IMAGE_S: '0' },
      words: ['--pool', join(disk, 'pool')],
    });
    user = new ServiceUser(service);
  });
  afterAll(async () => {
    await service.stop();
    execFileSync('umount', [disk]);
    await rm(disk, { recursive: true });
  });

  test('an import into a full one keeps nothing, and goes on when there is room', async () => {
    await user.create('full', { http: { url: server.url('ranges', 'raw') } }, '20Mi');
    await until('it is told', async () => (await user.volume('full')).status?.longshore?.fault?.code === 'NoSpace');
    const { phase, longshore } = (await user.volume('full')).status ?? {};
    expect(phase).not.toBe('Failed');
    expect(longshore?.fault).toMatchObject({ retryable: true, nextStep: faultCatalogue.NoSpace.nextStep });
    expect(longshore?.nextAttemptAt ?? '').toMatch(/^\d{4}-/);
    await until('it waits with nothing kept', () => user.staged().length === 0);
    execFileSync('mount', ['-o', 'remount,size=64m', disk]);
    const volume = await user.untilPhase('full', 'Succeeded');
    expect(readFileSync(user.diskOf(volume)).equals(image)).toBe(true);
    expect(user.staged()).toEqual([]);
    expect(volume.status?.longshore?.fault).toBeUndefined();
    await user.run('delete', 'default/full');
  });

  test('an upload into a full one is refused, and taken when there is room', async () => {
    execFileSync('mount', ['-o', 'remount,size=8m', disk]);
    const token = await user.openUpload('upload', '20Mi');
    expect(await user.upload(token, image)).toMatchObject({ fault: 'NoSpace' });
    await until('nothing is kept', () => user.staged().length === 0);
    execFileSync('mount', ['-o', 'remount,size=64m', disk]);
    await user.untilPhase('upload', 'UploadReady');
    expect(await user.upload(token, image)).toMatchObject({ status: 200 });
  });
});
