// The upload of an archive: the body of the request is unpacked as it comes, and nothing is left to convert.
import type { Readable } from 'node:stream';
import { toFault } from '../../domain/fault.ts';
import type { TransferReport } from '../../domain/volume-record.ts';
import { BodyPieces } from '../body-pieces.ts';
import type { UploadTarget } from '../receive-upload.ts';
import { SourceDigest } from '../source-digest.ts';
import { StepTimer } from '../step-timer.ts';
import type { TransferHooks } from '../transfer-hooks.ts';
import { UploadSource } from '../upload-source.ts';
import { settleFiles, unpackSource } from './bring-files.ts';
import { probeArchive } from './probe-archive.ts';

/**
 * @param body is not destroyed, so that its request can still be answered
 * @returns the report of what lies in staging/data, ready to commit
 * @throws Fault UploadInterrupted (the client hung up), SourceTooLong, ChecksumMismatch, NotAnArchive, and those of unpacking
 */
export async function receiveArchive(
  body: Readable,
  { staging, sizeBytes, declaredBytes, checksum }: Omit<UploadTarget, 'preallocation'>,
  hooks: TransferHooks,
): Promise<TransferReport> {
  const signal = AbortSignal.any([hooks.signal, staging.signal]);
  const timer = new StepTimer(hooks);
  const onBytes = (bytes: number): void => timer.advance({ bytesFetched: bytes });
  const pieces = new BodyPieces(body, { declaredBytes, signal, onBytes });
  try {
    const digest = new SourceDigest(checksum);
    const source = new UploadSource(pieces, declaredBytes);
    const probe = await timer.run('probe', () => probeArchive(source, { ...hooks, signal }));
    timer.advance(declaredBytes === undefined ? {} : { bytesTotal: declaredBytes });
    const transfer = { probe, staging, sizeBytes, hooks, signal, timer };
    const rebasedLinks = await timer.run('transfer', () => unpackSource(source, digest, transfer));
    const checked = await timer.run('verify', () => digest.verify());
    const files = await timer.run('resize', () => settleFiles(transfer, rebasedLinks));
    return {
      ...files,
      verified: checked ? 'digest' : declaredBytes === undefined ? 'none' : 'length',
      ...{ sourceDigest: digest.finish(), sourceBytes: digest.bytes, fetchedBytes: digest.bytes, steps: timer.rows },
    };
  } catch (error) {
    throw toFault(error, { signal });
  } finally {
    await pieces.return();
  }
}
