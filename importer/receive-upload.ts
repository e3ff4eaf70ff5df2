// An upload: the same life as an import with the request body as its source. Raw content, also compressed, goes straight into the disk; what
// needs random access is unpacked into staging's `source`, made durable and marked, for a conversion job of its own.
import type { Readable } from 'node:stream';
import { toFault } from '../domain/fault.ts';
import type { TransferReport } from '../domain/volume-record.ts';
import type { Staging } from '../volumes/staging.ts';
import { BodyPieces } from './body-pieces.ts';
import { probeImage } from './image/probe-image.ts';
import type { PeekedStream } from './peeked-stream.ts';
import { type ImportPlan, planImport, reportOfFound } from './plan.ts';
import { SourceDigest } from './source-digest.ts';
import { StepTimer } from './step-timer.ts';
import { bringToScratch, streamToDisk, type Transfer } from './transfer.ts';
import type { TransferHooks } from './transfer-hooks.ts';
import { UploadSource } from './upload-source.ts';

export interface UploadTarget {
  staging: Staging;
  sizeBytes: number;
  /** Content-Length of the request. */
  declaredBytes?: number;
  /** `algorithm:hex` of the bytes as sent. */
  checksum?: string;
  preallocation: boolean;
}

export type ReceivedResult =
  | { kind: 'ready'; report: TransferReport }
  | { kind: 'staged'; bytes: number; sourceDigest: string };

/**
 * @param body is not destroyed, so that its request can still be answered
 * @throws Fault UploadInterrupted (the client hung up), SourceTooLong, ChecksumMismatch, ImageTooLarge (from the header at once) and those of the probe
 */
export async function receiveUpload(
  body: Readable,
  target: UploadTarget,
  hooks: TransferHooks,
): Promise<ReceivedResult> {
  const { staging, sizeBytes, preallocation, declaredBytes } = target;
  const signal = AbortSignal.any([hooks.signal, staging.signal]);
  const timer = new StepTimer(hooks);
  const onBytes = (bytes: number): void => timer.advance({ bytesFetched: bytes });
  const pieces = new BodyPieces(body, { declaredBytes, signal, onBytes });
  try {
    const digest = new SourceDigest(target.checksum);
    const source = new UploadSource(pieces, declaredBytes);
    const surroundings = { ...hooks, signal };
    const probe = await timer.run('probe', () => probeImage(source, sizeBytes, surroundings));
    const plan = await timer.run('plan', () => planUpload());
    function planUpload(): ImportPlan {
      const abilities = { totalBytes: declaredBytes, provenRanges: false };
      return planImport(probe, abilities, { sizeBytes, checksumAsked: target.checksum !== undefined });
    }
    const { peakBytes } = plan;
    timer.advance({ peakBytes, ...(declaredBytes === undefined ? {} : { bytesTotal: declaredBytes }) });
    const disk = { path: staging.diskPath, sizeBytes, preallocation };
    const transfer: Transfer = { probe, target: disk, staging, hooks, signal, timer };
    if (plan.strategy !== 'stream') return await stageUpload(source, digest, plan, transfer);
    await using brought = await timer.run('transfer', () => streamToDisk(source, digest, transfer));
    const checked = await timer.run('verify', () => digest.verify());
    const settled = await timer.run('resize', () => brought.settle());
    const report: TransferReport = {
      virtualSizeBytes: sizeBytes,
      ...settled,
      ...reportOfFound(probe, brought.found),
      strategy: 'stream',
      verified: checked ? 'digest' : declaredBytes === undefined ? 'none' : 'length',
      sourceDigest: digest.finish(),
      sourceBytes: digest.bytes,
      fetchedBytes: digest.bytes,
      peakBytes,
      steps: timer.rows,
    };
    return { kind: 'ready', report };
  } catch (error) {
    throw toFault(error, { signal });
  } finally {
    await pieces.return();
  }
}

/** After this the bytes survive a crash. */
async function stageUpload(
  source: PeekedStream,
  digest: SourceDigest,
  plan: ImportPlan,
  transfer: Transfer,
): Promise<ReceivedResult> {
  const { staging, timer } = transfer;
  const scratch = { scratchBytes: plan.scratchBytes, durable: true };
  const bytes = await timer.run('transfer', () => bringToScratch(source, digest, scratch, transfer));
  await timer.run('verify', () => digest.verify());
  const sourceDigest = digest.finish();
  await staging.markReceived({ bytes, sourceDigest });
  return { kind: 'staged', bytes, sourceDigest };
}
