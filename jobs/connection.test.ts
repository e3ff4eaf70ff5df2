import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { Fault } from '../domain/fault.ts';
import { loadConfig } from '../runtime/config.ts';
import { createLogger } from '../runtime/logger.ts';
import { RedisFixture } from '../test/redis-fixture.ts';
import { awaitRedis, openRedis, refuseEviction } from './connection.ts';

let server: RedisFixture;
beforeAll(async () => {
  server = await RedisFixture.start();
});
afterAll(() => server.close());

describe('openRedis', () => {
  test('opens a unix socket', async () => {
    const redis = await openRedis(server.url);
    expect(await redis.ping()).toBe('PONG');
    redis.disconnect();
  });

  test.each(['unix:///nowhere/redis.sock', 'redis://127.0.0.1:1/0'])(
    '%s is RedisUnavailable within its limit',
    async (url) => {
      const started = performance.now();
      await expect(openRedis(url, { withinMs: 300 })).rejects.toMatchObject({ code: 'RedisUnavailable' });
      expect(performance.now() - started).toBeLessThan(2_000);
    },
  );

  test.each(['', 'http://localhost', 'redis'])('%j is an invalid setting', async (url) => {
    await expect(openRedis(url)).rejects.toMatchObject({ code: 'InvalidSetting' });
  });

  test('a command to a Redis that is gone fails within seconds', async () => {
    const own = await RedisFixture.start();
    const redis = await openRedis(own.url);
    await own.halt();
    const started = performance.now();
    await expect(redis.ping()).rejects.toThrow();
    expect(performance.now() - started).toBeLessThan(5_000);
    redis.disconnect();
    await own.close();
  });
});

describe('awaitRedis', () => {
  const noted = () => {
    const lines: string[] = [];
    const write = (line: string) => lines.push(line);
    return { lines, logger: createLogger({ logLevel: 'info' }, 'test', { write }) };
  };
  const clientsOf = async ({ url }: RedisFixture) => {
    const redis = await openRedis(url);
    const clients = String(await redis.client('LIST'))
      .trim()
      .split('\n');
    redis.disconnect();
    return clients.length - 1;
  };

  test('waits for one that is not there yet, tells it once, and leaves no connection', async () => {
    const own = await RedisFixture.start();
    await own.halt();
    const { lines, logger } = noted();
    const waiting = awaitRedis(own.url, new AbortController().signal, logger);
    await vi.waitFor(() => expect(lines.join('')).toContain('Redis cannot be reached'));
    await own.resume();
    await waiting;
    expect(lines).toHaveLength(2);
    await vi.waitFor(async () => expect(await clientsOf(own)).toBe(0));
    await own.close();
  });

  test('waits no longer than it is told to', async () => {
    const own = await RedisFixture.start();
    await own.halt();
    const { lines, logger } = noted();
    const stop = new AbortController();
    const waiting = awaitRedis(own.url, stop.signal, logger);
    await vi.waitFor(() => expect(lines).toHaveLength(1));
    stop.abort(new Fault('Interrupted', 'the process was asked to stop'));
    await expect(waiting).rejects.toMatchObject({ code: 'Interrupted' });
    await expect(awaitRedis(own.url, stop.signal, logger)).rejects.toMatchObject({ code: 'Interrupted' });
    await own.resume();
    expect(await clientsOf(own)).toBe(0);
    expect(lines).toHaveLength(1);
    await own.close();
  });
});

describe('refuseEviction', () => {
  const config = loadConfig({});
  const silent = createLogger({ logLevel: 'silent' }, 'test');

  async function withPolicy(policy: string, check: (redis: Awaited<ReturnType<typeof openRedis>>) => Promise<void>) {
    const redis = await openRedis(server.url);
    await redis.config('SET', 'maxmemory-policy', policy);
    try {
      await check(redis);
    } finally {
      await redis.config('SET', 'maxmemory-policy', 'noeviction');
      redis.disconnect();
    }
  }

  test('takes noeviction', () => withPolicy('noeviction', (redis) => refuseEviction(redis, config)));

  test('refuses a policy that evicts', () =>
    withPolicy('allkeys-lru', async (redis) => {
      await expect(refuseEviction(redis, config)).rejects.toMatchObject({
        code: 'RedisUnsafe',
        detail: expect.stringContaining('allkeys-lru'),
      });
    }));

  test('takes it where the setting says so', () =>
    withPolicy('allkeys-lru', (redis) => refuseEviction(redis, { ...config, redisMayEvict: 'yes' }, silent)));

  test('warns where nothing is written to disk', async () => {
    const lines: string[] = [];
    const logger = createLogger({ logLevel: 'warn' }, 'test', { write: (line) => lines.push(line) });
    const redis = await openRedis(server.url);
    await redis.config('SET', 'appendonly', 'no');
    await refuseEviction(redis, config, logger);
    await redis.config('SET', 'appendonly', 'yes');
    redis.disconnect();
    expect(lines.join()).toContain('append-only');
  });
});
