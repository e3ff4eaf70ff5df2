// One job of the queue, from the payload to the delivered result. The happy path: take the attempt's inputs from the controller, fill a private staging,
// commit it, tell the report. Whatever goes wrong, the staging is discarded and the fault is told; only an interrupted conversion keeps
// the upload that it was to convert, and asks for another job.

import { cloneFiles } from '../cloner/clone-files.ts';
import { cloneVolume } from '../cloner/clone-volume.ts';
import { Fault, faultRecord, toFault } from '../domain/fault.ts';
import {
  holdsFiles,
  isVolumeId,
  type TransferReport,
  type TransferStep,
  type VolumeId,
  type VolumeRecord,
} from '../domain/volume-record.ts';
import { importArchive } from '../importer/archive/import-archive.ts';
import { convertReceived } from '../importer/convert-received.ts';
import { importImage } from '../importer/import-image.ts';
import type { TransferHooks } from '../importer/transfer-hooks.ts';
import type { AttemptInputs, CloneInputs, ImportInputs } from '../jobs/attempt-inputs.ts';
import type { JobPayload } from '../jobs/payload.ts';
import type { Pool } from '../volumes/pool.ts';
import type { Staging } from '../volumes/staging.ts';
import type { Attempts } from './attempts.ts';
import type { ChannelClient } from './channel-client.ts';
import type { Outbox } from './outbox.ts';
import { explainByPool } from './pool-gone.ts';
import { ProgressReporter } from './progress-reporter.ts';
import { recordTransfer } from './transfer-record.ts';
import type { WorkerTools } from './worker-tools.ts';
import { withWrittenBlocks } from './written-blocks.ts';

export interface JobRunnerOptions extends WorkerTools {
  channel: ChannelClient;
  attempts: Attempts;
  outbox: Outbox;
}

type Job = JobPayload & { volumeId: VolumeId };

export class JobRunner {
  readonly #options: JobRunnerOptions;

  constructor(options: JobRunnerOptions) {
    this.#options = options;
  }

  /** Never rejects: how a job ended goes to the controller, or nowhere where the job is out of date. Leaves no staging but a received upload's. */
  async run(payload: JobPayload, signal: AbortSignal): Promise<void> {
    const { volumeId } = payload;
    if (!isVolumeId(volumeId)) return this.#drop(payload, 'not a volume id');
    const job: Job = { ...payload, volumeId };
    const record = this.#options.pools.get(volumeId);
    if (record === undefined) return this.#drop(payload, 'no such volume');
    if (record.state === 'complete' && record.generation === job.generation && record.report !== undefined) {
      return this.#succeeded(job, record.report);
    }
    if (record.fence !== job.attempt || record.state !== 'populating') {
      return this.#drop(payload, `the volume is ${record.state} with attempt ${record.fence}`);
    }
    try {
      await this.#options.attempts.run(job, signal, (running) => this.#attempt(job, record, running));
    } catch (error) {
      this.#drop(payload, toFault(error, { signal }).detail);
    }
  }

