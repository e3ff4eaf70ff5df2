// A pool in a directory of its own, for tests; both are gone when the test ends.
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type TransferReport, type VolumeId, type VolumeRecord, volumeIdOf } from '../domain/volume-record.ts';
import { identityOf, type ProcessIdentity } from '../runtime/process-identity.ts';
import { findPrograms } from '../runtime/programs.ts';
import type { ReserveRequest } from '../volumes/new-volume.ts';
import { Pool } from '../volumes/pool.ts';
import type { OpenPoolOptions } from '../volumes/pool-opening.ts';
import { Pools } from '../volumes/pools.ts';
import { leaveNoDevice, loopsOfTest } from './leave-no-device.ts';
import { temporaryDirectory } from './temporary-directory.ts';

export const silentLogger = { info: () => undefined, warn: () => undefined };

export class TemporaryPool {
  readonly root: string;
  readonly directory: string;
  readonly marker: string;
  readonly #undo: AsyncDisposableStack;
  readonly #memory: string;

  private constructor(root: string, memory: string, undo: AsyncDisposableStack) {
    this.#memory = memory;
    this.#undo = undo;
    this.root = root;
    this.directory = join(root, 'pool');
    this.marker = join(root, 'marker');
  }

  static async make(): Promise<TemporaryPool> {
    const undo = new AsyncDisposableStack();
    const root = await temporaryDirectory(undo, 'pool');
    undo.defer(() => leaveNoDevice(root));
    const memory = await mkdtemp('/dev/shm/longshore-pool-');
    undo.defer(() => rm(memory, { recursive: true }));
    return new TemporaryPool(root, memory, undo);
  }

  async open(options: Partial<OpenPoolOptions> = {}): Promise<Pool> {
    const { directory, marker } = this;
    const usual = {
      create: true,
      overcommit: 1,
      logger: silentLogger,
      loops: loopsOfTest(),
      programs: findPrograms([]),
    };
    const pool = await Pool.open({ directory, marker, ...usual, ...options });
    this.#undo.defer(() => pool.close());
    return pool;
  }

  /** The pool as the one of its node, or with others of these names: beside it, so on the same file system, or in memory. */
  async openAll({
    others = [],
    inMemory = [],
    overcommit = 1,
  }: {
    others?: readonly string[];
    inMemory?: readonly string[];
    overcommit?: number;
  } = {}): Promise<Pools> {
    const settings = [
      { name: 'default', directory: this.directory },
      ...others.map((name) => ({ name, directory: this.directoryOf(name) })),
      ...inMemory.map((name) => ({ name, directory: join(this.#memory, name) })),
    ];
    const pools = await Pools.open({ settings, overcommit, logger: silentLogger, loops: loopsOfTest() });
    this.#undo.defer(() => pools.close());
    return pools;
  }

  directoryOf(name: string): string {
    return join(this.root, name);
  }

  /** Everything below a directory of the pool, sorted, without what every pool has. */
  async files(below = ''): Promise<string[]> {
    const everyPool = new Set(['pool.json', 'owner.json', 'ledger.sqlite', 'volumes', 'staging']);
    const names = await readdir(join(this.directory, below), { recursive: true });
    return names.filter((name) => below !== '' || !everyPool.has(name)).sort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#undo.disposeAsync();
  }
}

export function newVolumeId(): VolumeId {
  return volumeIdOf(randomUUID());
}

/** A program that an attempt might have started; it ends by itself after ten minutes. */
export function sleepingChild(): ProcessIdentity {
  const child = identityOf(spawn('sleep', ['600'], { stdio: 'ignore' }).pid ?? 0);
  if (child === undefined) throw new Error('sleep did not start');
  return child;
}

/** Reserves a volume and gives it to attempt 1. */
export async function populatingVolume(
  pool: Pool,
  sizeBytes: number,
  attempt = 1,
  more: Partial<ReserveRequest> = {},
): Promise<VolumeId> {
  const volumeId = newVolumeId();
  await pool.reserve({ ...reserveOf(volumeId, sizeBytes), ...more });
  await pool.claimFence(volumeId, { attempt, generation: 1 });
  return volumeId;
}

export function reserveOf(volumeId: VolumeId, sizeBytes: number, mode: VolumeRecord['mode'] = 'Filesystem') {
  const owner = { namespace: 'default', name: volumeId, uid: volumeId };
  return { volumeId, owner, mode, sizeBytes, generation: 1 };
}

export function reportOf(sizeBytes: number): TransferReport {
  return {
    virtualSizeBytes: sizeBytes,
    allocatedBytes: 0,
    format: 'raw',
    strategy: 'stream',
    verified: 'length',
    fetchedBytes: sizeBytes,
    steps: [],
  };
}
