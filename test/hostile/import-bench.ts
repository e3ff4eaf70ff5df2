// A pool, an attempt and all that an import wants, for tests: one call imports a URL and tells how it ended and what lies in the staging.
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault } from '../../domain/fault.ts';
import type { TransferReport } from '../../domain/volume-record.ts';
import { type ImportRequest, importImage } from '../../importer/import-image.ts';
import { SharedImages } from '../../importer/shared-images.ts';
import type { TransferHooks, TransferProgress } from '../../importer/transfer-hooks.ts';
import { type Config, loadConfig } from '../../runtime/config.ts';
import { createLogger } from '../../runtime/logger.ts';
import { findPrograms, type Programs } from '../../runtime/programs.ts';
import type { Pool } from '../../volumes/pool.ts';
import { QemuImg } from '../../volumes/qemu-img.ts';
import type { Staging } from '../../volumes/staging.ts';
import { populatingVolume, TemporaryPool } from '../temporary-pool.ts';

export interface Ending {
  /** `complete`, or the code of the fault. */
  code: string;
  detail: string;
  fault: Fault | undefined;
  report: TransferReport | undefined;
  /** sha256 of the disk where the import was complete. */
  sha256: string | undefined;
  /** What lies in the staging at the end. */
  left: string[];
  /** Children that were made known to the staging. */
  children: number;
  lastProgress: TransferProgress | undefined;
}

const quick = { connectTimeoutMs: 2000, firstByteTimeoutMs: 400, idleTimeoutMs: 400, sourceAllow: '127.0.0.0/8,::1' };

export class ImportBench {
  readonly #home: TemporaryPool;
  readonly pool: Pool;
  readonly config: Config;
  readonly programs: Programs;
  /** Where it is there, imports of the same share it. */
  readonly #shared: SharedImages | undefined;

  private constructor(home: TemporaryPool, pool: Pool, config: Config, programs: Programs, shared?: SharedImages) {
    this.#home = home;
    this.pool = pool;
    this.config = config;
    this.programs = programs;
    this.#shared = shared;
  }

  /** @param options.keepMs imports of the same share it, and it is kept that long */
  static async make(
    options: {
      programs?: Programs;
      config?: Partial<Config>;
      keepMs?: number;
      directory?: string;
      overcommit?: number;
    } = {},
  ): Promise<ImportBench> {
    const home = await TemporaryPool.make();
    const config = { ...loadConfig({}), ...quick, ...options.config };
    const { directory, overcommit, keepMs } = options;
    const pool = await home.open({
      ...(directory === undefined ? {} : { directory }),
      ...(overcommit === undefined ? {} : { overcommit }),
    });
    const logger = createLogger({ logLevel: 'silent' }, 'test');
    const shared = keepMs === undefined ? undefined : new SharedImages({ images: pool.images, keepMs, logger });
    return new ImportBench(home, pool, config, options.programs ?? findPrograms(['qemu-img']), shared);
  }

  hooks(
    signal: AbortSignal = new AbortController().signal,
  ): TransferHooks & { last: () => TransferProgress | undefined } {
    const { config, programs } = this;
    let last: TransferProgress | undefined;
    const onProgress = (progress: TransferProgress): void => {
      last = progress;
    };
    const logger = createLogger({ logLevel: 'silent' }, 'test');
    const qemuImg = new QemuImg({ programs, config });
    const shared = this.#shared === undefined ? {} : { shared: this.#shared };
    return { signal, onProgress, logger, config, programs, qemuImg, ...shared, last: () => last };
  }

  async staging(sizeBytes: number): Promise<Staging> {
    return this.pool.openStaging(await populatingVolume(this.pool, sizeBytes), 1);
  }

  async import(
    url: string,
    sizeBytes: number,
    more: Partial<ImportRequest> & { signal?: AbortSignal } = {},
  ): Promise<Ending> {
    const source = { kind: 'http' as const, url, headers: [], certificates: [], insecureSkipVerify: false };
    const { signal, ...given } = more;
    const hooks = this.hooks(signal);
    const staging = await this.staging(sizeBytes);
    const run = importImage({ source, sizeBytes, preallocation: false, ...given }, staging, hooks);
    return { ...(await this.endingOf(run, staging)), lastProgress: hooks.last() };
  }

  async endingOf(run: Promise<TransferReport | undefined>, staging: Staging): Promise<Ending> {
    const ending = await run.then(
      (report) => ({ code: 'complete', detail: '', fault: undefined, report }),
      (error: unknown) => {
        if (error instanceof Fault) return { code: error.code, detail: error.detail, fault: error, report: undefined };
        throw error;
      },
    );
    const left = (await readdir(staging.directory)).sort();
    const disk = ending.report === undefined ? undefined : await readFile(staging.diskPath);
    const sha256 = disk === undefined ? undefined : createHash('sha256').update(disk).digest('hex');
    const known = left.includes('children.json')
      ? JSON.parse(await readFile(join(staging.directory, 'children.json'), 'utf8')).children.length
      : 0;
    await staging.discard();
    return { ...ending, sha256, left, children: known, lastProgress: undefined };
  }

  /** Files of images/. */
  async images(): Promise<string[]> {
    return await readdir(join(this.pool.directory, 'images')).catch(() => []); // made with the first one
  }

  /** What the pool holds beside its volumes' records: must be nothing when all attempts were discarded. */
  stagings(): Promise<string[]> {
    return readdir(join(this.pool.directory, 'staging'));
  }

  async close(): Promise<void> {
    await this.#shared?.close();
    await this.#home[Symbol.asyncDispose]();
  }
}
