// The CSI driver over a temporary pool, and a client of it that speaks gRPC over the socket as the kubelet and the provisioner do. Everything, mounts
// too, is gone when the test ends.
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Client, type ClientUnaryCall, credentials, type ServiceDefinition, type ServiceError } from '@grpc/grpc-js';
import { loadServices, type ServiceName } from '../csi/grpc-services.ts';
import { readMountTable } from '../csi/mount-table.ts';
import { type CsiDriver, type CsiDriverOptions, startCsiDriver } from '../csi/start-csi-driver.ts';
import { type VolumeRecord, volumeIdOf } from '../domain/volume-record.ts';
import { createLogger } from '../runtime/logger.ts';
import { findPrograms } from '../runtime/programs.ts';
import type { Pool } from '../volumes/pool.ts';
import { populatingVolume, reportOf, reserveOf, TemporaryPool } from './temporary-pool.ts';

export const driverName = 'csi.longshore.dev';
export const topologyKey = `topology.${driverName}/node`;

/** What mounting needs. */
export const isRoot = process.geteuid?.() === 0;

export type Reply = Record<string, unknown>;

const definitionOf = loadServices();

/** A client of one socket. */
export class CsiClient {
  readonly #client: Client;

  constructor(socketPath: string) {
    this.#client = new Client(`unix:${socketPath}`, credentials.createInsecure());
  }

  /** @throws ServiceError with the status */
  call(service: ServiceName, method: string, request: object, deadlineMs = 30_000): Promise<Reply> {
    return this.begin(service, method, request, deadlineMs).reply;
  }

  begin(service: ServiceName, method: string, request: object, deadlineMs = 30_000) {
    const definition: ServiceDefinition = definitionOf(service);
    const found = definition[method];
    if (found === undefined) throw new Error(`${service} has no ${method}`);
    const { promise, resolve, reject } = Promise.withResolvers<Reply>();
    const options = { deadline: Date.now() + deadlineMs };
    const answered = (error: ServiceError | null, reply?: Reply) =>
      error === null ? resolve(reply ?? {}) : reject(error);
    const { path, requestSerialize, responseDeserialize } = found;
    const call: ClientUnaryCall = this.#client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      options,
      answered,
    );
    return { reply: promise, cancel: () => call.cancel() };
  }

  close(): void {
    this.#client.close();
  }
}

export class CsiFixture {
  readonly place: TemporaryPool;
  readonly pool: Pool;
  readonly socketPath: string;
  readonly driver: CsiDriver;
  readonly client: CsiClient;

  readonly #undo: AsyncDisposableStack;

  private constructor(parts: Pick<CsiFixture, 'place' | 'pool' | 'socketPath' | 'driver'>, undo: AsyncDisposableStack) {
    this.place = parts.place;
    this.pool = parts.pool;
    this.socketPath = parts.socketPath;
    this.driver = parts.driver;
    this.client = new CsiClient(parts.socketPath);
    this.#undo = undo;
  }

  static async start(options: Partial<CsiDriverOptions> & { overcommit?: number } = {}): Promise<CsiFixture> {
    await using undo = new AsyncDisposableStack();
    const place = undo.use(await TemporaryPool.make());
    const pools = options.pools ?? (await place.openAll({ overcommit: options.overcommit ?? 100 }));
    const pool = pools.named('default');
    const socketPath = join(place.root, 'csi', 'csi.sock');
    const driver = await startCsiDriver({
      ...{ driver: driverName, version: '1.2.3', node: 'node-1', pools, socketPath },
      programs: findPrograms([]),
      logger: createLogger({ logLevel: 'silent' }, 'csi'),
      whoFills: async () => 'nobody',
      deleteVolume: (volumeId) => pools.delete(volumeId),
      ...options,
    });
    undo.defer(async () => {
      for (const path of (await mountsBelow(place.root)).reverse()) execFileSync('umount', ['--lazy', path]);
    });
    undo.defer(() => driver.stop());
    return new CsiFixture({ place, pool, socketPath, driver }, undo.move());
  }

  controller(method: string, request: object): Promise<Reply> {
    return this.client.call('csi.v1.Controller', method, request);
  }

  node(method: string, request: object): Promise<Reply> {
    return this.client.call('csi.v1.Node', method, request);
  }

  /** A directory in which targets are made, as the kubelet makes one for each pod. */
  async targets(): Promise<string> {
    const path = join(this.place.root, 'pods');
    await mkdir(path, { recursive: true });
    return path;
  }

  /** What is mounted below the root of the fixture. */
  mounts(): Promise<string[]> {
    return mountsBelow(this.place.root);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client.close();
    await this.#undo.disposeAsync();
  }
}

async function mountsBelow(root: string): Promise<string[]> {
  const table = await readMountTable();
  return table.map(({ mountPoint }) => mountPoint).filter((path) => path.startsWith(`${root}/`));
}

export const mib = 1024 ** 2;

export function capability(mode = 'SINGLE_NODE_WRITER', mount: object = {}) {
  return { mount, accessMode: { mode } };
}

/** The request that the external-provisioner sends for a claim. */
export function createRequest(claimUid: string, requiredBytes: number = mib, more: object = {}) {
  return {
    name: `pvc-${claimUid}`,
    capacityRange: { requiredBytes },
    volumeCapabilities: [capability()],
    parameters: {
      'csi.storage.k8s.io/pvc/name': 'disk',
      'csi.storage.k8s.io/pvc/namespace': 'machines',
      'csi.storage.k8s.io/pv/name': `pvc-${claimUid}`,
    },
    accessibilityRequirements: {
      requisite: [{ segments: { [topologyKey]: 'node-1' } }],
      preferred: [{ segments: { [topologyKey]: 'node-1' } }],
    },
    ...more,
  };
}

export function publishRequest(volume: Pick<VolumeRecord, 'volumeId'>, targetPath: string, more: object = {}) {
  return {
    volumeId: volume.volumeId,
    stagingTargetPath: '/staging',
    targetPath,
    volumeCapability: capability(),
    readonly: false,
    ...more,
  };
}

export function blockCapability(mode = 'SINGLE_NODE_WRITER') {
  return { block: {}, accessMode: { mode } };
}

/** A volume of 10 MiB that nobody has filled. */
export async function emptyVolume(csi: CsiFixture): Promise<VolumeRecord> {
  return await csi.pool.reserve(reserveOf(volumeIdOf(randomUUID()), 10 * mib));
}

/** A volume of 10 MiB whose disk holds this text. */
export async function completeVolume(csi: CsiFixture, content = 'the disk'): Promise<VolumeRecord> {
  const id = await populatingVolume(csi.pool, 10 * mib);
  const staging = await csi.pool.openStaging(id, 1);
  await writeFile(staging.diskPath, content);
  return await csi.pool.commit(staging, reportOf(content.length));
}

/** A program of our own in place of one of the system's, in a directory of the fixture's. */
export async function programsWith(csi: { place: { root: string } }, name: string, script: string) {
  const directory = join(csi.place.root, 'programs');
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, name), `#!/bin/sh\n${script}\n`);
  await chmod(join(directory, name), 0o755);
  return findPrograms(['mount', 'umount'], `${directory}:/usr/bin:/bin`);
}
