// Unpacks a tar into a directory of the staging, in one pass and in little memory. What comes is bounded twice: what its files take by the volume, and what is
// read of it, so that headers without end and bytes behind the end are no way to keep a worker busy.
import { Fault } from '../../domain/fault.ts';
import { shownName } from '../../volumes/entry-path.ts';
import type { FileTreeWriter } from '../../volumes/file-tree-writer.ts';
import { TarEntries, type TarEntry } from '../tar/tar-entries.ts';
import { TarStream } from '../tar/tar-input.ts';

/** Headers of small files take more than the files. */
const mostTimesVolume = 2;
const allowanceBytes = 64 * 1024 * 1024;

/**
 * @param pieces the tar, unpacked; each may be overwritten once the next one is asked for. Read to their end, so that whoever checks them sees all
 * @returns how many entries it has
 * @throws Fault CorruptArchive, HostileArchive, ImageTooLarge, NoSpace, what the pieces fail with, or the reason of the abort
 */
export async function unpackArchive(
  pieces: AsyncIterable<Buffer>,
  writer: FileTreeWriter,
  { volumeBytes, signal }: { volumeBytes: number; signal: AbortSignal },
): Promise<number> {
  const input = new TarStream(bounded(pieces, volumeBytes * mostTimesVolume + allowanceBytes));
  const entries = new TarEntries(input);
  let count = 0;
  try {
    for (let entry = await entries.next(); entry !== undefined; entry = await entries.next()) {
      signal.throwIfAborted();
      await unpackEntry(entry, input, writer);
      count += 1;
    }
    await input.drain();
  } catch (error) {
    throw asOfArchive(error);
  }
  if (count === 0) throw new Fault('NotAnArchive', 'it is a tar without a single file');
  return count;
}

async function unpackEntry(entry: TarEntry, input: TarStream, writer: FileTreeWriter): Promise<void> {
  const { name, linkName, mode, modified, bodyBytes: bytes } = entry;
  switch (entry.type) {
    case 'file':
      return writer.file(name, { mode, modified, bytes }, input.pieces(bytes));
    case 'directory':
      return writer.directory(name, mode);
    case 'symbolic link':
      return writer.symbolicLink(name, linkName);
    case 'hard link':
      return writer.hardLink(name, linkName);
    case 'sparse file':
      throw new Fault('HostileArchive', `${shownName(name)} is stored sparse; make the tar without --sparse`);
    default:
      throw new Fault(
        'HostileArchive',
        `${shownName(name)} is neither a file nor a directory nor a link: ${entry.type}`,
      );
  }
}

async function* bounded(pieces: AsyncIterable<Buffer>, mostBytes: number): AsyncGenerator<Buffer, void, undefined> {
  let bytes = 0;
  for await (const piece of pieces) {
    bytes += piece.byteLength;
    if (bytes > mostBytes)
      throw new Fault('HostileArchive', `it goes on behind ${mostBytes} bytes, though its files are smaller`);
    yield piece;
  }
}

/** The reader of tars speaks of images: it also reads the layers of container images. */
function asOfArchive(error: unknown): unknown {
  if (!(error instanceof Fault)) return error;
  const { code, detail: said, facts } = error;
  if (code === 'CorruptImage') return new Fault('CorruptArchive', said, { cause: error, facts });
  return code === 'HostileImage' ? new Fault('HostileArchive', said, { cause: error, facts }) : error;
}
