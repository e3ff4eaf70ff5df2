// A real Redis for tests: a private server on a unix socket in a directory of its own, which can be stopped and started again in its place.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type EmbeddedRedis, startEmbeddedRedis } from '../runtime/embedded-redis.ts';
import { findPrograms } from '../runtime/programs.ts';

export class RedisFixture {
  readonly directory: string;
  #server: EmbeddedRedis;

  private constructor(directory: string, server: EmbeddedRedis) {
    this.directory = directory;
    this.#server = server;
  }

  static async start(): Promise<RedisFixture> {
    const directory = await mkdtemp(join(tmpdir(), 'ls-redis-'));
    return new RedisFixture(directory, await startIn(directory));
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
    await rm(this.directory, { recursive: true, force: true });
  }
}

function startIn(directory: string): Promise<EmbeddedRedis> {
  const programs = findPrograms(['redis-server', 'setpriv']);
  return startEmbeddedRedis({ directory: join(directory, 'data'), runDirectory: directory, programs });
}
