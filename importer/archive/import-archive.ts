// The import of an archive (contentType archive): probe, plan, transfer, verify, resize as of a disk, but what comes is unpacked on the way. Leaves
// staging/data ready to commit; after a failure or abort no child, connection or open file is left, and the caller discards the staging.
import { toFault } from '../../domain/fault.ts';
import type { TransferReport } from '../../domain/volume-record.ts';
import type { Staging } from '../../volumes/staging.ts';
import type { ImageSource } from '../image-source.ts';
import { openSource, type SourceLocation } from '../open-source.ts';
import { SourceDigest } from '../source-digest.ts';
import { StepTimer } from '../step-timer.ts';
import type { TransferHooks } from '../transfer-hooks.ts';
import { settleFiles, unpackSource } from './bring-files.ts';
import { probeArchive } from './probe-archive.ts';

/** The inputs of an import; those of jobs/attempt-inputs.ts fit. */
export interface ArchiveRequest {
  source: SourceLocation;
  sizeBytes: number;
  checksum?: string;
}

/**
 * @param staging fresh staging of the attempt
 * @throws Fault of the groups source, image and space, or the reason of the abort
 */
export async function importArchive(
  { source: location, sizeBytes, checksum }: ArchiveRequest,
  staging: Staging,
  hooks: TransferHooks,
): Promise<TransferReport> {
  const signal = AbortSignal.any([hooks.signal, staging.signal]);
  const timer = new StepTimer(hooks);
  try {
    const digest = new SourceDigest(checksum);
    const source = await timer.run('probe', () => openSource(location, { ...hooks, signal }));
    try {
      source.onFetched = (bytes) => timer.advance({ bytesFetched: bytes });
      timer.advance(source.totalBytes === undefined ? {} : { bytesTotal: source.totalBytes });
      const probe = await timer.run('plan', () => probeArchive(source, { ...hooks, signal }));
      const transfer = { probe, staging, sizeBytes, hooks, signal, timer };
      const rebasedLinks = await timer.run('transfer', () => unpackSource(source, digest, transfer));
      const verified = await timer.run('verify', () => verifySource(source, digest));
      const files = await timer.run('resize', () => settleFiles(transfer, rebasedLinks));
      signal.throwIfAborted();
      return {
        ...{ ...files, verified, sourceDigest: digest.finish() },
        ...(source.totalBytes === undefined ? {} : { sourceBytes: source.totalBytes }),
        ...{ fetchedBytes: source.fetchedBytes, steps: timer.rows },
      };
    } finally {
      timer.advance({ bytesFetched: source.fetchedBytes });
      await source.close();
    }
  } catch (error) {
    throw toFault(error, { signal });
  }
}

/** @throws Fault ChecksumMismatch, SourceTooLong, SourceInterrupted */
function verifySource(source: ImageSource, digest: SourceDigest): TransferReport['verified'] {
  source.assertLength(digest.bytes);
  if (digest.verify() || source.isProven === true) return 'digest';
  return source.totalBytes === undefined ? 'none' : 'length';
}
