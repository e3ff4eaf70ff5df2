// The second half of an upload that needed random access: the bytes lie in staging's `source`, durable and marked; this turns them into the disk.
import { Fault, toFault } from '../domain/fault.ts';
import type { TransferReport } from '../domain/volume-record.ts';
import type { Staging } from '../volumes/staging.ts';
import { probeStagedFile } from './probe-staged-file.ts';
import { StepTimer } from './step-timer.ts';
import { convertReceivedFile, type Transfer } from './transfer.ts';
import type { TransferHooks } from './transfer-hooks.ts';

/** The inputs of a conversion; those of jobs/attempt-inputs.ts fit. */
export interface ConvertRequest {
  sizeBytes: number;
  /** Was verified when the bytes came. */
  checksum?: string;
  preallocation: boolean;
}

/**
 * @param staging a received one (Pool.resumeStaging)
 * @throws Fault NotFound where nothing was received, those of the probe and of the conversion, or the reason of the abort
 */
export async function convertReceived(
  inputs: ConvertRequest,
  staging: Staging,
  hooks: TransferHooks,
): Promise<TransferReport> {
  const signal = AbortSignal.any([hooks.signal, staging.signal]);
  const received = staging.received();
  if (received === undefined) throw new Fault('NotFound', 'no upload was received for this attempt');
  const timer = new StepTimer(hooks);
  const target = { path: staging.diskPath, sizeBytes: inputs.sizeBytes, preallocation: inputs.preallocation };
  try {
    const probe = await timer.run('probe', () =>
      probeStagedFile(staging.sourcePath, received.bytes, target.sizeBytes, { ...hooks, signal }),
    );
    const peakBytes = target.sizeBytes + received.bytes;
    timer.advance({ peakBytes });
    const transfer: Transfer = { probe, target, staging, hooks, signal, timer };
    const onPercent = (percent: number): void =>
      timer.advance({ bytesDone: Math.floor((received.bytes * percent) / 100), bytesTotal: received.bytes });
    await using brought = await timer.run('convert', () => convertReceivedFile(transfer, received.bytes, onPercent));
    const disk = await timer.run('resize', () => brought.settle());
    return {
      virtualSizeBytes: inputs.sizeBytes,
      ...disk,
      format: probe.format,
      strategy: 'staged',
      verified: inputs.checksum === undefined ? 'length' : 'digest',
      ...(received.sourceDigest === undefined ? {} : { sourceDigest: received.sourceDigest }),
      sourceBytes: received.bytes,
      fetchedBytes: received.bytes,
      peakBytes,
      steps: timer.rows,
    };
  } catch (error) {
    throw toFault(error, { signal });
  }
}
