// Notices a consumer that has gone deaf: jobs wait, there is room, and yet none is taken. BullMQ's own isRunning() does not tell that.
import type { Logger } from '../runtime/logger.ts';
import type { RedisConnection } from './connection.ts';

export interface QueueWatchOptions {
  redis: RedisConnection;
  /** `prefix:name` of the queue, as its keys begin. */
  queue: string;
  everyMs: number;
  /** True where the consumer could take another job. */
  hasRoom(): boolean;
  onDeaf(): void;
  logger: Logger;
}

/** Looks in a row at which work waited and nothing was taken. */
const looksUntilDeaf = 3;

export class QueueWatch {
  readonly #options: QueueWatchOptions;
  readonly #timer: NodeJS.Timeout;
  #idleLooks = 0;
  #looking = false;

  constructor(options: QueueWatchOptions) {
    this.#options = options;
    this.#timer = setInterval(() => void this.#look(), options.everyMs);
  }

  /**
   * Gives back what a dead process held, so that it is not waited for until its lock ends. Only for the sole owner of a queue.
   * BullMQ's own check for stalled jobs then moves them within seconds.
   */
  static async releaseDeadJobs(redis: RedisConnection, queue: string): Promise<void> {
    const ids = await redis.lrange(`${queue}:active`, 0, -1);
    if (ids.length > 0) await redis.del(ids.map((id) => `${queue}:${id}:lock`));
  }

  /** A job was taken. */
  took(): void {
    this.#idleLooks = 0;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    const { redis, queue, hasRoom } = this.#options;
    // While Redis is away nothing can be said; the next look comes after its return.
    if (this.#looking || redis.status !== 'ready') return;
    this.#looking = true;
    try {
      const waiting = await redis.llen(`${queue}:wait`);
      this.#idleLooks = waiting > 0 && hasRoom() ? this.#idleLooks + 1 : 0;
    } catch (error) {
      this.#options.logger.debug({ err: error }, 'queue not looked at');
    } finally {
      this.#looking = false;
    }
    if (this.#idleLooks < looksUntilDeaf) return;
    this.#idleLooks = 0;
    this.#options.onDeaf();
  }
}
