// The processes of a service on one machine: starts them in the order in which they need each other, keeps them, tells who runs where in
// DIR/up.json, and ends them in the reverse order.
//
//   redis ──► api (with the controller) ──► upload proxy, worker
import { rm } from 'node:fs/promises';
import { Fault } from '../domain/fault.ts';
import type { Config } from './config.ts';
import type { DataLayout } from './data-directory.ts';
import { writeDurably } from './durable-file.ts';
import { placeRedisSocket, startEmbeddedRedis } from './embedded-redis.ts';
import { KeptPart } from './kept-part.ts';
import { formatAddress, type ListenAddress } from './listen.ts';
import type { Logger } from './logger.ts';
import { startNodeChild } from './node-child.ts';
import { formatPoolSettings } from './pool-settings.ts';
import type { Programs } from './programs.ts';

export type NodePartName = 'api' | 'uploadproxy' | 'worker';

export interface SupervisorOptions {
  config: Config;
  layout: DataLayout;
  addresses: { api: ListenAddress; uploadProxy: ListenAddress; channel: ListenAddress };
  programs: Programs;
  /** Path of the program of each process. */
  programOf(name: NodePartName): string;
  /** What the processes inherit. */
  environment: Readonly<Record<string, string | undefined>>;
  logger: Logger;
  signal: AbortSignal;
}

export interface Supervisor {
  stop(): Promise<void>;
}

/** Version of the shape of up.json. */
const schemaVersion = 1;
const stopLimitMs = 10_000;

/**
 * Memory: what these processes hold is small and lives short; without limits V8 lets garbage grow first. The growing percent matters where bytes pass:
 * buffers count for the old space until a scavenge frees them, and without it each few MiB of them cost a mark of the whole heap.
 */
const nodeFlags: Readonly<Record<NodePartName, readonly string[]>> = {
  api: ['--max-old-space-size=256', '--max-semi-space-size=2'],
  uploadproxy: ['--max-old-space-size=96', '--max-semi-space-size=1', '--heap-growing-percent=300'],
  worker: ['--max-old-space-size=192', '--max-semi-space-size=2', '--heap-growing-percent=300'],
};

/** @throws the Fault of the first process that cannot start; nothing runs then */
export async function startSupervisor(options: SupervisorOptions): Promise<Supervisor> {
  const undo = new AsyncDisposableStack();
  try {
    const running = new RunningParts(options);
    await running.forgetFormer();
    undo.defer(() => running.forget());
    const redisUrl = await startRedis(options, running, undo);
    const environment = environmentOf(options, redisUrl);
    await startPart('api', environment, options, running, undo);
    // One fails, the other is ended too: both are awaited before the failure is told.
    const results = await Promise.allSettled([
      startPart('uploadproxy', environment, options, running, undo),
      startPart('worker', environment, options, running, undo),
    ]);
    for (const result of results) if (result.status === 'rejected') throw result.reason;
    return { stop: () => undo.disposeAsync() };
  } catch (error) {
    await undo.disposeAsync();
    throw error;
  }
}

async function startRedis(
  options: SupervisorOptions,
  running: RunningParts,
  undo: AsyncDisposableStack,
): Promise<string> {
  const { config, layout, programs, logger } = options;
  if (config.redisUrl !== '') return config.redisUrl;
  const socket = await placeRedisSocket(layout.run);
  undo.defer(() => socket.remove());
  const part = await KeptPart.start({
    name: 'redis',
    logger,
    start: () => startEmbeddedRedis({ directory: layout.redis, runDirectory: layout.run, programs, socket }),
    onStart: (run) => running.note('redis', run.pid, {}),
  });
  undo.defer(() => part.stop(stopLimitMs));
  return socket.url;
}

