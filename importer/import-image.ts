// An import from start to end: probe, plan, transfer, convert, verify, resize. Whatever is wrong and can be known early is refused early.
// Leaves staging/disk.img ready to commit; after a failure or abort no child, connection or socket is left, and the caller discards the staging.
import { toFault } from '../domain/fault.ts';
import type { TransferReport } from '../domain/volume-record.ts';
import type { Staging } from '../volumes/staging.ts';
import { type ImageProbe, probeImage } from './image/probe-image.ts';
import type { ImageSource } from './image-source.ts';
import { openSource, type SourceLocation } from './open-source.ts';
import { type ImportPlan, planImport, reportOfFound, type SourceAbilities } from './plan.ts';
import { probeStagedFile } from './probe-staged-file.ts';
import { type DiskTarget, makeBlankDisk } from './settled-disk.ts';
import { SourceDigest } from './source-digest.ts';
import { StepTimer } from './step-timer.ts';
import {
  type BroughtDisk,
  bringToScratch,
  convertByRanges,
  convertReceivedFile,
  convertStaged,
  streamToDisk,
  type Transfer,
} from './transfer.ts';
import type { TransferHooks } from './transfer-hooks.ts';

/** The inputs of an import; those of jobs/channel-protocol.ts fit. */
export interface ImportRequest {
  source: SourceLocation | { kind: 'blank' };
  sizeBytes: number;
  checksum?: string;
  preallocation: boolean;
}

/**
 * @param staging fresh staging of the attempt
 * @throws Fault of the groups source, image and space, or the reason of the abort
 */
export async function importImage(
  inputs: ImportRequest,
  staging: Staging,
  hooks: TransferHooks,
): Promise<TransferReport> {
  const target = { path: staging.diskPath, sizeBytes: inputs.sizeBytes, preallocation: inputs.preallocation };
  const signal = AbortSignal.any([hooks.signal, staging.signal]);
  try {
    if (inputs.source.kind === 'blank') return await importBlank(target, hooks, signal);
    return await importFrom(inputs.source, inputs.checksum, { target, staging, hooks, signal });
  } catch (error) {
    throw toFault(error, { signal });
  }
}

async function importFrom(
  location: SourceLocation,
  checksum: string | undefined,
  base: Omit<Transfer, 'probe' | 'timer'>,
): Promise<TransferReport> {
  const { target, hooks, signal } = base;
  const timer = new StepTimer(hooks);
  const digest = new SourceDigest(checksum);
  const { source, probe } = await timer.run('probe', () => openAndProbe(location, base, timer));
  try {
    const transfer = { ...base, probe, timer };
    const plan = await timer.run('plan', () =>
      planImport(probe, abilitiesOf(source), { ...target, checksumAsked: checksum !== undefined }),
    );
    await using brought = await bringBytes(plan, source, digest, transfer);
    const verified = await timer.run('verify', () => verifySource(plan, source, digest));
    const disk = await timer.run('resize', () => brought.settle());
    signal.throwIfAborted();
    return {
      virtualSizeBytes: target.sizeBytes,
      allocatedBytes: disk.allocatedBytes,
      ...reportOfFound(probe, brought.found),
      strategy: plan.strategy,
      verified,
      contentDigest: disk.contentDigest,
      sourceDigest: plan.strategy === 'nbd' ? `rangeRead:${source.validator ?? ''}` : digest.finish(),
      ...(source.totalBytes === undefined ? {} : { sourceBytes: source.totalBytes }),
      fetchedBytes: source.fetchedBytes,
      ...labelsOf(source),
      steps: timer.rows,
    };
  } finally {
    timer.advance({ bytesFetched: source.fetchedBytes });
    await source.close();
  }
}

async function openAndProbe(
  location: SourceLocation,
  { target, hooks, signal }: Pick<Transfer, 'target' | 'hooks' | 'signal'>,
  timer: StepTimer,
): Promise<{ source: ImageSource; probe: ImageProbe }> {
  const source = await openSource(location, { ...hooks, signal });
  source.onFetched = (bytes) => timer.advance({ bytesFetched: bytes });
  try {
    const probe = await probeImage(source, target.sizeBytes, { ...hooks, signal });
    timer.advance(source.totalBytes === undefined ? {} : { bytesTotal: source.totalBytes });
    return { source, probe };
  } catch (error) {
    timer.advance({ bytesFetched: source.fetchedBytes });
    await source.close();
    throw error;
  }
}

function labelsOf({ labels = {} }: ImageSource): Pick<TransferReport, 'labels'> {
  return Object.keys(labels).length === 0 ? {} : { labels: { ...labels } };
}

/** Ranges prove nothing of content whose digest the source tells: that is proved only by all of it, in order. */
function abilitiesOf({ totalBytes, ranges, validator, isProven }: ImageSource): SourceAbilities {
  return { totalBytes, provenRanges: ranges !== undefined && validator !== undefined && isProven === undefined };
}

function bringBytes(
  plan: ImportPlan,
  source: ImageSource,
  digest: SourceDigest,
  transfer: Transfer,
): Promise<BroughtDisk> {
  const { timer } = transfer;
  switch (plan.strategy) {
    case 'stream':
      return timer.run('transfer', () => streamToDisk(source, digest, transfer));
    case 'nbd':
      return timer.run('convert', () => convertByRanges(source, transfer));
    case 'staged':
      if (plan.steps.includes('transfer')) return bringWhole(plan, source, digest, transfer);
      return timer.run('convert', () => convertStaged(source, digest, plan.scratchBytes, transfer));
  }
}

/** All of the image comes first, and is right; then all of it can be looked at. */
async function bringWhole(
  { scratchBytes }: ImportPlan,
  source: ImageSource,
  digest: SourceDigest,
  transfer: Transfer,
): Promise<BroughtDisk> {
  const { timer, staging, target, hooks, signal, probe } = transfer;
  const fileBytes = await timer.run('transfer', () => bringToScratch(source, digest, scratchBytes, transfer));
  digest.verify();
  return timer.run('convert', async () => {
    const { shown } = await probeStagedFile(staging.sourcePath, fileBytes, target.sizeBytes, { ...hooks, signal });
    return convertReceivedFile(
      { ...transfer, probe: { ...probe, ...(shown === undefined ? {} : { shown }) } },
      fileBytes,
    );
  });
}

/** @throws Fault ChecksumMismatch, SourceTooLong, SourceInterrupted */
function verifySource(plan: ImportPlan, source: ImageSource, digest: SourceDigest): TransferReport['verified'] {
  if (plan.strategy === 'nbd') return 'length';
  source.assertLength(digest.bytes);
  if (digest.verify() || source.isProven === true) return 'digest';
  return source.totalBytes === undefined ? 'none' : 'length';
}

async function importBlank(target: DiskTarget, hooks: TransferHooks, signal: AbortSignal): Promise<TransferReport> {
  const timer = new StepTimer(hooks);
  const disk = await timer.run('transfer', () => makeBlankDisk(target, signal));
  return {
    virtualSizeBytes: target.sizeBytes,
    allocatedBytes: disk.allocatedBytes,
    format: 'blank',
    strategy: 'blank',
    verified: 'length',
    contentDigest: disk.contentDigest,
    fetchedBytes: 0,
    steps: timer.rows,
  };
}
