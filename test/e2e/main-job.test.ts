// The main job from outside: images come in by import and upload, are cloned, compared, cancelled and deleted, with the commands and with curl; and
// a restart of the whole service in between changes nothing.
import { execFileSync, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { HostileServer } from '../hostile/hostile-server.ts';
import { PacedServer } from '../kill/paced-server.ts';
import { Service, until } from '../service-fixture.ts';
import { endOf, expectTold, ServiceUser } from './service-user.ts';

const MiB = 1_048_576;
const sizeBytes = 6 * MiB;
const formats = ['raw', 'qcow2', 'raw.gz', 'raw.xz', 'raw.zst', 'qcow2.gz', 'qcow2.xz', 'qcow2.zst'];
let service: Service;
let user: ServiceUser;
let server: HostileServer;
let slow: PacedServer;
let work: string;
let disk: Buffer;

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 'ls-main-'));
  disk = Buffer.concat([randomBytes(2 * MiB), Buffer.alloc(3 * MiB), randomBytes(MiB)]);
  await writeFile(join(work, 'raw'), disk);
  execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', 'raw', 'qcow2'], { cwd: work });
  for (const name of ['raw', 'qcow2']) {
    execFileSync('gzip', ['-k', name], { cwd: work });
    execFileSync('xz', ['-k', '-0', name], { cwd: work });
    execFileSync('zstd', ['-q', name], { cwd: work });
  }
  [service, server, slow] = await Promise.all([
    Service.start({ directory: join(work, 'data') }),
    HostileServer.start(),
    PacedServer.start(work, MiB / 2),
  ]);
  user = new ServiceUser(service);
  for (const name of formats) server.set(name, await readFile(join(work, name)));
}, 120_000);

afterAll(async () => {
  await Promise.all([server.stop(), slow.stop(), service.end('SIGTERM')]);
  await rm(work, { recursive: true });
});

const nameOf = (format: string): string => format.replaceAll('.', '-');

/** The volume holds the disk, to the byte, and nothing of the attempt is left. */
async function expectDisk(name: string, by: ServiceUser = user): Promise<void> {
  const volume = await by.untilPhase(name, 'Succeeded');
  expect(readFileSync(by.diskOf(volume)).equals(disk)).toBe(true);
  expect(volume.status).toMatchObject({ progress: '100.0%', longshore: { virtualSize: sizeBytes } });
  expect(by.staged()).toEqual([]);
}

describe('an import', () => {
  test.each(formats)('of %s with its checksum', async (format) => {
    const checksum = `sha256:${sha256(await readFile(join(work, format)))}`;
    const words = [server.url('no-ranges', format), nameOf(format), '--size', '6Mi', '--checksum', checksum, '--wait'];
    const ended = await user.run('import', ...words);
    expect(ended).toMatchObject({ code: 0, stdout: expect.stringContaining('verified: digest') });
    await expectDisk(nameOf(format));
  });

  test('all of them have one content digest', async () => {
    const digests = await Promise.all(formats.map(async (name) => (await user.volume(nameOf(name))).status));
    expect(new Set(digests.map((status) => status?.longshore?.contentDigest)).size).toBe(1);
  });

  test('a wrong checksum leaves nothing', async () => {
    const checksum = `sha256:${'1'.repeat(64)}`;
    const words = [server.url('ranges', 'qcow2'), 'wrong', '--size', '6Mi', '--checksum', checksum, '--wait'];
    expectTold(await user.run('import', ...words), 'ChecksumMismatch');
    await user.expectFailed('wrong', 'ChecksumMismatch');
  });
});

