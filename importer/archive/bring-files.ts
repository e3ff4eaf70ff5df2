// From the bytes of an archive to the files in staging's `data`, counted, checked and digested: what an import and an upload have in common.
import { Fault } from '../../domain/fault.ts';
import type { TransferReport } from '../../domain/volume-record.ts';
import { FileTreeWriter } from '../../volumes/file-tree-writer.ts';
import type { Staging } from '../../volumes/staging.ts';
import { treeDigest } from '../../volumes/tree-digest.ts';
import { unpacked } from '../decode/unpacked.ts';
import type { ByteStream } from '../peeked-stream.ts';
import type { SourceDigest } from '../source-digest.ts';
import type { StepTimer } from '../step-timer.ts';
import type { TransferHooks } from '../transfer-hooks.ts';
import type { ArchiveProbe } from './probe-archive.ts';
import { unpackArchive } from './unpack-archive.ts';

export interface ArchiveTransfer {
  probe: ArchiveProbe;
  staging: Staging;
  /** Of the volume. */
  sizeBytes: number;
  hooks: TransferHooks;
  signal: AbortSignal;
  timer: StepTimer;
}

/** What a report tells of the files. */
export type BroughtFiles = Pick<
  TransferReport,
  'virtualSizeBytes' | 'allocatedBytes' | 'contentDigest' | 'files' | 'format' | 'strategy' | 'warnings'
>;

/** One pass through the source. Afterwards, well or not, no child is left. @returns how many links were made relative */
export async function unpackSource(
  source: ByteStream,
  digest: SourceDigest,
  { probe, staging, sizeBytes, hooks, signal, timer }: ArchiveTransfer,
): Promise<number> {
  const stop = new AbortController();
  const surroundings = { ...hooks, signal: AbortSignal.any([signal, stop.signal]) };
  let pieces: AsyncGenerator<Buffer, void, undefined> = digest.through(source.pieces(), (done) =>
    timer.advance({ bytesDone: done }),
  );
  for (const compression of probe.compressions) pieces = unpacked(pieces, compression, surroundings);
  await using writer = await FileTreeWriter.create(staging.dataPath, sizeBytes);
  try {
    await unpackArchive(pieces, writer, { volumeBytes: sizeBytes, signal });
    return writer.rebasedLinks;
  } catch (error) {
    stop.abort(new Fault('Cancelled', 'the archive is not unpacked any further'));
    throw error;
  } finally {
    await pieces.return();
  }
}

/** Reads what was unpacked once more: the digest is of what lies there. */
export async function settleFiles(
  { probe, staging, sizeBytes, signal }: ArchiveTransfer,
  rebasedLinks: number,
): Promise<BroughtFiles> {
  const { contentDigest, entries, bytes, allocatedBytes } = await treeDigest(staging.dataPath, { signal });
  const warnings =
    rebasedLinks === 0 ? [] : [`${rebasedLinks} absolute links were made relative to the root of the archive`];
  return {
    ...{ virtualSizeBytes: sizeBytes, allocatedBytes, contentDigest, files: { entries, bytes } },
    ...{ format: probe.formatName, strategy: 'stream' },
    ...(warnings.length === 0 ? {} : { warnings }),
  };
}
