// Many volumes from one URL through the whole service: one transfer, each its own disk and its own right to read; and a worker that is killed leaves nothing.
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Service, until } from '../service-fixture.ts';
import { GatedServer } from '../sources/gated-server.ts';
import { ServiceUser } from './service-user.ts';

const MiB = 1_048_576;
const probeBytes = 65_536;
let service: Service;
let user: ServiceUser;
let server: GatedServer;
let work: string;
const disk = Buffer.concat([randomBytes(24 * MiB), Buffer.alloc(8 * MiB), randomBytes(8 * MiB)]);

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 'ls-many-'));
  const environment = { LONGSHORE_SHARED_IMAGE_S: '15', LONGSHORE_BACKOFF_BASE_MS: '100' };
  [service, server] = await Promise.all([
    Service.start({ directory: join(work, 'data'), environment }),
    GatedServer.start(),
  ]);
  user = new ServiceUser(service);
}, 120_000);

afterAll(async () => {
  await Promise.all([server.stop(), service.end('SIGTERM')]);
  await rm(work, { recursive: true });
});

beforeEach(() => server.reset());

const images = (): string[] => {
  const directory = join(service.state.pool, 'images');
  return existsSync(directory) ? readdirSync(directory) : [];
};
const numbered = (prefix: string, count: number): string[] =>
  Array.from({ length: count }, (_, at) => `${prefix}-${at}`);

async function strategyOf(name: string): Promise<string | undefined> {
  const volume = await user.untilPhase(name, 'Succeeded', 60_000);
  expect(readFileSync(user.diskOf(volume)).equals(disk)).toBe(true);
  return volume.status?.longshore?.strategy;
}

describe('many volumes of one URL', () => {
  test('twenty at once are fetched once', async () => {
    const url = server.set('raw', { bytes: disk, headers: { etag: '"twenty"' } });
    server.letGo();
    const names = numbered('many', 20);
    await Promise.all(names.map((name) => user.create(name, { http: { url } }, '40Mi')));
    const strategies = await Promise.all(names.map(strategyOf));
    expect(strategies.filter((strategy) => strategy === 'stream')).toHaveLength(1);
    expect(strategies.filter((strategy) => strategy === 'shared')).toHaveLength(19);
    expect(server.sentBytes).toBeLessThan(1.1 * disk.length + 20 * probeBytes);
    expect(user.staged()).toEqual([]);
    await until('nothing is kept', () => images().length === 0);
  }, 120_000);

  test('a wrong password fails alone, a volume that is deleted hurts nobody, and the one after a lost leader leads', async () => {
    const url = server.set('private', { bytes: disk, headers: { etag: '"private"' }, users: ['anna:secret'] });
    await secret('right', 'anna', 'secret');
    await secret('wrong', 'anna', 'guessed');
    await user.create('leader', { http: { url, secretRef: 'right' } }, '40Mi');
    await until('the leader is under way', () => server.heldRequests > 0);
    for (const name of ['deleted', 'stays']) await user.create(name, { http: { url, secretRef: 'right' } }, '40Mi');
    await until('both have looked', () => server.sentBytes >= 3 * probeBytes);
    await user.create('refused', { http: { url, secretRef: 'wrong' } }, '40Mi');
    await until('it is refused', async () => {
      const { status } = await user.volume('refused');
      return status?.longshore?.fault?.code === 'SourceUnauthorized';
    });
    for (const name of ['deleted', 'leader']) await service.call('DELETE', `${user.volumesPath}/${name}`);
    await until('another one leads', () => server.heldRequests > 1);
    server.letGo();
    expect(await strategyOf('stays')).toBe('stream');
    expect((await user.volume('refused')).status?.phase).not.toBe('Succeeded');
    await until('nothing is left', () => user.staged().length === 0 && images().length === 0);
  }, 60_000);

  test('a worker that is killed while it shares leaves nothing when it is back, and all are filled', async () => {
    const url = server.set('killed', { bytes: disk, headers: { etag: '"killed"' } });
    server.letGo();
    await user.create('kept', { http: { url } }, '40Mi');
    await strategyOf('kept');
    expect(images()).toHaveLength(1);
    const other = server.set('held', { bytes: disk, headers: { etag: '"held"' } });
    server.reset();
    const names = numbered('held', 3);
    await Promise.all(names.map((name) => user.create(name, { http: { url: other } }, '40Mi')));
    await until('one leads, the others wait', () => server.heldRequests > 0 && server.sentBytes >= 3 * probeBytes);
    expect(user.staged()).toHaveLength(3);
    expect(images()).toHaveLength(1);
    process.kill(service.state.processes['worker']?.pid ?? 0, 'SIGKILL');
    await until('the pool was opened anew', () => images().length === 0);
    server.letGo();
    const strategies = await Promise.all(names.map(strategyOf));
    expect(strategies.sort()).toEqual(['shared', 'shared', 'stream']);
    await until('nothing is left', () => user.staged().length === 0 && images().length === 0);
  }, 90_000);
});

async function secret(name: string, accessKeyId: string, secretKey: string): Promise<void> {
  const { status } = await service.call('POST', `/api/v1/namespaces/${user.namespace}/secrets`, {
    ...{ apiVersion: 'v1', kind: 'Secret', metadata: { name }, stringData: { accessKeyId, secretKey } },
  });
  expect(status).toBe(201);
}