describe('an upload', () => {
  const paths = ['/v1beta1/upload', '/v1beta1/upload-async'];
  const cases = paths.flatMap((path) => ['raw', 'qcow2', 'raw.zst'].map((format) => [format, path] as const));
  test.each(cases)('of %s to %s by curl', async (format, path) => {
    const name = `curl-${nameOf(format)}-${path.includes('async') ? 'async' : 'sync'}`;
    const token = await user.openUpload(name, '6Mi');
    const words = ['-sS', '--fail-with-body', '--cacert', join(service.directory, 'ca.crt'), '-T', join(work, format)];
    const headers = ['-X', 'POST', '-H', `Authorization: Bearer ${token}`];
    const url = new URL(path, service.state.uploadProxy).href;
    expect(await endOf(spawn('curl', [...words, ...headers, url]))).toEqual({ code: 0, stdout: '', stderr: '' });
    // Synchronous: the answer comes when the volume is complete.
    if (!path.includes('async')) expect(existsSync(user.diskOf(await user.volume(name)))).toBe(true);
    await expectDisk(name);
  });

  test.each(['raw', 'qcow2'])('of %s by the command', async (format) => {
    const ended = await user.run('upload', join(work, format), `by-command-${format}`);
    expect(ended).toMatchObject({ code: 0, stdout: expect.stringContaining('Succeeded') });
    await expectDisk(`by-command-${format}`);
  });
});

describe('a clone', () => {
  const clone = {
    ...{ apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'DataVolume' },
    spec: { source: { pvc: { namespace: 'default', name: 'raw' } }, storage: {} },
  };

  test('by the administrator into another namespace', async () => {
    const ended = await user.run('clone', 'default/raw', 'other/clone', '--wait');
    expect(ended).toMatchObject({ code: 0, stdout: expect.stringContaining('Succeeded') });
    await expectDisk('clone', new ServiceUser(service, 'other'));
  });

  async function createAs(token: string, name: string): Promise<{ status: number; text: string }> {
    const url = new URL(new ServiceUser(service, 'other').volumesPath, service.state.api);
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    return service.send('POST', url, { headers, body: JSON.stringify({ ...clone, metadata: { name } }) });
  }

  test('by somebody without the right is refused in the words of CDI', async () => {
    const { stdout } = await user.run('user', 'add', 'mallory', '--role', 'edit', '-n', 'other');
    const { status, text } = await createAs(stdout.trim(), 'stolen');
    expect(status).toBe(422);
    expect(text).toContain('User mallory has insufficient permissions in clone source namespace default');
    expect((await new ServiceUser(service, 'other').volume('stolen')).kind).toBe('Status');
    const asked = await user.run('auth', 'can-clone', 'default/raw', 'other/stolen', '--user', 'mallory');
    expectTold(asked, 'CloneForbidden');
    expect(asked.stderr).toContain('create datavolumes.cdi.kubevirt.io/source "raw" in namespace default');
    expect(await user.run('auth', 'can-clone', 'default/raw', 'other/mine')).toMatchObject({
      code: 0,
      stdout: 'yes\n',
    });
    expectTold(await user.run('auth', 'can-clone', 'default/raw', 'other/x', '--user', 'molly'), 'NotFound');
  });

  test('by somebody with the right in both namespaces', async () => {
    const { stdout } = await user.run('user', 'add', 'alice', '--role', 'edit', '-n', 'other', 'default');
    expect(await createAs(stdout.trim(), 'taken')).toMatchObject({ status: 201 });
    const asked = await user.run('auth', 'can-clone', 'default/raw', 'other/taken', '--user', 'alice');
    expect(asked).toMatchObject({ code: 0, stdout: 'yes\n' });
    await expectDisk('taken', new ServiceUser(service, 'other'));
  });
});

describe('looking at it', () => {
  test('path and digest tell of the very bytes', async () => {
    const path = (await user.run('path', 'default/qcow2')).stdout.trim();
    expect(readFileSync(path).equals(disk)).toBe(true);
    const [ofVolume, ofFile] = [
      await user.run('digest', 'default/qcow2', '--sha256'),
      await user.run('digest', join(work, 'raw'), '--sha256'),
    ];
    expect(ofVolume.code).toBe(0);
    expect(ofVolume.stdout).toContain(sha256(disk));
    const digest = (await user.volume('qcow2')).status?.longshore?.contentDigest ?? 'none';
    for (const { stdout } of [ofVolume, ofFile]) expect(stdout).toContain(digest);
  });

  test('the doctor finds nothing', async () => {
    expect(await user.run('doctor')).toMatchObject({ code: 0, stdout: expect.stringContaining('nothing lies about') });
  });
});

