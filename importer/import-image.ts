// An import from start to end: probe, plan, transfer, convert, verify, resize. Whatever is wrong and can be known early is refused early.
// Leaves staging/disk.img ready to commit; after a failure or abort no child, connection or socket is left, and the caller discards the staging.
import { toFault } from '../domain/fault.ts';
import type { TransferReport } from '../domain/volume-record.ts';
import type { Staging } from '../volumes/staging.ts';
import { DurableStart } from './durable-start.ts';
import { probeImage } from './image/probe-image.ts';
import { firstRequestBytes, type ImageSource } from './image-source.ts';
import { openSource, type SourceLocation } from './open-source.ts';
import { type ImportPlan, planImport, reportOfFound, type SourceAbilities } from './plan.ts';
import { probeStagedFile } from './probe-staged-file.ts';
import { type DiskTarget, makeBlankDisk } from './settled-disk.ts';
import { shareKeyOf } from './share-key.ts';
import type { Lead, LeadEnd, SharedImage, SharedImages } from './shared-images.ts';
import { SourceDigest } from './source-digest.ts';
import { StepTimer } from './step-timer.ts';
import { takeShared } from './take-shared.ts';
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

/** The inputs of an import; those of jobs/attempt-inputs.ts fit. */
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
    const { source: location, checksum } = inputs;
    return await importFrom({ location, checksum, target, staging, hooks, signal, timer: new StepTimer(hooks) });
  } catch (error) {
    throw toFault(error, { signal });
  }
}

/** What an import has found at its source, and how it goes on from there. Disposing closes the source. */
interface Opened extends AsyncDisposable {
  source: ImageSource;
  plan: ImportPlan;
  transfer: Transfer;
  digest: SourceDigest;
  /** Of this import in all, however often it began. */
  fetchedBytes(): number;
}

type Base = Omit<Transfer, 'probe'> & { location: SourceLocation; checksum: string | undefined };

/** Images that were to come from another import, and did not: then this one goes its own way. */
const mostLost = 2;

/** A source that another import brings already is taken from there, by whoever may read it: that is seen at the source each time. */
async function importFrom(base: Base): Promise<TransferReport> {
  const { shared } = base.hooks;
  let fetchedBefore = 0;
  for (let lost = 0; ; ) {
    await using opened = await openAndPlan(base, fetchedBefore);
    const { source, plan } = opened;
    const told = { identity: source.identity, head: await source.head(firstRequestBytes) };
    const key = lost < mostLost ? shareKeyOf(base.location, told, plan, base.checksum) : undefined;
    if (shared === undefined || key === undefined) return (await bring(opened, base.location)).report;
    const turn = shared.turn(key);
    if (turn.role === 'lead') return await bringForAll(opened, base.location, { lead: turn.lead, shared, key });
    await source.close();
    await base.staging.forgetKept();
    const { totalBytes } = source;
    const taken = await takeShared(turn, { ...base, shared, key, totalBytes });
    if (typeof taken !== 'string') return { ...taken, ...ownFacts(opened) };
    lost += { gone: 0, failed: 1, unshared: mostLost }[taken];
    fetchedBefore = opened.fetchedBytes();
  }
}

/** Whatever happens, those that wait are told. */
async function bringForAll(
  opened: Opened,
  location: SourceLocation,
  { lead, shared, key }: { lead: Lead; shared: SharedImages; key: string },
): Promise<TransferReport> {
  const { timer, target, signal } = opened.transfer;
  let end: LeadEnd = 'failed';
  timer.onTold = (progress) => lead.tell(progress);
  try {
    const { report, image } = await bring(opened, location);
    end = (await shared.publish(key, target.path, image)) ?? 'unshared';
    return report;
  } catch (error) {
    if (signal.aborted) end = 'gone';
    throw error;
  } finally {
    shared.endLead(key, lead, end);
  }
}

