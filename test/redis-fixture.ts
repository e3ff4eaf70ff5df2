// A real Redis for tests: a private server on a unix socket in a directory of its own, which can be stopped and started again in its place.
import { join } from 'node:path';
import { type EmbeddedRedis, startEmbeddedRedis } from '../runtime/embedded-redis.ts';
import { findPrograms } from '../runtime/programs.ts';
import { temporaryDirectory } from './temporary-directory.ts';

export class RedisFixture {
  readonly directory: string;
  readonly #undo: AsyncDisposableStack;
  #server: EmbeddedRedis;

  private constructor(directory: string, server: EmbeddedRedis, undo: AsyncDisposableStack) {
    this.directory = directory;
    this.#server = server;
    this.#undo = undo;
  }

  static async start(): Promise<RedisFixture> {
    await using undo = new AsyncDisposableStack();
    const directory = await temporaryDirectory(undo, 'redis');
    return new RedisFixture(directory, await startIn(directory), undo.move());
  }

  get url(): string {
    return this.#server.url;
  }

  get pid(): number {
    return this.#server.pid;
  }

  /** Ends the server; its data stays for `start again`. */
  async halt(): Promise<void> {
    await this.#server.stop(2_000);
  }

  /** Starts it again in the same place, with the same data. */
  async resume(): Promise<void> {
    this.#server = await startIn(this.directory);
  }

  async close(): Promise<void> {
    await this.#server.stop(2_000);
    await this.#undo.disposeAsync();
  }
}

function startIn(directory: string): Promise<EmbeddedRedis> {
  const programs = findPrograms(['redis-server', 'setpriv']);
  return startEmbeddedRedis({ directory: join(directory, 'data'), runDirectory: directory, programs });
}