test('a restart of the whole service keeps everything', async () => {
  const before = (await user.run('get', '-o', 'json')).stdout;
  expect(await service.end('SIGTERM')).toEqual({ code: 0, signal: null });
  service = await Service.start({ directory: service.directory });
  user = new ServiceUser(service);
  expect((await user.run('get', '-o', 'json')).stdout).toBe(before);
  for (const name of ['raw', 'curl-qcow2-async']) await expectDisk(name);
});

describe('an end that somebody chose', () => {
  async function importSlowly(name: string): Promise<void> {
    await user.create(name, { http: { url: slow.urlOf('raw') } }, '6Mi');
    const fetches = async () => ((await user.volume(name)).status?.longshore?.bytesFetched ?? 0) > 100_000;
    await until(`${name} is fetched`, fetches);
  }

  test('cancel ends a transfer long before it would be done', async () => {
    await importSlowly('cancelled');
    expect((await user.run('cancel', 'default/cancelled')).code).toBe(0);
    await user.untilPhase('cancelled', 'Failed', 30_000);
    await until('nothing is left', () => user.staged().length === 0, 30_000);
    await user.expectFailed('cancelled', 'Cancelled');
    const sent = slow.sentBytes;
    await until('the connection has ended', () => slow.sentBytes - sent < MiB / 2);
  });

  const states: [state: string, make: (name: string) => Promise<unknown>][] = [
    ['waiting', (name) => user.create(name, { pvc: { namespace: 'default', name: 'nowhere' } }, '6Mi')],
    ['transferring', importSlowly],
    ['waiting-for-an-upload', (name) => user.openUpload(name, '6Mi')],
    ['failed', async () => user.volume('cancelled')],
    [
      'succeeded',
      async (name) => {
        await user.create(name, { blank: {} }, '6Mi');
        await user.untilPhase(name, 'Succeeded');
      },
    ],
  ];

  test.each(states)('delete while %s leaves nothing', async (state, make) => {
    const name = state === 'failed' ? 'cancelled' : `deleted-${state}`;
    await make(name);
    const id = (await user.volume(name)).status?.longshore?.volumeId ?? 'no volume id';
    expect((await user.run('delete', `default/${name}`)).code).toBe(0);
    await untilNothingOf(name, id);
  });

  test('delete of everything leaves an empty pool and no job', async () => {
    const { stdout } = await user.run('get', '-o', 'json');
    // Safe: what the command prints is a list of DataVolumes.
    const { items } = JSON.parse(stdout) as { items: { metadata: { namespace: string; name: string } }[] };
    const names = items.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`);
    expect(names.length).toBeGreaterThan(10);
    expect((await user.run('delete', ...names)).code).toBe(0);
    await until('the pool is empty', () => readdirSync(join(service.state.pool, 'volumes')).length === 0, 60_000);
    await until('their files are gone', () => user.staged().length === 0, 60_000);
    expect(await user.run('doctor')).toMatchObject({ code: 0, stdout: expect.stringContaining('nothing lies about') });
    expect(redisKeys().filter((key) => key.includes('pvc-'))).toEqual([]);
  });

  async function untilNothingOf(name: string, id: string): Promise<void> {
    const { volumes, staging } = {
      volumes: join(service.state.pool, 'volumes', id),
      staging: () => user.staged().filter((entry) => entry.startsWith(id)),
    };
    await until(`${name} is gone from the pool`, () => !existsSync(volumes) && staging().length === 0, 60_000);
    const objects = [user.volumesPath, '/api/v1/namespaces/default/persistentvolumeclaims'];
    for (const path of objects) {
      await until('the object is gone', async () => (await service.call('GET', `${path}/${name}`)).status === 404);
    }
    await until('Redis knows nothing of it', () => redisKeys().every((key) => !key.includes(id)), 60_000);
  }

  /** Keys of the private Redis, and what its lists and sets hold. */
  function redisKeys(): string[] {
    const socket = join(service.directory, 'run', 'redis.sock');
    const redis = (...words: string[]) => execFileSync('redis-cli', ['-s', socket, ...words], { encoding: 'utf8' });
    return redis('--scan').split('\n');
  }
});
