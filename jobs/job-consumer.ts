// The taking end of one node's queue. The only one there is: the worker owns its node's pool by a lock, so what lies `active` when it starts belonged to a
// process that is dead, and is given back at once. A job that loses its lock is aborted; after any trouble with Redis jobs are taken
// again within seconds. BullMQ never retries: how a job ended is told over the channel, not here.
import { type Job, Worker } from 'bullmq';
import { Compile } from 'typebox/compile';
import { Fault, toFault } from '../domain/fault.ts';
import type { Logger } from '../runtime/logger.ts';
import { openRedis, type RedisConnection } from './connection.ts';
import { queuePrefix } from './job-queues.ts';
import { JobPayload, queueNameOf } from './payload.ts';
import { QueueWatch } from './queue-watch.ts';

/** Does one job. Resolves however the job ended; ends soon after the signal aborts. */
export type JobProcessor = (payload: JobPayload, signal: AbortSignal) => Promise<void>;

export interface ConsumerOptions {
  redisUrl: string;
  node: string;
  concurrency: number;
  lockDurationMs: number;
  logger: Logger;
  process: JobProcessor;
  /** How often the queue is looked at for jobs that nobody takes. Default 3 s. */
  watchMs?: number;
}

const payloadCheck = Compile(JobPayload);
/** How long aborted jobs may take to clean up. */
const abortGraceMs = 5_000;

export class JobConsumer {
  readonly #options: ConsumerOptions;
  readonly #redis: RedisConnection;
  readonly #watch: QueueWatch;
  readonly #running = new Map<string, { abort: AbortController; done: Promise<void> }>();
  #worker: Worker<JobPayload>;
  #stopping = false;

  private constructor(options: ConsumerOptions, redis: RedisConnection) {
    this.#options = options;
    this.#redis = redis;
    this.#worker = this.#takeJobs();
    this.#watch = new QueueWatch({
      redis,
      queue: `${queuePrefix}:${queueNameOf(options.node)}`,
      everyMs: options.watchMs ?? 3_000,
      hasRoom: () => this.#running.size < options.concurrency,
      onDeaf: () => this.#replaceWorker(),
      logger: options.logger,
    });
  }

  /** @throws Fault RedisUnavailable, InvalidSetting */
  static async start(options: ConsumerOptions): Promise<JobConsumer> {
    const redis = await openRedis(options.redisUrl, { patient: true, logger: options.logger });
    await QueueWatch.releaseDeadJobs(redis, `${queuePrefix}:${queueNameOf(options.node)}`);
    return new JobConsumer(options, redis);
  }

  /** Number of jobs that run now. */
  get running(): number {
    return this.#running.size;
  }

  /** Takes no further job, waits at most `withinMs` for those that run, then aborts them with `Interrupted`. Leaves no connection. */
  async close(options: { withinMs: number }): Promise<void> {
    this.#stopping = true;
    this.#watch.stop();
    await this.#worker.pause(true);
    await this.#settled(options.withinMs);
    for (const { abort } of this.#running.values()) abort.abort(new Fault('Interrupted', 'the worker stops'));
    await this.#settled(abortGraceMs);
    // BullMQ's own end waits for an answer of Redis, which may be gone for good.
    await Promise.race([this.#worker.close(), afterMs(2_000)]);
    void this.#worker.disconnect().catch(() => undefined);
    this.#redis.disconnect();
  }

  async #settled(withinMs: number): Promise<void> {
    const all = Promise.allSettled([...this.#running.values()].map((run) => run.done));
    await Promise.race([all, afterMs(withinMs)]);
  }

  #takeJobs(): Worker<JobPayload> {
    const { logger, lockDurationMs } = this.#options;
    const worker = new Worker<JobPayload>(queueNameOf(this.#options.node), (job: Job<JobPayload>) => this.#take(job), {
      connection: this.#redis,
      prefix: queuePrefix,
      concurrency: this.#options.concurrency,
      lockDuration: lockDurationMs,
      stalledInterval: Math.min(lockDurationMs, 2_500),
      // The fence decides what may run again, not a count.
      maxStalledCount: 1_000_000,
      runRetryDelay: 1_000,
      // Longest blocking read of an empty queue; a job that comes ends it at once.
      drainDelay: 10,
      removeOnComplete: { count: 0 },
      removeOnFail: { count: 0 },
    });
    worker.on('lockRenewalFailed', (ids) => {
      for (const id of ids) this.#abortLost(id);
    });
    worker.on('error', (error) => logger.debug({ err: error }, 'queue'));
    return worker;
  }

  async #take(job: Job<JobPayload>): Promise<void> {
    this.#watch.took();
    // Taken in the moment of stopping: what it was for is scheduled again.
    if (this.#stopping) return;
    const id = job.id ?? '';
    const payload: unknown = job.data;
    if (!payloadCheck.Check(payload)) {
      this.#options.logger.error(
        { job: id },
        'a job that cannot be read is dropped; what it was for is scheduled again',
      );
      return;
    }
    const abort = new AbortController();
    const done = this.#options.process(payload, abort.signal).catch((error: unknown) => {
      this.#options.logger.error({ err: toFault(error), job: id }, 'job ended without a result');
    });
    const run = { abort, done };
    this.#running.set(id, run);
    await done;
    if (this.#running.get(id) === run) this.#running.delete(id);
  }

  #abortLost(id: string): void {
    this.#running.get(id)?.abort.abort(new Fault('Interrupted', 'the lock of the job was lost'));
  }

  /** A worker that takes nothing although there is work is left to end its jobs, and a new one made. */
  #replaceWorker(): void {
    if (this.#stopping) return;
    this.#options.logger.warn('the queue holds jobs that nobody takes; listening anew');
    const deaf = this.#worker;
    this.#worker = this.#takeJobs();
    void deaf.close().catch((error: unknown) => this.#options.logger.debug({ err: error }, 'queue'));
  }
}

function afterMs(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms).unref();
  });
}