async function bring(
  opened: Opened,
  location: SourceLocation,
): Promise<{ report: TransferReport; image: Omit<SharedImage, 'kept'> }> {
  const { source, plan, digest, transfer } = opened;
  const { probe, timer, target, signal } = transfer;
  const start = await DurableStart.of(source, location, plan, transfer);
  await using brought = await bringBytes(plan, { source, start }, digest, transfer);
  const verified = await timer.run('verify', () => verifySource(plan, source, digest));
  const { allocatedBytes, contentDigest, contentBytes } = await timer.run('resize', () => brought.settle());
  signal.throwIfAborted();
  const isRead = plan.strategy === 'nbd';
  const found = reportOfFound(probe, brought.found);
  const sourceDigest = isRead ? `rangeRead:${source.validator ?? ''}` : digest.finish();
  const sourceDigests = isRead ? [] : digest.all();
  return {
    report: {
      ...{ allocatedBytes, contentDigest, ...found, strategy: plan.strategy, verified, sourceDigest },
      ...ownFacts(opened),
    },
    image: {
      ...{ contentDigest, contentBytes, sizeBytes: target.sizeBytes, ...found, sourceDigest, sourceDigests },
      isProven: !isRead && source.isProven === true,
    },
  };
}

/** What a report tells of this import, whoever brought the bytes. */
function ownFacts({ source, plan, transfer, fetchedBytes }: Opened) {
  const { totalBytes, labels = {} } = source;
  return {
    virtualSizeBytes: transfer.target.sizeBytes,
    ...(totalBytes === undefined ? {} : { sourceBytes: totalBytes }),
    fetchedBytes: fetchedBytes(),
    peakBytes: plan.peakBytes,
    ...(Object.keys(labels).length === 0 ? {} : { labels: { ...labels } }),
    steps: transfer.timer.rows,
  };
}

async function openAndPlan({ location, checksum, ...base }: Base, fetchedBefore: number): Promise<Opened> {
  const { timer, target, hooks, signal } = base;
  const digest = new SourceDigest(checksum);
  const source = await timer.run('probe', () => openSource(location, { ...hooks, signal }));
  const fetchedBytes = () => fetchedBefore + source.fetchedBytes;
  const close = async (): Promise<void> => {
    timer.advance({ bytesFetched: fetchedBytes() });
    await source.close();
  };
  source.onFetched = () => timer.advance({ bytesFetched: fetchedBytes() });
  try {
    const probe = await timer.run('probe', () => probeImage(source, target.sizeBytes, { ...hooks, signal }));
    timer.advance(source.totalBytes === undefined ? {} : { bytesTotal: source.totalBytes });
    const plan = await timer.run('plan', () =>
      planImport(probe, abilitiesOf(source), { ...target, checksumAsked: checksum !== undefined }),
    );
    timer.advance({ peakBytes: plan.peakBytes });
    return { source, plan, transfer: { ...base, probe }, digest, fetchedBytes, [Symbol.asyncDispose]: close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Ranges prove nothing of content whose digest the source tells: that is proved only by all of it, in order. */
function abilitiesOf({ totalBytes, ranges, validator, isProven }: ImageSource): SourceAbilities {
  return { totalBytes, provenRanges: ranges !== undefined && validator !== undefined && isProven === undefined };
}

function bringBytes(
  plan: ImportPlan,
  { source, start }: { source: ImageSource; start: DurableStart },
  digest: SourceDigest,
  transfer: Transfer,
): Promise<BroughtDisk> {
  const { timer } = transfer;
  const { keptBytes, marks } = start;
  switch (plan.strategy) {
    case 'stream':
      return timer.run('transfer', () => streamToDisk(start, digest, transfer, start));
    case 'nbd':
      return timer.run('convert', () => convertByRanges(source, transfer));
    case 'staged':
      if (plan.steps.includes('transfer')) return bringWhole(plan, start, digest, transfer);
      return timer.run('convert', () =>
        convertStaged(start, digest, { keptBytes, marks, scratchBytes: plan.scratchBytes }, transfer),
      );
  }
}

/** All of the image comes first, and is right; then all of it can be looked at. */
async function bringWhole(
  { scratchBytes }: ImportPlan,
  start: DurableStart,
  digest: SourceDigest,
  transfer: Transfer,
): Promise<BroughtDisk> {
  const { timer, staging, target, hooks, signal, probe } = transfer;
  const { keptBytes, marks } = start;
  const scratch = { scratchBytes, durable: false, keptBytes, marks };
  const fileBytes = await timer.run('transfer', () => bringToScratch(start, digest, scratch, transfer));
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
