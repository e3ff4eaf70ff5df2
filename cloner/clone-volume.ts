// A clone within one pool: the source's disk becomes the staging's, by shared blocks or by a sparse copy, and is checked before it may be committed. A
// reflink is checked by length and by a source that stayed as it was; a copy by the content digests of both.
import { stat, truncate } from 'node:fs/promises';
import { Fault, toFault } from '../domain/fault.ts';
import type { TransferReport, VolumeRecord } from '../domain/volume-record.ts';
import { contentDigestOfFile } from '../volumes/content-digest.ts';
import { copyDisk } from '../volumes/copy-disk.ts';
import { allocate } from '../volumes/preallocation.ts';
import type { Staging } from '../volumes/staging.ts';
import type { CloneHooks } from './clone-hooks.ts';
import { planClone } from './clone-plan.ts';
import { CloneSteps } from './clone-steps.ts';

export interface CloneRequest {
  /** What the guest is to see, in bytes. */
  sizeBytes: number;
  preallocation: boolean;
}

export interface CloneSource {
  path: string;
  record: VolumeRecord;
}

/**
 * Leaves staging/disk.img ready to commit.
 * @throws Fault ImageTooLarge, SourceChanged, NoSpace, ChecksumMismatch, or the reason of the abort; the caller discards the staging then
 */
export async function cloneVolume(
  request: CloneRequest,
  source: CloneSource,
  staging: Staging,
  hooks: CloneHooks,
): Promise<TransferReport> {
  const steps = new CloneSteps(hooks);
  try {
    const before = await steps.run('probe', 0, () => lookAt(source.path));
    const plan = await steps.run('plan', 0, async () =>
      planClone({
        sourceBytes: before.sizeBytes,
        targetBytes: request.sizeBytes,
        preallocation: request.preallocation,
      }),
    );
    const how = await steps.run('transfer', before.allocatedBytes, () =>
      steps.following(staging.diskPath, before.allocatedBytes, () =>
        copyDisk({
          from: source.path,
          to: staging.diskPath,
          reflink: plan.reflink,
          signal: hooks.signal,
          onSpawn: (pid) => staging.adopt(pid),
        }),
      ),
    );
    hooks.logger.debug({ how, reason: plan.reason }, 'disk copied');
    const copied = { request, source, staging, hooks, before };
    const contentDigest = await steps.run('verify', before.allocatedBytes, () =>
      how === 'reflink' ? verifyReflink(copied) : verifyCopy(copied),
    );
    const digest = await steps.run('resize', 0, () => resize(copied, contentDigest));
    const { sizeBytes, allocatedBytes } = await lookAt(staging.diskPath);
    return {
      ...{ virtualSizeBytes: sizeBytes, allocatedBytes, format: 'clone', strategy: how },
      verified: how === 'reflink' ? 'reflink' : 'digest',
      ...(digest === undefined ? {} : { contentDigest: digest }),
      ...{ sourceBytes: before.sizeBytes, fetchedBytes: how === 'reflink' ? 0 : before.allocatedBytes },
      steps: steps.rows,
    };
  } catch (error) {
    throw toFault(error, { signal: hooks.signal });
  }
}

interface Copied {
  request: CloneRequest;
  source: CloneSource;
  staging: Staging;
  hooks: CloneHooks;
  before: DiskLook;
}

interface DiskLook {
  sizeBytes: number;
  allocatedBytes: number;
  /** Changes with every write. */
  state: string;
}

async function lookAt(path: string): Promise<DiskLook> {
  const { ino, size, blocks, mtimeNs } = await stat(path, { bigint: true });
  return {
    sizeBytes: Number(size),
    allocatedBytes: Number(blocks) * 512,
    state: `${ino}:${size}:${mtimeNs}`,
  };
}

/** @throws Fault SourceChanged */
async function refuseChanged({ source, before }: Copied): Promise<void> {
  const after = await lookAt(source.path);
  if (after.state !== before.state)
    throw new Fault('SourceChanged', `${source.record.volumeId} was written while it was cloned`);
}

/** The blocks are the source's own: what remains to be seen is that the source did not move meanwhile. Gives no digest: none was read. */
async function verifyReflink(copied: Copied): Promise<undefined> {
  await refuseChanged(copied);
  await refuseCut(copied);
}

async function refuseCut({ staging, before }: Copied): Promise<void> {
  const { sizeBytes } = await lookAt(staging.diskPath);
  if (sizeBytes === before.sizeBytes) return;
  throw new Fault('SourceChanged', `the clone has ${sizeBytes} bytes and its source ${before.sizeBytes}`);
}

/** @returns the digest of what was copied, as long as the source */
async function verifyCopy(copied: Copied): Promise<string> {
  const { source, staging, hooks } = copied;
  await refuseCut(copied);
  const target = await contentDigestOfFile(staging.diskPath, { signal: hooks.signal });
  const recorded = source.record.report?.contentDigest;
  if (target.contentDigest !== recorded) {
    // The record is void after the first use of the source; then only its bytes can tell.
    const actual = await contentDigestOfFile(source.path, { signal: hooks.signal });
    await refuseChanged(copied);
    if (target.contentDigest !== actual.contentDigest) {
      throw new Fault('ChecksumMismatch', `the copy has ${target.contentDigest}, its source ${actual.contentDigest}`);
    }
  }
  await refuseChanged(copied);
  return target.contentDigest;
}

/** Grows the clone to its size. @returns its digest at that size, where one was made at all */
async function resize({ request, staging, hooks, before }: Copied, digest: string | undefined) {
  const { sizeBytes, preallocation } = request;
  if (sizeBytes > before.sizeBytes) await truncate(staging.diskPath, sizeBytes);
  if (preallocation) await allocate(staging.diskPath, sizeBytes, hooks.signal);
  if (digest === undefined || sizeBytes === before.sizeBytes) return digest;
  return (await contentDigestOfFile(staging.diskPath, { signal: hooks.signal })).contentDigest;
}
