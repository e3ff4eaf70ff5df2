// Where the upload server of each node is found: a key in Redis that the worker's heartbeat keeps alive. Emptying Redis loses it for one
// heartbeat only; a worker that died is gone after `lifetimeMs`.
import { type Static, Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { Fault, toFault } from '../domain/fault.ts';
import type { Logger } from '../runtime/logger.ts';
import { type RedisConnection, redisFault } from './connection.ts';

const WorkerEntry = Type.Object({
  schemaVersion: Type.Literal(1),
  node: Type.String(),
  /** host:port of the upload server. */
  uploadAddress: Type.String(),
  /** Of a directory in which it reaches sockets of other processes of its machine; none on a cluster. */
  directoryIdentity: Type.Optional(Type.String()),
});
export type WorkerEntry = Static<typeof WorkerEntry>;

const entryCheck = Compile(WorkerEntry);
const lifetimeMs = 15_000;
const heartbeatMs = 5_000;

function keyOf(node: string): string {
  return `longshore:workers:${node}`;
}

export class WorkerRegistry {
  readonly #redis: RedisConnection;

  /** @param redis stays the caller's */
  constructor(redis: RedisConnection) {
    this.#redis = redis;
  }

  /**
   * Writes the entry now and then with every heartbeat, whatever happens to Redis in between.
   * @returns a function that ends it and removes the entry
   */
  async publish(
    entry: Omit<WorkerEntry, 'schemaVersion'>,
    options: { heartbeatMs?: number; logger?: Logger } = {},
  ): Promise<() => Promise<void>> {
    const text = JSON.stringify({ schemaVersion: 1, ...entry });
    const write = () =>
      this.#redis.set(keyOf(entry.node), text, 'PX', lifetimeMs).then(
        () => undefined,
        (error: unknown) => options.logger?.debug({ err: error }, 'heartbeat not written'),
      );
    await write();
    const timer = setInterval(() => void write(), options.heartbeatMs ?? heartbeatMs);
    return async () => {
      clearInterval(timer);
      await this.#redis.del(keyOf(entry.node)).catch((error: unknown) => {
        options.logger?.debug({ err: error }, 'registry entry not removed; it ends by itself');
      });
    };
  }

  /** @returns undefined where no worker of that node is alive. @throws Fault RedisUnavailable, NewerVersion */
  async lookup(node: string): Promise<WorkerEntry | undefined> {
    const text = await this.#redis.get(keyOf(node)).catch((error: unknown) => {
      throw redisFault(error);
    });
    if (text === null) return undefined;
    const entry = parsed(text);
    if (!entryCheck.Check(entry)) throw new Fault('NewerVersion', `registry entry of node ${node} cannot be read`);
    return entry;
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw toFault(error, { otherwise: 'Internal' });
  }
}
