// The one way to Redis: opens connections, and refuses a server that may throw jobs away. A connection reconnects for ever by itself;
// what is asked while Redis is gone fails within seconds with `RedisUnavailable`, except on a patient connection (the consumer's).
import { Redis, type RedisOptions } from 'ioredis';
import { Fault, toFault } from '../domain/fault.ts';
import type { Config } from '../runtime/config.ts';
import type { Logger } from '../runtime/logger.ts';

export type RedisConnection = Redis;

export interface RedisOpening {
  /** Commands wait as long as it takes instead of failing. For BullMQ's workers. */
  patient?: boolean;
  /** How long the first connection may take. */
  withinMs?: number;
  logger?: Logger;
}

const replyTimeoutMs = 5_000;
/** Longer than BullMQ's longest blocking read (10 s), so only a dead connection is silent for that long. */
const blockingSilenceMs = 20_000;

/** redis://, rediss:// and unix:///path/to.sock. @throws Fault InvalidSetting */
function addressOf(url: string): RedisOptions {
  if (!URL.canParse(url)) throw new Fault('InvalidSetting', 'LONGSHORE_REDIS_URL is not a URL');
  const parsed = new URL(url);
  const account = {
    ...(parsed.username === '' ? {} : { username: decodeURIComponent(parsed.username) }),
    ...(parsed.password === '' ? {} : { password: decodeURIComponent(parsed.password) }),
  };
  switch (parsed.protocol) {
    case 'unix:': {
      const db = Number(parsed.searchParams.get('db') ?? '0');
      return { path: decodeURIComponent(parsed.pathname), db, ...account };
    }
    case 'redis:':
    case 'rediss:': {
      const host = parsed.hostname.replace(/^\[|\]$/g, '');
      return {
        host: host === '' ? '127.0.0.1' : host,
        port: parsed.port === '' ? 6379 : Number(parsed.port),
        db: Number(parsed.pathname.slice(1)) || 0,
        ...account,
        ...(parsed.protocol === 'rediss:' ? { tls: { servername: host } } : {}),
      };
    }
    default:
      throw new Fault(
        'InvalidSetting',
        `LONGSHORE_REDIS_URL begins with ${parsed.protocol}, not redis:, rediss: or unix:`,
      );
  }
}

function behaviourOf(patient: boolean): RedisOptions {
  return {
    retryStrategy: (times) => Math.min(50 * 2 ** Math.min(times, 6), 1_000),
    connectTimeout: replyTimeoutMs,
    keepAlive: 5_000,
    ...(patient
      ? { maxRetriesPerRequest: null, socketTimeout: blockingSilenceMs }
      : { maxRetriesPerRequest: 2, commandTimeout: replyTimeoutMs, socketTimeout: replyTimeoutMs }),
  };
}

/** Tells the log once when Redis goes and once when it comes back. */
function watchTrouble(redis: Redis, logger: Logger | undefined): void {
  let gone = false;
  redis.on('error', (error) => {
    if (!gone) logger?.warn({ err: error }, 'Redis cannot be reached');
    gone = true;
  });
  redis.on('ready', () => {
    if (gone) logger?.info('Redis is back');
    gone = false;
  });
}

/**
 * A connection that has answered once. The caller ends it with `redis.disconnect()`.
 * @throws Fault InvalidSetting, RedisUnavailable; no connection is left then
 */
export async function openRedis(url: string, options: RedisOpening = {}): Promise<RedisConnection> {
  const redis = new Redis({ ...addressOf(url), ...behaviourOf(options.patient ?? false), lazyConnect: true });
  watchTrouble(redis, options.logger);
  // What a failed connection says: the promise of connect() only tells that it was closed.
  let trouble: Error | undefined;
  redis.on('error', (error) => {
    trouble = error;
  });
  const limit = AbortSignal.timeout(options.withinMs ?? 10_000);
  const tooLate = Promise.withResolvers<never>();
  limit.addEventListener('abort', () => tooLate.reject(new Error('no answer in time')));
  try {
    await Promise.race([redis.connect().then(() => redis.ping()), tooLate.promise]);
    return redis;
  } catch (error) {
    redis.disconnect();
    throw redisFault(trouble ?? error);
  }
}

/**
 * Waits for a Redis that may only be about to start, however long that takes. No connection is left.
 * @throws Fault InvalidSetting, the signal's reason
 */
export async function awaitRedis(url: string, signal: AbortSignal, logger: Logger): Promise<void> {
  const redis = new Redis({ ...addressOf(url), ...behaviourOf(false), lazyConnect: true });
  watchTrouble(redis, logger);
  const ready = Promise.withResolvers<void>();
  const give = () => ready.reject(toFault(signal.reason, { signal }));
  redis.once('ready', ready.resolve);
  signal.addEventListener('abort', give, { once: true });
  if (signal.aborted) give();
  else redis.connect().catch(() => undefined); // told to the log; it dials again by itself
  try {
    await ready.promise;
  } finally {
    redis.disconnect();
    signal.removeEventListener('abort', give);
  }
}

/** What a failed command means to a caller. */
export function redisFault(error: unknown): Fault {
  return toFault(error, { otherwise: 'RedisUnavailable' });
}

/** `noeviction`, another policy, or undefined where the server does not tell. */
async function evictionPolicyOf(redis: Redis): Promise<string | undefined> {
  const fromInfo = /^maxmemory_policy:(\S+)/m.exec(await redis.info('memory'))?.[1];
  if (fromInfo !== undefined) return fromInfo;
  return redis.config('GET', 'maxmemory-policy').then(
    (reply) => (Array.isArray(reply) && typeof reply[1] === 'string' ? reply[1] : undefined),
    // Managed services forbid CONFIG; that is an answer too: it is not told.
    () => undefined,
  );
}

/**
 * Refuses a Redis that may evict keys, unless the setting redisMayEvict says yes. Warns where nothing is written to disk.
 * @throws Fault RedisUnsafe, RedisUnavailable
 */
export async function refuseEviction(redis: RedisConnection, config: Config, logger?: Logger): Promise<void> {
  const policy = await evictionPolicyOf(redis).catch((error: unknown) => {
    throw redisFault(error);
  });
  if (policy !== 'noeviction') {
    const told = policy === undefined ? 'maxmemory-policy cannot be read' : `maxmemory-policy is ${policy}`;
    if (config.redisMayEvict !== 'yes')
      throw new Fault('RedisUnsafe', `${told}; LONGSHORE_REDIS_MAY_EVICT=yes takes it`);
    logger?.warn({ policy }, `${told}; jobs that Redis throws away are scheduled again`);
  }
  const persistence = await redis.info('persistence').catch((error: unknown) => {
    throw redisFault(error);
  });
  if (/^aof_enabled:0/m.test(persistence)) {
    logger?.warn('Redis keeps no append-only file: after its restart all jobs are scheduled again');
  }
}
