// A controller for tests, in real surroundings: the embedded store in a directory of its own, a real Redis, real certificates. The worker's end is
// scripted, or left to the test.
import { join } from 'node:path';
import { startGarbageCollector } from '../api/garbage-collector.ts';
import { objectRestorer } from '../api/object-restorer.ts';
import { seed } from '../api/seed.ts';
import { SqliteStore } from '../api/store/sqlite-store.ts';
import { type Controller, startController } from '../controller/start-controller.ts';
import type { DataVolume, DataVolumeSpec } from '../domain/data-volume.ts';
import type { Claim } from '../domain/kube-shapes.ts';
import type { KubeObject, ObjectKey, ResourceRef } from '../domain/object-store.ts';
import type { Provisioning } from '../domain/provisioning.ts';
import { resources } from '../domain/resources.ts';
import { openRedis, type RedisConnection } from '../jobs/connection.ts';
import { JobQueues } from '../jobs/job-queues.ts';
import { CertificateAuthority, type TlsPair, workerName } from '../runtime/certificates.ts';
import { type Config, loadConfig } from '../runtime/config.ts';
import type { Licence } from '../runtime/licence.ts';
import { createLogger, type Logger } from '../runtime/logger.ts';
import { RedisFixture } from './redis-fixture.ts';
import { ScriptedWorker } from './scripted-worker.ts';
import { temporaryDirectory } from './temporary-directory.ts';

/** Where the fixture makes what has no other place. */
export const key = (name: string): ObjectKey => ({ namespace: 'default', name });
/** An import, which the scripted worker does. */
export const http = { source: { http: { url: 'http://127.0.0.1:1/disk.raw' } } };

export interface ControllerFixtureOptions {
  environment?: Record<string, string>;
  sweepMs?: number;
  provisioning?: Provisioning;
  licence?: Pick<Licence, 'assertHeld'>;
  /** Volumes that are not in the store come back, as where it is new. */
  restores?: boolean;
}

export class ControllerFixture {
  readonly directory: string;
  readonly store: SqliteStore;
  readonly redis: RedisFixture;
  readonly logger: Logger;
  readonly config: Config;
  readonly #authority: CertificateAuthority;
  readonly #options: ControllerFixtureOptions;
  readonly #workers: ScriptedWorker[] = [];
  readonly #undo = new AsyncDisposableStack();
  readonly queues: JobQueues;
  controller: Controller | undefined;

  private constructor(
    parts: Pick<ControllerFixture, 'directory' | 'store' | 'redis' | 'logger' | 'config'>,
    connection: RedisConnection,
    authority: CertificateAuthority,
    options: ControllerFixtureOptions,
  ) {
    this.directory = parts.directory;
    this.store = parts.store;
    this.redis = parts.redis;
    this.logger = parts.logger;
    this.config = parts.config;
    this.#authority = authority;
    this.#options = options;
    this.queues = new JobQueues(connection);
  }

  static async start(options: ControllerFixtureOptions = {}): Promise<ControllerFixture> {
    await using undo = new AsyncDisposableStack();
    const directory = await temporaryDirectory(undo, 'controller');
    const redis = await RedisFixture.start();
    undo.defer(() => redis.close());
    const config = loadConfig({
      LONGSHORE_LOG_LEVEL: 'silent',
      LONGSHORE_BACKOFF_BASE_MS: '20',
      LONGSHORE_REDIS_URL: redis.url,
      ...options.environment,
    });
    const logger = createLogger(config, 'test');
    const store = await SqliteStore.open(directory);
    undo.defer(() => store.close());
    await seed(store);
    const connection = await openRedis(redis.url);
    undo.defer(() => connection.disconnect());
    const authority = await CertificateAuthority.openOrCreate(join(directory, 'pki'));
    const fixture = new ControllerFixture({ directory, store, redis, logger, config }, connection, authority, options);
    undo.defer(() => fixture.queues.close());
    const collector = startGarbageCollector(store, logger);
    undo.defer(() => collector.stop());
    await fixture.startController();
    fixture.#undo.use(undo.move());
    return fixture;
  }

