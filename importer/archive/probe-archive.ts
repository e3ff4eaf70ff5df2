// Finds out from its beginning whether content is a tar, and what it is packed with.
import type { DecoderSurroundings } from '../decode/decompressor.ts';
import { archiveKindOf, type Compression } from '../image/content-kind.ts';
import { lookInside } from '../image/look-inside.ts';
import type { ByteStream } from '../peeked-stream.ts';

export interface ArchiveProbe {
  /** Outermost first. */
  compressions: Compression[];
  /** Such as tar or tar.gz. */
  formatName: string;
}

/** @throws Fault NotAnArchive, CorruptCompression, DecoderMemory */
export async function probeArchive(
  source: ByteStream & { readonly totalBytes: number | undefined },
  surroundings: DecoderSurroundings,
): Promise<ArchiveProbe> {
  const { compressions, format } = await lookInside(source, surroundings, archiveKindOf);
  return { compressions, formatName: [format, ...compressions.toReversed()].join('.') };
}
