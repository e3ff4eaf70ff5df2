import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createLogger } from '../runtime/logger.ts';
import { RedisFixture } from '../test/redis-fixture.ts';
import { openRedis, type RedisConnection } from './connection.ts';
import { type ConsumerOptions, JobConsumer } from './job-consumer.ts';
import { JobQueues } from './job-queues.ts';
import type { JobPayload } from './payload.ts';
import { WorkerRegistry } from './worker-registry.ts';

const logger = createLogger({ logLevel: 'silent' }, 'test');
const node = 'n1';
const waiting = { timeout: 20_000, interval: 20 };

let server: RedisFixture;
let redis: RedisConnection;
let queues: JobQueues;
let consumer: JobConsumer | undefined;

beforeEach(async () => {
  server = await RedisFixture.start();
  redis = await openRedis(server.url);
  queues = new JobQueues(redis);
});
afterEach(async () => {
  await consumer?.close({ withinMs: 0 });
  consumer = undefined;
  await queues.close();
  redis.disconnect();
  await server.close();
});

function jobOf(number: number, attempt = 1): JobPayload {
  const volumeId = `pvc-00000000-0000-0000-0000-${String(number).padStart(12, '0')}`;
  return { schemaVersion: 1, operation: 'import', volumeId, attempt, generation: 1 };
}

async function consume(process: ConsumerOptions['process'], options: Partial<ConsumerOptions> = {}) {
  const { url: redisUrl } = server;
  consumer = await JobConsumer.start({
    ...{ redisUrl, node, logger, concurrency: 2, lockDurationMs: 2_000, process, watchMs: 200 },
    ...options,
  });
  return consumer;
}

/** A job that runs until it is aborted, and tells why. */
function endless() {
  const reasons: string[] = [];
  const started: JobPayload[] = [];
  const process = async (payload: JobPayload, signal: AbortSignal) => {
    started.push(payload);
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
    reasons.push(signal.reason.code);
  };
  return { process, reasons, started };
}

describe('a job', () => {
  test('is done once though it was added twice, and leaves no trace', async () => {
    const done: JobPayload[] = [];
    await queues.add(node, jobOf(1));
    await queues.add(node, jobOf(1));
    expect(await queues.has(node, jobOf(1))).toBe(true);
    await consume(async (payload) => void done.push(payload));
    await vi.waitFor(async () => expect(await queues.has(node, jobOf(1))).toBe(false), waiting);
    expect(done).toEqual([jobOf(1)]);
    await queues.add(node, jobOf(1));
    await vi.waitFor(() => expect(done).toHaveLength(2), waiting);
  });

  test('waits for its delay and can be taken out', async () => {
    const done: JobPayload[] = [];
    await consume(async (payload) => void done.push(payload));
    await queues.add(node, jobOf(1), { delayMs: 60_000 });
    await queues.add(node, jobOf(2), { delayMs: 300 });
    await vi.waitFor(() => expect(done).toEqual([jobOf(2)]), waiting);
    expect(await queues.has(node, jobOf(1))).toBe(true);
    await queues.remove(node, jobOf(1));
    await queues.remove(node, jobOf(1));
    expect(await queues.has(node, jobOf(1))).toBe(false);
  });

  test('that cannot be read is dropped', async () => {
    const done: JobPayload[] = [];
    await consume(async (payload) => void done.push(payload));
    await queues.add(node, { ...jobOf(1), volumeId: '../../etc' });
    await queues.add(node, jobOf(2));
    await vi.waitFor(() => expect(done).toEqual([jobOf(2)]), waiting);
    expect(await queues.has(node, { volumeId: '../../etc', attempt: 1 })).toBe(false);
  });

  test('that throws is not tried again by the queue', async () => {
    let runs = 0;
    await consume(async () => {
      runs += 1;
      throw new Error('broken');
    });
    await queues.add(node, jobOf(1));
    await vi.waitFor(async () => expect(await queues.has(node, jobOf(1))).toBe(false), waiting);
    expect(runs).toBe(1);
  });

  test('is aborted with Interrupted when its lock is lost', async () => {
    const { process, reasons } = endless();
    const taking = await consume(process);
    await queues.add(node, jobOf(1));
    await vi.waitFor(() => expect(taking.running).toBe(1), waiting);
    await redis.flushall();
    await vi.waitFor(() => expect(reasons).toEqual(['Interrupted']), waiting);
    await vi.waitFor(() => expect(taking.running).toBe(0), waiting);
  });

  test('that a dead process held is given back at once', async () => {
    const first = endless();
    const dead = await consume(first.process, { lockDurationMs: 600_000, concurrency: 1 });
    await queues.add(node, jobOf(1));
    await vi.waitFor(() => expect(first.started).toHaveLength(1), waiting);
    // The lock of the first stays for ten minutes, as that of a killed process does.
    const second = endless();
    await consume(second.process, { lockDurationMs: 600_000 });
    await vi.waitFor(() => expect(second.started).toEqual([jobOf(1)]), waiting);
    await dead.close({ withinMs: 0 });
  });
});

