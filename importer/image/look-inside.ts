// Unpacks as much of the beginning of content as tells what is inside: nothing of it is kept, and the work is bounded whatever the content claims.
import { Fault } from '../../domain/fault.ts';
import type { ImageFormat } from '../../volumes/qemu-img.ts';
import { decompressedHead } from '../decode/decompressed-head.ts';
import type { DecoderSurroundings } from '../decode/decompressor.ts';
import type { ByteStream } from '../peeked-stream.ts';
import type { Compression, ContentKind } from './content-kind.ts';
import { zstdContentBytes } from './zstd-frame.ts';

export interface InsideContent<Format extends string = ImageFormat> {
  /** Outermost first. */
  compressions: Compression[];
  format: Format;
  /** Beginning of the innermost content. */
  head: Buffer;
  /** True where that is all of it. */
  whole: boolean;
  /** Length of the innermost content as a compressed header declares it. */
  declaredBytes: number | undefined;
}

/** As much as the header of any format wants. */
const headBytes = 65_536;
/** A zstd block has up to 128 KiB, an xz header is small: this much always yields something. */
const longHeadBytes = 524_288;
/** A block of bzip2 has 900 kB and yields nothing before its end. */
const longestHeadBytes = 2_097_152;
/** Fewer bytes tell too little, where there are more. */
const tellingBytes = 4096;
const deepestCompression = 2;

/** Tells what content is by its first bytes. @throws Fault where it is nothing that is wanted */
type KindTeller<Format extends string> = (head: Buffer, whole: boolean) => ContentKind<Format>;

/** @throws Fault of `kindOf`, UnsupportedFormat, CorruptCompression, DecoderMemory */
export async function lookInside<Format extends string>(
  source: ByteStream & { readonly totalBytes: number | undefined },
  surroundings: DecoderSurroundings,
  kindOf: KindTeller<Format>,
): Promise<InsideContent<Format>> {
  for (const bytes of [headBytes, longHeadBytes, longestHeadBytes]) {
    const outer = await source.head(bytes);
    const complete = outer.byteLength < bytes || outer.byteLength === source.totalBytes;
    const found = await unpack(outer, { complete, limitBytes: bytes, kindOf }, surroundings);
    if ('format' in found) return found;
    if (bytes === longHeadBytes && !found.compressions.includes('bz2')) break;
  }
  throw new Fault('CorruptCompression', 'its beginning cannot be decompressed');
}

/**
 * @param limitBytes most that is unpacked of each compression: not the length of what is there, for a few bytes may hold very many
 * @returns only the compressions where the beginning is too short to see what is inside
 */
async function unpack<Format extends string>(
  outer: Buffer,
  { complete, limitBytes, kindOf }: { complete: boolean; limitBytes: number; kindOf: KindTeller<Format> },
  surroundings: DecoderSurroundings,
): Promise<InsideContent<Format> | Pick<InsideContent, 'compressions'>> {
  const compressions: Compression[] = [];
  let inside = { bytes: outer, whole: complete };
  let declaredBytes: number | undefined;
  for (;;) {
    if (inside.bytes.byteLength < tellingBytes && !inside.whole) return { compressions };
    const kind = kindOf(inside.bytes, inside.whole);
    if (kind.kind === 'image') {
      return { compressions, format: kind.format, head: inside.bytes, whole: inside.whole, declaredBytes };
    }
    if (compressions.length === deepestCompression) {
      throw new Fault('UnsupportedFormat', `it is compressed more than ${deepestCompression} times`);
    }
    compressions.push(kind.compression);
    declaredBytes = kind.compression === 'zst' ? zstdContentBytes(inside.bytes) : undefined;
    inside = await decompressedHead(kind.compression, inside.bytes, limitBytes, inside.whole, surroundings);
  }
}
