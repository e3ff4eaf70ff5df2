// A whole worker for tests: real Redis, real certificates, a real pool, and at the other end of the channel a controller that keeps what it is told.
import { randomUUID } from 'node:crypto';
import { mkdir, readdir } from 'node:fs/promises';
import { request } from 'node:https';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { type VolumeId, volumeIdOf } from '../domain/volume-record.ts';
import type { AttemptInputs } from '../jobs/attempt-inputs.ts';
import { Channel } from '../jobs/channel.ts';
import {
  type ControllerCalls,
  controllerCalls,
  type Outcome,
  type ParamsOf,
  type Progress,
  type WorkerCalls,
  workerCalls,
} from '../jobs/channel-protocol.ts';
import { openRedis, type RedisConnection } from '../jobs/connection.ts';
import { JobQueues } from '../jobs/job-queues.ts';
import type { JobOperation, JobPayload } from '../jobs/payload.ts';
import {
  CertificateAuthority,
  controllerName,
  type TlsPair,
  uploadClientName,
  workerName,
} from '../runtime/certificates.ts';
import { type Config, loadConfig } from '../runtime/config.ts';
import { closeServer, formatAddress, listenOn } from '../runtime/listen.ts';
import { createLogger } from '../runtime/logger.ts';
import type { PoolSetting } from '../runtime/pool-settings.ts';
import { findPrograms } from '../runtime/programs.ts';
import { type RunningWorker, startWorker } from '../worker/start-worker.ts';
import { leaveNoDevice } from './leave-no-device.ts';
import { RedisFixture } from './redis-fixture.ts';
import { temporaryDirectory } from './temporary-directory.ts';

const node = 'n1';
const logger = createLogger({ logLevel: process.env['TEST_LOG'] ?? 'silent' }, 'test');

export type ControllerChannel = Channel<WorkerCalls, ControllerCalls>;

/** What the worker told, and what it is told when it asks. */
class ControllerEnd {
  readonly inputs = new Map<string, AttemptInputs>();
  readonly outcomes: { volumeId: string; attempt: number; outcome: Outcome }[] = [];
  readonly received: { volumeId: string; attempt: number; bytes: number }[] = [];
  readonly failedUploads: { volumeId: string; attempt: number; fault: { code: string } }[] = [];
  readonly progress: Progress[] = [];
  hellos = 0;
  channel: ControllerChannel | undefined;
  readonly #server: Server;
  readonly #onReceived: (key: { volumeId: string; attempt: number }) => Promise<void>;