  async #attempt(job: Job, record: VolumeRecord, signal: AbortSignal): Promise<void> {
    const { logger, channel, config } = this.#options;
    const started = performance.now();
    using limited = totalLimit(signal, config.totalTimeoutMs);
    const key = { volumeId: job.volumeId, attempt: job.attempt };
    const onStep = (step: TransferStep): void => logger.debug({ ...key, step }, 'step begins');
    const progress = new ProgressReporter(key, (told) => channel.sendProgress(told), onStep);
    try {
      const report = await this.#transfer(job, record, limited.signal, progress);
      this.#ended(job, record, started, progress, { report });
      this.#succeeded(job, report);
    } catch (error) {
      const fault = toFault(error, { signal: limited.signal });
      if (fault.code === 'StaleAttempt') {
        logger.info({ job: job.volumeId, attempt: job.attempt, detail: fault.detail }, 'attempt dropped');
        return;
      }
      this.#ended(job, record, started, progress, { fault });
      this.#failed(job, fault, progress.bytesFetched);
    }
  }

  async #transfer(job: Job, record: VolumeRecord, signal: AbortSignal, progress: ProgressReporter) {
    const { channel, pools } = this.#options;
    const pool = pools.holderOf(job.volumeId);
    const key = { volumeId: job.volumeId, attempt: job.attempt };
    const inputs = await channel.ask('attempt.inputs', key, signal);
    const staging = await this.#openStaging(job, inputs, pool);
    try {
      const held = AbortSignal.any([signal, staging.signal]);
      const shared = this.#options.shared.of(pool);
      const hooks = { ...this.#hooks(job, held, progress), ...(shared === undefined ? {} : { shared }) };
      const report = await this.#fill(inputs, record, staging, hooks);
      signal.throwIfAborted();
      this.#options.logger.debug({ ...key, step: 'commit' }, 'step begins');
      const written = await withWrittenBlocks(report, inputs, staging, held);
      await pool.commit(staging, written);
      return written;
    } catch (error) {
      const failed = toFault(error, { signal: AbortSignal.any([signal, staging.signal]) });
      const fault = await explainByPool(failed, pool);
      if (fault.code === 'Interrupted' && job.operation !== 'convert') await staging.leave();
      else if (!this.#keepsUpload(job, fault)) await staging.discard();
      throw fault;
    }
  }

  async #openStaging(job: Job, inputs: AttemptInputs, pool: Pool): Promise<Staging> {
    if (inputs.operation !== job.operation) {
      throw new Fault('StaleAttempt', `the job says ${job.operation}, the controller ${inputs.operation}`);
    }
    const { volumeId, attempt } = job;
    if (inputs.operation === 'convert') return pool.resumeStaging(volumeId, attempt);
    const isOfDisk =
      inputs.operation === 'import' && inputs.contentType !== 'archive' && inputs.source.kind !== 'blank';
    return isOfDisk ? pool.goOnStaging(volumeId, attempt) : pool.openStaging(volumeId, attempt);
  }

  #fill(inputs: AttemptInputs, record: VolumeRecord, staging: Staging, hooks: TransferHooks): Promise<TransferReport> {
    const sized = { ...inputs, sizeBytes: record.sizeBytes };
    switch (sized.operation) {
      case 'import':
        return this.#import(sized, staging, hooks);
      case 'convert':
        return convertReceived(sized, staging, hooks);
      case 'clone':
        return this.#clone(sized, staging, hooks);
    }
  }

  async #import(asked: ImportInputs, staging: Staging, hooks: TransferHooks): Promise<TransferReport> {
    const { source, contentType } = asked;
    if (contentType !== 'archive') return importImage(asked, staging, hooks);
    if (source.kind !== 'blank') return importArchive({ ...asked, source }, staging, hooks);
    throw new Fault('InvalidRequest', 'an empty disk is no archive');
  }

  async #clone(asked: CloneInputs, staging: Staging, hooks: TransferHooks): Promise<TransferReport> {
    const { sourceVolumeId: id } = asked;
    const held = isVolumeId(id) ? this.#options.pools.find(id) : undefined;
    if (held === undefined) throw new Fault('NotFound', `the source volume ${id} is not on this node`);
    const { pool, record } = held;
    if (record.state !== 'complete') throw new Fault('SourceNotReady', `${id} is ${record.state}`);
    const [is, wanted] = [holdsFiles(record), asked.contentType === 'archive'].map((files) =>
      files ? 'files' : 'a disk',
    );
    if (is !== wanted) throw new Fault('InvalidRequest', `${id} holds ${is}, and the clone is to hold ${wanted}`);
    if (holdsFiles(record)) {
      return await cloneFiles(asked, { path: pool.dataPath(record.volumeId), reflink: pool.reflink }, staging, hooks);
    }
    await using disk = await pool.openDisk(record.volumeId);
    return await cloneVolume(asked, { path: disk.path, record }, staging, hooks);
  }

  #hooks(job: Job, signal: AbortSignal, progress: ProgressReporter): TransferHooks {
    const { config, programs, qemuImg, logger } = this.#options;
    const { volumeId, attempt } = job;
    return {
      ...{ signal, config, programs, qemuImg },
      logger: logger.child({ volumeId, attempt }),
      onProgress: (told) => progress.report(told),
    };
  }

  /** The bytes of an upload were acknowledged; only what will never pass takes them away. */
  #keepsUpload(job: Job, fault: Fault): boolean {
    return job.operation === 'convert' && fault.retryable;
  }

  #succeeded(job: Job, report: TransferReport): void {
    const { outbox, attempts } = this.#options;
    const key = { volumeId: job.volumeId, attempt: job.attempt };
    const outcome = { ok: true as const, report };
    attempts.announce(key, outcome);
    outbox.result(key, outcome);
  }

  #failed(job: Job, fault: Fault, bytesFetched: number): void {
    const { outbox, attempts, pools } = this.#options;
    const key = { volumeId: job.volumeId, attempt: job.attempt };
    const received = pools.received().find((one) => one.volumeId === key.volumeId && one.attempt === key.attempt);
    if (fault.code === 'Interrupted' && received !== undefined) {
      outbox.received(key, received.bytes);
      return;
    }
    const outcome = { ok: false as const, fault: faultRecord(fault), bytesFetched };
    // The bytes are kept, and the controller decides whether they are converted again: a client that waits is not told of failure while it does.
    if (received !== undefined && this.#keepsUpload(job, fault)) attempts.noteSetback(key, outcome);
    else attempts.announce(key, outcome);
    outbox.result(key, outcome);
  }

  #ended(
    job: Job,
    record: VolumeRecord,
    started: number,
    progress: ProgressReporter,
    end: { report: TransferReport } | { fault: Fault },
  ): void {
    recordTransfer(this.#options.logger, {
      ...{ operation: job.operation, volumeId: job.volumeId, attempt: job.attempt, record, end },
      seconds: (performance.now() - started) / 1_000,
      bytesFetched: 'report' in end ? end.report.fetchedBytes : progress.bytesFetched,
    });
  }

  #drop(payload: JobPayload, why: string): void {
    this.#options.logger.info({ job: payload.volumeId, attempt: payload.attempt, why }, 'job dropped');
  }
}

/** The limit for the whole attempt, where one is set. */
function totalLimit(signal: AbortSignal, totalTimeoutMs: number): { signal: AbortSignal } & Disposable {
  if (totalTimeoutMs === 0) return { signal, [Symbol.dispose]: () => undefined };
  const late = new AbortController();
  const fault = new Fault('TimedOut', `it took longer than ${totalTimeoutMs} ms (LONGSHORE_TOTAL_TIMEOUT_MS)`);
  const timer = setTimeout(() => late.abort(fault), totalTimeoutMs);
  return { signal: AbortSignal.any([signal, late.signal]), [Symbol.dispose]: () => clearTimeout(timer) };
}
