// An import whose content another one brings, or has just brought: waits for it, takes the disk by reflink or by a sparse copy, and verifies what it took. Leaves
// staging/disk.img ready to commit, as any import. Where there is nothing to take after all, nothing is left, and the caller goes on by itself.
import { constants } from 'node:fs';
import { copyFile, rm, stat, truncate } from 'node:fs/promises';
import { Fault, toFault } from '../domain/fault.ts';
import type { TransferReport } from '../domain/volume-record.ts';
import { contentDigestOfFile } from '../volumes/content-digest.ts';
import { copyData } from '../volumes/copy-data.ts';
import { DiskWriter } from '../volumes/disk-writer.ts';
import { imageTooLarge } from './image/too-large.ts';
import type { LeadEnd, SharedImage, SharedImages, Turn } from './shared-images.ts';
import { agreesWith } from './source-digest.ts';
import type { Transfer } from './transfer.ts';

export interface Taking extends Pick<Transfer, 'target' | 'signal' | 'timer' | 'hooks'> {
  shared: SharedImages;
  key: string;
  checksum: string | undefined;
  /** As this import's own look at the source told it. */
  totalBytes: number | undefined;
}

export type TakenReport = Pick<
  TransferReport,
  'allocatedBytes' | 'format' | 'warnings' | 'strategy' | 'verified' | 'contentDigest' | 'sourceDigest'
>;

interface TakenDisk {
  contentDigest: string;
  allocatedBytes: number;
}

/**
 * @returns why there is nothing to take, where there is not
 * @throws Fault ChecksumMismatch, ImageTooLarge, NoSpace, or the reason of the abort; the caller discards the staging then
 */
export async function takeShared(
  turn: Exclude<Turn, { role: 'lead' }>,
  taking: Taking,
): Promise<TakenReport | Exclude<LeadEnd, SharedImage>> {
  const { timer, shared, key, checksum, target } = taking;
  const image = turn.role === 'take' ? turn.image : await timer.run('transfer', () => waitFor(turn, taking));
  if (typeof image === 'string') return image;
  if (image.kept.isDropped) return 'gone';
  await using _held = image.kept.hold();
  if (image.contentBytes > target.sizeBytes) throw imageTooLarge(image.contentBytes, target.sizeBytes);
  if (checksum !== undefined && !agreesWith(checksum, image.sourceDigests)) return 'unshared';
  const disk = await timer.run('transfer', () => takeDisk(image, taking));
  if (disk === undefined) {
    await shared.forget(key, image);
    return 'failed';
  }
  const { contentDigest, allocatedBytes } = disk;
  // The newest disk is the one that its consumer writes last.
  const { kept, ...facts } = image;
  if (!kept.isPrivate) {
    await shared.publish(key, target.path, { ...facts, contentDigest, sizeBytes: target.sizeBytes });
  }
  return {
    ...{ allocatedBytes, contentDigest, format: image.format, strategy: 'shared' as const },
    verified: checksum !== undefined || image.isProven ? 'digest' : taking.totalBytes === undefined ? 'none' : 'length',
    ...(image.warnings === undefined ? {} : { warnings: image.warnings }),
    ...(image.sourceDigest === undefined ? {} : { sourceDigest: image.sourceDigest }),
  };
}

/** The progress of the other is this one's. */
function waitFor({ lead }: Extract<Turn, { role: 'wait' }>, { signal, timer }: Taking): Promise<LeadEnd> {
  return lead.outcome(signal, ({ step, bytesDone, bytesTotal }) => {
    if (step === 'transfer' || step === 'convert') {
      timer.advance({ bytesDone, ...(bytesTotal === undefined ? {} : { bytesTotal }) });
    }
  });
}

/** @returns undefined where the image is not what it was, or cannot be read: then it is fetched, and no fault of this import */
async function takeDisk(image: SharedImage, taking: Taking): Promise<TakenDisk | undefined> {
  const { target, signal, hooks } = taking;
  try {
    if (!(await image.kept.isUnchanged())) throw new Fault('SourceChanged', 'the volume of the shared image is in use');
    return image.kept.isPrivate && !target.preallocation ? await reflink(image, taking) : await copy(image, taking);
  } catch (error) {
    const fault = toFault(error, { signal });
    await rm(target.path, { force: true });
    if (signal.aborted || fault.code === 'NoSpace') throw fault;
    hooks.logger.info({ code: fault.code, detail: fault.detail }, 'a shared image could not be taken');
    return undefined;
  }
}

/** Nobody writes the blocks, so they are what the digest was made of. */
async function reflink(image: SharedImage, { target, signal }: Taking): Promise<TakenDisk> {
  await copyFile(image.kept.path, target.path, constants.COPYFILE_FICLONE_FORCE | constants.COPYFILE_EXCL);
  await truncate(target.path, target.sizeBytes);
  const { blocks } = await stat(target.path);
  const isSame = target.sizeBytes === image.sizeBytes;
  const contentDigest = isSame
    ? image.contentDigest
    : (await contentDigestOfFile(target.path, { signal })).contentDigest;
  return { contentDigest, allocatedBytes: blocks * 512 };
}

/** @throws Fault ChecksumMismatch where somebody wrote to the blocks meanwhile */
async function copy(image: SharedImage, { target, signal, timer, totalBytes }: Taking): Promise<TakenDisk> {
  const { path, sizeBytes, preallocation } = target;
  const writer = await DiskWriter.open(path, { capBytes: sizeBytes, preallocation });
  const onCopied = (bytes: number): void =>
    timer.advance(totalBytes === undefined ? {} : { bytesDone: Math.floor((totalBytes * bytes) / image.contentBytes) });
  try {
    await copyData(image.kept.path, writer, { endBytes: image.contentBytes, signal, onCopied });
    // Digests are asked for in the order of their sizes.
    const former = image.sizeBytes < sizeBytes ? await writer.digestAt(image.sizeBytes) : undefined;
    const disk = await writer.finish(sizeBytes);
    const found = former ?? (await writer.digestAt(image.sizeBytes));
    if (found === image.contentDigest) return disk;
    throw new Fault('ChecksumMismatch', `the copy has ${found}, the shared image ${image.contentDigest}`);
  } finally {
    await writer.leave();
  }
}