async function startPart(
  name: NodePartName,
  environment: Readonly<Record<string, string | undefined>>,
  options: SupervisorOptions,
  running: RunningParts,
  undo: AsyncDisposableStack,
): Promise<void> {
  const { config, layout, programs, logger, signal } = options;
  const part = await KeptPart.start({
    name,
    logger,
    start: async () => {
      const run = await startNodeChild({
        name,
        setpriv: programs.path('setpriv'),
        program: options.programOf(name),
        nodeFlags: nodeFlags[name],
        environment: { ...environment, ...ownEnvironment(name, config) },
        logPath: `${layout.log}/${name}.log`,
        signal,
      });
      running.note(name, run.pid, run.addresses);
      return run;
    },
  });
  undo.defer(() => part.stop(name === 'worker' ? config.drainSeconds * 1000 + stopLimitMs : stopLimitMs));
}

function environmentOf(options: SupervisorOptions, redisUrl: string): Record<string, string | undefined> {
  const { layout, addresses } = options;
  return {
    // Who may ask this service may usually reach what listens on this machine, too.
    LONGSHORE_SOURCE_ALLOW: '127.0.0.0/8,::1',
    ...options.environment,
    LONGSHORE_DATA: layout.root,
    LONGSHORE_POOL: formatPoolSettings(layout.pools),
    LONGSHORE_REDIS_URL: redisUrl,
    LONGSHORE_LISTEN: addresses.api.host,
    LONGSHORE_API_PORT: String(addresses.api.port),
    LONGSHORE_UPLOADPROXY_PORT: String(addresses.uploadProxy.port),
    LONGSHORE_CHANNEL: formatAddress(addresses.channel),
    LONGSHORE_API: formatAddress({ host: localHost(addresses.api.host), port: addresses.api.port }),
  };
}

/** Ports of metrics follow each other where one was given: up, api, upload proxy, worker. */
function ownEnvironment(name: NodePartName, config: Config): Record<string, string> {
  const place = { api: 1, uploadproxy: 2, worker: 3 }[name];
  const port = config.metricsPort === 0 ? 0 : config.metricsPort + place;
  const metrics = { LONGSHORE_METRICS_PORT: String(port) };
  // Only the proxy dials the worker, and both are here. File work and hashing share the threads of libuv.
  return name === 'worker' ? { ...metrics, LONGSHORE_LISTEN: '127.0.0.1', UV_THREADPOOL_SIZE: '8' } : metrics;
}

function localHost(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  return host === '::' ? '::1' : host;
}

/** DIR/up.json, kept as it is now. */
class RunningParts {
  readonly #options: SupervisorOptions;
  readonly #parts: Record<string, { pid: number; addresses: Readonly<Record<string, string>> }> = {};
  readonly #startedAt = new Date().toISOString();
  #writing: Promise<void> = Promise.resolve();

  constructor(options: SupervisorOptions) {
    this.#options = options;
  }

  note(name: string, pid: number, addresses: Readonly<Record<string, string>>): void {
    this.#parts[name] = { pid, addresses };
    this.#writing = this.#writing.then(() => this.#write());
  }

  /** What a service that was killed left behind tells of processes that are dead, or of others by now. */
  forgetFormer(): Promise<void> {
    return this.#keep('removed', () => rm(this.#options.layout.up, { force: true }));
  }

  /** The service ends, and the file with it. */
  async forget(): Promise<void> {
    await this.#writing;
    await this.forgetFormer();
  }

  async #write(): Promise<void> {
    const { layout, addresses, config } = this.#options;
    const content = {
      schemaVersion,
      pid: process.pid,
      startedAt: this.#startedAt,
      data: layout.root,
      pool: layout.pools[0].directory,
      pools: layout.pools,
      node: config.node,
      api: `https://${formatAddress(addresses.api)}`,
      uploadProxy: `https://${formatAddress(addresses.uploadProxy)}`,
      processes: this.#parts,
    };
    const text = `${JSON.stringify(content, undefined, 2)}\n`;
    await this.#keep('written', () => writeDurably(layout.up, text, 0o600));
  }

  /** What fails is told and not fatal: nothing of the service reads the file. */
  async #keep(what: 'written' | 'removed', change: () => Promise<void>): Promise<void> {
    const { layout, logger } = this.#options;
    try {
      await change();
    } catch (error) {
      logger.error({ err: new Fault('Internal', `${layout.up} cannot be ${what}`, { cause: error }) }, 'up.json');
    }
  }
}