  async startController(): Promise<void> {
    const channelTls = await this.#authority.issue({
      ...{ name: 'controller', cn: 'system:longshore:controller', hosts: ['127.0.0.1'], usages: ['server'] },
    });
    const { store, queues, config, logger } = this;
    const { sweepMs, provisioning, licence, restores } = this.#options;
    this.controller = await startController({
      ...{ store, queues, channelTls, config, logger },
      ...(sweepMs === undefined ? {} : { sweepMs }),
      ...(provisioning === undefined ? {} : { provisioning }),
      ...(licence === undefined ? {} : { licence }),
      ...(restores === true ? { restorer: objectRestorer(store) } : {}),
    });
  }

  async stopController(): Promise<void> {
    await this.controller?.stop();
    this.controller = undefined;
  }

  tlsOf(node: string): Promise<TlsPair> {
    return this.#authority.issue({ name: `worker-${node}`, cn: workerName(node), hosts: [], usages: ['client'] });
  }

  /** A worker that is connected and takes jobs. */
  /** @param prepare what its pools hold when it connects first */
  async worker(node = 'local', prepare?: (worker: ScriptedWorker) => void): Promise<ScriptedWorker> {
    const worker = new ScriptedWorker({
      ...{ node, address: this.controller?.channelAddress ?? '', tls: await this.tlsOf(node) },
      ...{ redisUrl: this.redis.url, logger: this.logger },
    });
    this.#workers.push(worker);
    prepare?.(worker);
    await worker.connect();
    await worker.takeJobs();
    return worker;
  }

  dataVolume(name: string, spec: DataVolumeSpec, annotations: Record<string, string> = {}): Promise<DataVolume> {
    return this.store.create(resources.dataVolumes, {
      apiVersion: 'cdi.kubevirt.io/v1beta1',
      kind: 'DataVolume',
      metadata: { namespace: 'default', name, annotations },
      spec: { storage: { resources: { requests: { storage: '1Mi' } } }, ...spec },
    });
  }

  claim(name: string, annotations: Record<string, string> = {}): Promise<Claim> {
    return this.store.create(resources.claims, {
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: { namespace: 'default', name, annotations },
      spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Mi' } } },
    });
  }

  /** Waits until the object is as wanted; undefined is given where there is none. */
  async until<T extends KubeObject>(
    resource: ResourceRef<T>,
    key: ObjectKey,
    isWanted: (object: T | undefined) => boolean,
    withinMs = 10_000,
  ): Promise<T | undefined> {
    const limit = AbortSignal.timeout(withinMs);
    const now = await this.store.get(resource, key);
    if (isWanted(now)) return now;
    const { namespace } = key;
    let last: T | undefined = now;
    for await (const event of this.store.watch(resource, {
      signal: limit,
      ...(namespace === undefined ? {} : { namespace }),
    })) {
      if (event.type === 'BOOKMARK' || event.object.metadata.name !== key.name) continue;
      last = event.type === 'DELETED' ? undefined : event.object;
      if (isWanted(last)) return last;
    }
    throw new Error(`${resource.kind} ${key.name} did not come to what is wanted: ${JSON.stringify(last, null, 1)}`);
  }

  phase(name: string, phase: string, withinMs?: number): Promise<DataVolume | undefined> {
    const key = { namespace: 'default', name };
    return this.until(resources.dataVolumes, key, (found) => found?.status?.phase === phase, withinMs);
  }

  /** Reasons of the events of an object, in the order in which they were first seen. */
  async eventsOf(
    kind: string,
    name: string,
  ): Promise<{ reason: string; message: string; type: string; count: number }[]> {
    const { items } = await this.store.list(resources.events, { namespace: 'default' });
    return items
      .filter(({ involvedObject }) => involvedObject.kind === kind && involvedObject.name === name)
      .toSorted((one, other) => Number(one.metadata.resourceVersion) - Number(other.metadata.resourceVersion))
      .map(({ reason = '', message = '', type = '', count = 0 }) => ({ reason, message, type, count }));
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.stop()));
    await this.stopController();
    await this.#undo.disposeAsync();
  }
}