  constructor(tls: TlsPair, onReceived: (key: { volumeId: string; attempt: number }) => Promise<void>) {
    this.#onReceived = onReceived;
    this.#server = createServer({ ...tls, requestCert: true, rejectUnauthorized: true }, (socket) =>
      this.#take(socket),
    );
  }

  async listen(port = 0): Promise<string> {
    return formatAddress(await listenOn(this.#server, { host: '127.0.0.1', port }));
  }

  async close(): Promise<void> {
    this.channel?.close();
    await closeServer(this.#server);
  }

  outcomeOf(volumeId: string, attempt: number): Outcome | undefined {
    return this.outcomes.find((one) => one.volumeId === volumeId && one.attempt === attempt)?.outcome;
  }

  #take(socket: TLSSocket): void {
    const channel: ControllerChannel = new Channel({ socket, asks: workerCalls, answers: controllerCalls, logger });
    channel.handle('hello', async () => {
      this.hellos += 1;
      this.channel = channel;
      return {};
    });
    channel.handle('attempt.inputs', async ({ volumeId, attempt }) => {
      const inputs = this.inputs.get(`${volumeId}.${attempt}`);
      if (inputs === undefined) throw new Error(`no inputs for ${volumeId}.${attempt}`);
      return inputs;
    });
    channel.handle('attempt.result', async (told) => {
      this.outcomes.push(told);
      return {};
    });
    channel.handle('upload.received', async (told) => {
      this.received.push(told);
      await this.#onReceived(told);
      return {};
    });
    channel.handle('upload.failed', async (told) => {
      this.failedUploads.push(told);
      return {};
    });
    channel.onProgress((progress) => this.progress.push(progress));
  }
}

export interface UploadAnswer {
  status: number;
  body: string;
  fault: string | undefined;
}

type ReserveRequest = ParamsOf<WorkerCalls['volume.reserve']>;

export class WorkerFixture {
  readonly directory: string;
  readonly redisServer: RedisFixture;
  readonly redis: RedisConnection;
  readonly queues: JobQueues;
  readonly controller: ControllerEnd;
  readonly config: Config;
  readonly #worker: TlsPair;
  readonly proxy: TlsPair;
  readonly #undo = new AsyncDisposableStack();
  worker: RunningWorker | undefined;

  private constructor(
    parts: Pick<WorkerFixture, 'directory' | 'redisServer' | 'redis' | 'controller' | 'config' | 'proxy' | 'queues'>,
    worker: TlsPair,
  ) {
    this.directory = parts.directory;
    this.redisServer = parts.redisServer;
    this.redis = parts.redis;
    this.controller = parts.controller;
    this.config = parts.config;
    this.#worker = worker;
    this.proxy = parts.proxy;
    this.queues = parts.queues;
  }

  static async start(settings: Partial<Config> = {}): Promise<WorkerFixture> {
    await using undo = new AsyncDisposableStack();
    const directory = await temporaryDirectory(undo, 'worker');
    undo.defer(() => leaveNoDevice(directory));
    await mkdir(join(directory, 'run'), { mode: 0o700 });
    const authority = await CertificateAuthority.openOrCreate(join(directory, 'pki'));
    const both = ['server', 'client'] as const;
    const hosts = ['127.0.0.1'];
    const server = await authority.issue({ name: 'controller', cn: controllerName, hosts, usages: ['server'] });
    const worker = await authority.issue({ name: 'worker', cn: workerName(node), hosts, usages: both });
    const proxy = await authority.issue({ name: 'proxy', cn: uploadClientName, hosts: [], usages: ['client'] });
    const redisServer = await RedisFixture.start();
    undo.defer(() => redisServer.close());
    const redis = await openRedis(redisServer.url);
    undo.defer(() => redis.disconnect());
    const queues = new JobQueues(redis);
    undo.defer(() => queues.close());
    const controller = new ControllerEnd(server, (key) =>
      queues.add(node, { schemaVersion: 1, operation: 'convert', generation: 1, ...key }),
    );
    undo.defer(() => controller.close());
    const config: Config = {
      ...loadConfig({ LONGSHORE_SOURCE_ALLOW: '127.0.0.0/8' }),
      ...{ node, redisUrl: redisServer.url, channelAddress: await controller.listen(), drainSeconds: 1 },
      ...{ backoffBaseMs: 10, idleTimeoutMs: 5_000, lockDurationMs: 3_000 },
      ...settings,
    };
    const parts = { directory, redisServer, redis, controller, config, proxy, queues };
    const fixture = new WorkerFixture(parts, worker);
    await fixture.startWorker();
    fixture.#undo.use(undo.move());
    return fixture;
  }

  async startWorker(): Promise<void> {
    this.worker = await startWorker({
      ...{ config: this.config, tls: this.#worker, logger, pools: this.pools },
      runDirectory: this.runDirectory,
      programs: findPrograms(['qemu-img', 'prlimit', 'setpriv', 'cp', 'xz', 'zstd']),
    });
  }

  get pools(): PoolSetting[] {
    return [{ name: 'default', directory: this.poolDirectory }];
  }

  /** Private, where a proxy of this machine hands bodies over. */
  get runDirectory(): string {
    return join(this.directory, 'run');
  }

  get poolDirectory(): string {
    return join(this.directory, 'pool');
  }

  async close(): Promise<void> {
    await this.worker?.stop();
    await this.#undo.disposeAsync();
  }

  /** The channel as the controller holds it. */
  get channel(): ControllerChannel {
    if (this.controller.channel === undefined) throw new Error('the worker has not said hello');
    return this.controller.channel;
  }

  /** A volume that the attempt owns. */
  async volume(sizeBytes: number, attempt = 1, more: Partial<ReserveRequest> = {}): Promise<VolumeId> {
    const uid = randomUUID();
    const volumeId = volumeIdOf(uid);
    const owner = { namespace: 'ns', name: `claim-${uid}`, uid };
    const asked: ReserveRequest = { volumeId, owner, mode: 'Filesystem', sizeBytes, generation: 1, ...more };
    await this.channel.call('volume.reserve', asked);
    await this.channel.call('volume.claimFence', { volumeId, attempt, generation: 1 });
    return volumeId;
  }

  async uploadSlot(
    sizeBytes: number,
    { contentType, ...more }: Partial<ReserveRequest> & { contentType?: 'archive' } = {},
  ): Promise<VolumeId> {
    const volumeId = await this.volume(sizeBytes, 1, more);
    this.controller.inputs.set(`${volumeId}.1`, { operation: 'convert', sizeBytes, preallocation: false });
    const typed = contentType === undefined ? {} : { contentType };
    await this.channel.call('upload.open', { volumeId, attempt: 1, sizeBytes, preallocation: false, ...typed });
    return volumeId;
  }

  job(operation: JobOperation, volumeId: string, attempt = 1): JobPayload {
    return { schemaVersion: 1, operation, volumeId, attempt, generation: 1 };
  }

  enqueue(operation: JobOperation, volumeId: string, attempt = 1): Promise<void> {
    return this.queues.add(node, this.job(operation, volumeId, attempt));
  }

  diskOf(volumeId: string): string {
    return join(this.poolDirectory, 'volumes', volumeId, 'data', 'disk.img');
  }

  stagings(): Promise<string[]> {
    return readdir(join(this.poolDirectory, 'staging'));
  }

  /** As the upload proxy sends it. */
  async upload(
    volumeId: string,
    body: Buffer | Readable,
    options: {
      path?: string;
      method?: string;
      declaredBytes?: number;
      tls?: Partial<TlsPair>;
      signal?: AbortSignal;
      headers?: Readonly<Record<string, string>>;
    } = {},
  ): Promise<UploadAnswer> {
    const [host, port] = (this.worker?.uploadAddress ?? '').split(':');
    const declared = options.declaredBytes ?? (Buffer.isBuffer(body) ? body.length : undefined);
    const { promise, resolve, reject } = Promise.withResolvers<UploadAnswer>();
    const sending = request({
      ...{ host, port, method: options.method ?? 'POST', path: options.path ?? '/v1beta1/upload' },
      ...{ ...(options.tls ?? this.proxy), ca: this.proxy.ca, agent: false, signal: options.signal },
      headers: {
        'longshore-volume': volumeId,
        ...options.headers,
        ...(declared === undefined ? {} : { 'content-length': declared }),
      },
    });
    sending.on('response', (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      const fault = response.headers['longshore-fault'];
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, body: text, fault: typeof fault === 'string' ? fault : undefined }),
      );
      response.on('error', reject);
    });
    sending.on('error', reject);
    // The answer tells how it went; a body that was refused is cut.
    void pipeline(Buffer.isBuffer(body) ? Readable.from(pieces(body)) : body, sending).catch(() => undefined);
    const answer = await promise;
    sending.destroy();
    return answer;
  }
}

function* pieces(body: Buffer): Generator<Buffer> {
  for (let at = 0; at < body.length; at += 65_536) yield body.subarray(at, at + 65_536);
}