describe('stopping', () => {
  test('lets a job end within the limit', async () => {
    const ends: string[] = [];
    const release = Promise.withResolvers<void>();
    const taking = await consume(async (_payload, signal) => {
      await release.promise;
      ends.push(signal.aborted ? 'aborted' : 'done');
    });
    await queues.add(node, jobOf(1));
    await vi.waitFor(() => expect(taking.running).toBe(1), waiting);
    const closing = taking.close({ withinMs: 5_000 });
    release.resolve();
    await closing;
    consumer = undefined;
    expect(ends).toEqual(['done']);
  });

  test('aborts what runs longer, also while Redis is gone', async () => {
    const { process, reasons } = endless();
    const taking = await consume(process);
    await queues.add(node, jobOf(1));
    await vi.waitFor(() => expect(taking.running).toBe(1), waiting);
    await server.halt();
    const started = performance.now();
    await taking.close({ withinMs: 100 });
    consumer = undefined;
    expect(reasons).toEqual(['Interrupted']);
    expect(performance.now() - started).toBeLessThan(6_000);
  });
});

describe('after trouble with Redis', () => {
  test('jobs are taken again within seconds of its restart', async () => {
    const done: string[] = [];
    await consume(async (payload) => void done.push(payload.volumeId));
    await queues.add(node, jobOf(1));
    await vi.waitFor(() => expect(done).toHaveLength(1), waiting);
    await server.halt();
    await expect(queues.add(node, jobOf(2))).rejects.toMatchObject({ code: 'RedisUnavailable' });
    await server.resume();
    await vi.waitFor(() => queues.add(node, jobOf(3)), waiting);
    const back = performance.now();
    await vi.waitFor(() => expect(done).toContain(jobOf(3).volumeId), waiting);
    expect(performance.now() - back).toBeLessThan(10_000);
  });

  test('jobs are taken again after FLUSHALL', async () => {
    const done: string[] = [];
    await consume(async (payload) => void done.push(payload.volumeId));
    await redis.flushall();
    await queues.add(node, jobOf(1));
    await vi.waitFor(() => expect(done).toHaveLength(1), waiting);
  });

  test('a consumer that has gone deaf listens anew', async () => {
    const done: string[] = [];
    await consume(async (payload) => void done.push(payload.volumeId));
    // A wait list without BullMQ's marker is what a deaf consumer sees: work that nothing wakes it for until its long poll ends (5 s).
    const keys = 'longshore:longshore-n1';
    await queues.add(node, jobOf(9), { delayMs: 600_000 });
    await redis.del(`${keys}:delayed`, `${keys}:marker`);
    await redis.lpush(`${keys}:wait`, `${jobOf(9).volumeId}.1`);
    await vi.waitFor(() => expect(done).toEqual([jobOf(9).volumeId]), { timeout: 4_000, interval: 20 });
  });
});

describe('the registry', () => {
  test('finds a worker, also after FLUSHALL, and forgets it when it ends', async () => {
    const registry = new WorkerRegistry(redis);
    expect(await registry.lookup(node)).toBeUndefined();
    const end = await registry.publish({ node, uploadAddress: '127.0.0.1:1' }, { heartbeatMs: 50 });
    expect(await registry.lookup(node)).toEqual({ schemaVersion: 1, node, uploadAddress: '127.0.0.1:1' });
    await redis.flushall();
    await vi.waitFor(async () => expect(await registry.lookup(node)).toBeDefined(), waiting);
    expect(await redis.pttl(`longshore:workers:${node}`)).toBeGreaterThan(0);
    await end();
    expect(await registry.lookup(node)).toBeUndefined();
  });

  test('does not guess what a newer version wrote', async () => {
    await redis.set(`longshore:workers:${node}`, JSON.stringify({ schemaVersion: 2, where: 'x' }));
    await expect(new WorkerRegistry(redis).lookup(node)).rejects.toMatchObject({ code: 'NewerVersion' });
  });
});
