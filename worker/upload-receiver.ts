// One upload, from the body of a request to the committed volume or to bytes that wait durably for their conversion. A request that fails or is
// abandoned leaves nothing, and the slot open for the next one.
import type { Readable } from 'node:stream';
import { Fault, faultRecord, toFault } from '../domain/fault.ts';
import type { VolumeId, VolumeRecord } from '../domain/volume-record.ts';
import { receiveArchive } from '../importer/archive/receive-archive.ts';
import { type ReceivedResult, receiveUpload } from '../importer/receive-upload.ts';
import type { TransferHooks } from '../importer/transfer-hooks.ts';
import type { Outcome } from '../jobs/channel-protocol.ts';
import type { Staging } from '../volumes/staging.ts';
import type { Attempts } from './attempts.ts';
import type { ChannelClient } from './channel-client.ts';
import type { AttemptKey, Outbox } from './outbox.ts';
import { explainByPool } from './pool-gone.ts';
import { ProgressReporter } from './progress-reporter.ts';
import { recordTransfer } from './transfer-record.ts';
import type { UploadSlot, UploadSlots } from './upload-slots.ts';
import type { WorkerTools } from './worker-tools.ts';
import { withWrittenBlocks } from './written-blocks.ts';

export interface UploadReceiverOptions extends WorkerTools {
  channel: ChannelClient;
  attempts: Attempts;
  outbox: Outbox;
  slots: UploadSlots;
}

export interface IncomingUpload {
  body: Readable;
  declaredBytes?: number | undefined;
}

/** `committed`: the volume is complete. `staged`: the bytes are durable, a job converts them. */
export type ReceivedUpload = 'committed' | 'staged';

/** Ends of an upload that the controller knows of, or that say nothing about it. */
const ordered: ReadonlySet<string> = new Set(['StaleAttempt', 'Cancelled', 'Interrupted', 'UploadBusy']);

export class UploadReceiver {
  readonly #options: UploadReceiverOptions;
  #closing = false;

  constructor(options: UploadReceiverOptions) {
    this.#options = options;
  }

  /** From now on no upload is begun. */
  refuseNew(): void {
    this.#closing = true;
  }

  /**
   * Takes the slot of the volume, so that no second upload begins.
   * @param contentType what the path of the request is for
   * @throws Fault NotAnUploadTarget, UploadBusy, UploadFinished, UploadNotReady
   */
  take(volumeId: VolumeId, contentType?: 'archive'): UploadSlot {
    const { slots, pools } = this.#options;
    if (this.#closing) throw new Fault('UploadNotReady', 'the worker stops');
    const record = pools.get(volumeId);
    if (record?.state === 'complete') throw new Fault('UploadFinished', `${volumeId} is complete`);
    return slots.take(volumeId, contentType);
  }

  /**
   * Reads the body into the slot that was taken. Whatever happens the slot is given back.
   * @param signal the connection's
   * @throws Fault why nothing was kept
   */
  async receive(slot: UploadSlot, incoming: IncomingUpload, signal: AbortSignal): Promise<ReceivedUpload> {
    const { attempts, slots, logger, channel, pools } = this.#options;
    const started = performance.now();
    const key = { volumeId: slot.volumeId, attempt: slot.attempt };
    const onStep = (step: string): void => logger.debug({ ...key, step }, 'step begins');
    const progress = new ProgressReporter(key, (told) => channel.sendProgress(told), onStep);
    let received: ReceivedUpload | undefined;
    try {
      await attempts.run({ ...key, operation: 'upload' }, signal, async (running) => {
        received = await this.#fill(slot, incoming, running, progress, started);
      });
      if (received === undefined) throw new Fault('UploadBusy', `an upload into ${slot.volumeId} is running`);
      return received;
    } catch (error) {
      const fault = toFault(error, { signal });
      const end = { fault };
      recordTransfer(logger, {
        ...this.#ended(key, pools.get(slot.volumeId), started),
        bytesFetched: progress.bytesFetched,
        end,
      });
      this.#tellFailure(key, fault);
      throw fault;
    } finally {
      slots.giveBack(slot, received === undefined ? 'waiting' : 'finished');
    }
  }

  /** How the conversion of a staged upload ends, for a client that waits. @throws the signal's reason */
  convertedOutcome(key: AttemptKey, signal: AbortSignal): Promise<Outcome> {
    return this.#options.attempts.outcomeOf(key, signal);
  }

  async #fill(
    slot: UploadSlot,
    incoming: IncomingUpload,
    signal: AbortSignal,
    progress: ProgressReporter,
    started: number,
  ): Promise<ReceivedUpload> {
    const pool = this.#options.pools.holderOf(slot.volumeId);
    const staging = await pool.openStaging(slot.volumeId, slot.attempt);
    const held = AbortSignal.any([signal, staging.signal]);
    try {
      const result = await this.#receive(slot, incoming, staging, held, progress);
      held.throwIfAborted();
      if (result.kind === 'staged') return await this.#staged(slot, staging, result.bytes);
      const record = await pool.commit(staging, await withWrittenBlocks(result.report, slot, staging, held));
      this.#committed(slot, record, started, result.report.fetchedBytes);
      return 'committed';
    } catch (error) {
      const fault = await explainByPool(toFault(error, { signal: held }), pool);
      await staging.discard();
      throw fault;
    }
  }

  async #receive(
    slot: UploadSlot,
    incoming: IncomingUpload,
    staging: Staging,
    signal: AbortSignal,
    progress: ProgressReporter,
  ): Promise<ReceivedResult> {
    const { config, programs, qemuImg, logger } = this.#options;
    const { volumeId, attempt, sizeBytes, preallocation, checksum } = slot;
    const { declaredBytes, body } = incoming;
    const target = {
      ...{ staging, sizeBytes, preallocation },
      ...(declaredBytes === undefined ? {} : { declaredBytes }),
      ...(checksum === undefined ? {} : { checksum }),
    };
    const hooks: TransferHooks = {
      ...{ signal, config, programs, qemuImg },
      logger: logger.child({ volumeId, attempt }),
      onProgress: (told) => progress.report(told),
    };
    if (slot.contentType !== 'archive') return receiveUpload(body, target, hooks);
    return { kind: 'ready', report: await receiveArchive(body, target, hooks) };
  }

  async #staged(slot: UploadSlot, staging: Staging, bytes: number): Promise<ReceivedUpload> {
    if (staging.received() === undefined) await staging.markReceived({ bytes });
    this.#options.outbox.received({ volumeId: slot.volumeId, attempt: slot.attempt }, bytes);
    return 'staged';
  }

  #committed(slot: UploadSlot, record: VolumeRecord, started: number, bytesFetched: number): void {
    const { outbox, attempts, logger } = this.#options;
    const key = { volumeId: slot.volumeId, attempt: slot.attempt };
    if (record.report === undefined) throw new Fault('Internal', `${slot.volumeId} was committed without a report`);
    const outcome = { ok: true as const, report: record.report };
    attempts.announce(key, outcome);
    outbox.result(key, outcome);
    recordTransfer(logger, { ...this.#ended(key, record, started), bytesFetched, end: { report: record.report } });
  }

  /** Not where another attempt or another upload goes on, nor where the end was ordered. */
  #tellFailure(key: AttemptKey, fault: Fault): void {
    if (ordered.has(fault.code)) return;
    this.#options.outbox.uploadFailed(key, faultRecord(fault));
  }

  #ended(key: AttemptKey, record: VolumeRecord | undefined, started: number) {
    return { ...key, operation: 'upload' as const, record, seconds: (performance.now() - started) / 1_000 };
  }
}
