// The asking end of the queues: one BullMQ queue a node, made when it is first needed. Jobs are hints; adding one that is there changes
// nothing, and a job that ended leaves no trace, so that it can be added again.
import { Queue } from 'bullmq';
import { Fault } from '../domain/fault.ts';
import type { Licence } from '../runtime/licence.ts';
import { type RedisConnection, redisFault } from './connection.ts';
import { type JobPayload, jobIdOf, queueNameOf } from './payload.ts';

/** All keys of the queues begin with it. */
export const queuePrefix = 'longshore';

/** A job in one of these will still run, or runs. */
const alive: readonly string[] = ['waiting', 'delayed', 'active', 'prioritized', 'paused'];

export class JobQueues {
  readonly #redis: RedisConnection;
  readonly #licence: Pick<Licence, 'assertHeld'> | undefined;
  readonly #queues = new Map<string, Queue<JobPayload>>();

  /**
   * @param redis stays the caller's: it is not ended by close()
   * @param licence nothing is asked of Redis while it is not held
   */
  constructor(redis: RedisConnection, licence?: Pick<Licence, 'assertHeld'>) {
    this.#redis = redis;
    this.#licence = licence;
  }

  /** Puts the job into the node's queue, to be taken after `delayMs` at the earliest. @throws Fault RedisUnavailable, Interrupted (no licence) */
  async add(node: string, payload: JobPayload, options: { delayMs?: number } = {}): Promise<void> {
    await this.#asking(() =>
      this.#queueOf(node).add(payload.operation, payload, {
        jobId: jobIdOf(payload),
        delay: Math.max(0, Math.round(options.delayMs ?? 0)),
        attempts: 1,
        removeOnComplete: true,
        removeOnFail: true,
      }),
    );
  }

  /** True where the job waits, is delayed or runs. @throws Fault RedisUnavailable */
  async has(node: string, payload: Pick<JobPayload, 'volumeId' | 'attempt'>): Promise<boolean> {
    const state = await this.#asking(() => this.#queueOf(node).getJobState(jobIdOf(payload)));
    return alive.includes(state);
  }

  /** Takes the job out, unless it runs already. One that is not there is no error. @throws Fault RedisUnavailable */
  async remove(node: string, payload: Pick<JobPayload, 'volumeId' | 'attempt'>): Promise<void> {
    await this.#asking(() => this.#queueOf(node).remove(jobIdOf(payload)));
  }

  async close(): Promise<void> {
    const queues = [...this.#queues.values()];
    this.#queues.clear();
    await Promise.all(queues.map((queue) => queue.close()));
  }

  #queueOf(node: string): Queue<JobPayload> {
    const known = this.#queues.get(node);
    if (known !== undefined) return known;
    const queue = new Queue<JobPayload>(queueNameOf(node), {
      connection: this.#redis,
      prefix: queuePrefix,
      streams: { events: { maxLen: 100 } },
    });
    // The connection tells the log itself; without a listener the event would end the process.
    queue.on('error', () => undefined);
    this.#queues.set(node, queue);
    return queue;
  }

  /** @throws Fault RedisUnavailable, Interrupted (no licence) */
  async #asking<T>(ask: () => Promise<T>): Promise<T> {
    this.#licence?.assertHeld();
    // BullMQ would wait for the connection as long as it takes, before it gives a command that could fail.
    if (this.#redis.status !== 'ready') {
      throw new Fault('RedisUnavailable', `the connection is ${this.#redis.status}`);
    }
    try {
      return await ask();
    } catch (error) {
      throw redisFault(error);
    }
  }
}
