// The second half of an upload that needed random access: the bytes lie in staging's `source`, durable and marked; this turns them into the disk.
import { open } from 'node:fs/promises';
import { Fault, toFault } from '../domain/fault.ts';
import type { TransferReport } from '../domain/volume-record.ts';
import type { Staging } from '../volumes/staging.ts';
import { probeImage } from './image/probe-image.ts';
import type { ReadAt } from './image/qcow2-tables.ts';
import { PeekedStream } from './peeked-stream.ts';
import { StepTimer } from './step-timer.ts';
import { convertReceivedFile, type Transfer } from './transfer.ts';
import type { TransferHooks } from './transfer-hooks.ts';

/** The inputs of a conversion; those of jobs/channel-protocol.ts fit. */
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
      probeFile(staging.sourcePath, received.bytes, { hooks, signal, target }),
    );
    const transfer: Transfer = { probe, target, staging, hooks, signal, timer };
    await using brought = await timer.run('convert', () => convertReceivedFile(transfer, received.bytes));
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
      steps: timer.rows,
    };
  } catch (error) {
    throw toFault(error, { signal });
  }
}

/** The same strict look as on the way in: what lies on disk may have been changed since. */
async function probeFile(path: string, fileBytes: number, transfer: Pick<Transfer, 'hooks' | 'signal' | 'target'>) {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    if (size !== fileBytes) throw new Fault('CorruptImage', `the received file has ${size} bytes and had ${fileBytes}`);
    const readAt: ReadAt = async (offset, length) => {
      const buffer = Buffer.alloc(length);
      const { bytesRead } = await file.read(buffer, 0, length, offset);
      return buffer.subarray(0, bytesRead);
    };
    const beginning = async function* (): AsyncGenerator<Buffer> {
      yield await readAt(0, Math.min(size, 524_288));
    };
    const stream = new PeekedStream(beginning());
    const source = {
      head: (bytes: number) => stream.head(bytes),
      stream: () => stream.stream(),
      pieces: () => stream.pieces(),
      totalBytes: size,
      ranges: { readAt },
    };
    const probe = await probeImage(source, transfer.target.sizeBytes, { ...transfer.hooks, signal: transfer.signal });
    if (probe.format === 'raw') throw new Fault('CorruptImage', 'the received file is no image that needs conversion');
    return probe;
  } finally {
    await file.close();
  }
}
