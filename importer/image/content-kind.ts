// Tells by its first bytes what content is: compressed, an image of some format, something that is no disk image at all, else raw. Pure.
import { Fault } from '../../domain/fault.ts';

export type Compression = 'gz' | 'xz' | 'zst';
export type ImageFormat = 'raw' | 'qcow2';

export type ContentKind = { kind: 'compressed'; compression: Compression } | { kind: 'image'; format: ImageFormat };

interface Magic {
  readonly offset: number;
  readonly bytes: Buffer;
  readonly meaning: ContentKind | { kind: 'unsupported'; name: string };
  /** What else has to be so where the bytes alone would say too little. */
  readonly also?: (head: Buffer) => boolean;
}

function at(offset: number, bytes: number[] | string, meaning: Magic['meaning'], also?: Magic['also']): Magic {
  const sought = typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : Buffer.from(bytes);
  return { offset, bytes: sought, meaning, ...(also === undefined ? {} : { also }) };
}

const compressed = (compression: Compression): ContentKind => ({ kind: 'compressed', compression });
const unsupported = (name: string): Magic['meaning'] => ({ kind: 'unsupported', name });

const magics: readonly Magic[] = [
  at(0, [0x1f, 0x8b], compressed('gz')),
  at(0, [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00], compressed('xz')),
  at(0, [0x28, 0xb5, 0x2f, 0xfd], compressed('zst')),
  // A skippable frame (RFC 8878, 3.1.2) may lead; pzstd begins every file with one.
  at(1, [0x2a, 0x4d, 0x18], compressed('zst'), (head) => head.readUInt8(0) >> 4 === 5),
  at(0, 'QFI\xfb', { kind: 'image', format: 'qcow2' }),
  at(0, 'BZh', unsupported('bzip2')),
  at(0, 'PK\x03\x04', unsupported('zip')),
  at(0, '7z\xbc\xaf\x27\x1c', unsupported('7z')),
  at(0, 'LZIP', unsupported('lzip')),
  at(0, [0x04, 0x22, 0x4d, 0x18], unsupported('lz4')),
  at(0, [0x5d], unsupported('lzma'), isLzmaHeader),
  at(257, 'ustar', unsupported('tar')),
  at(0, 'KDMV', unsupported('vmdk')),
  at(0, 'COWD', unsupported('vmdk')),
  at(0, '# Disk DescriptorFile', unsupported('vmdk')),
  at(64, [0x7f, 0x10, 0xda, 0xbe], unsupported('vdi')),
  at(0, 'conectix', unsupported('vhd')),
  at(0, 'vhdxfile', unsupported('vhdx')),
  at(0, 'QED\0', unsupported('qed')),
  at(0, 'WithoutFreeSpace', unsupported('parallels')),
  at(0, 'WithouFreSpacExt', unsupported('parallels')),
  at(0, 'LUKS\xba\xbe', unsupported('luks')),
];

/** Smallest thing that can be a disk: one sector. */
const sectorBytes = 512;
const textSampleBytes = 4096;

/**
 * @param head the first bytes; 4 KiB or more, unless the content is shorter
 * @param whole true where there is nothing after `head`
 * @throws Fault UnsupportedFormat naming the format, NotADiskImage for a page of text or for less than a sector
 */
export function contentKindOf(head: Buffer, whole: boolean): ContentKind {
  if (head.byteLength === 0) throw new Fault('NotADiskImage', 'it is empty');
  const magic = magics.find(
    ({ offset, bytes, also }) =>
      head.subarray(offset, offset + bytes.byteLength).equals(bytes) && (also === undefined || also(head)),
  );
  if (magic !== undefined) {
    if (magic.meaning.kind !== 'unsupported') return magic.meaning;
    throw new Fault('UnsupportedFormat', `it is ${magic.meaning.name}`, { facts: { format: magic.meaning.name } });
  }
  if (whole && head.byteLength < sectorBytes) {
    throw new Fault('NotADiskImage', `it has ${head.byteLength} bytes, less than one sector`);
  }
  if (isPage(head)) throw new Fault('NotADiskImage', 'it is a page of text (HTML, XML or JSON)');
  return { kind: 'image', format: 'raw' };
}

/**
 * A .lzma file has no magic: it is told by what every encoder writes. Dictionary of 2^n or 2^n + 2^(n-1) bytes, content of unknown length or of
 * less than 256 GiB (the rules of xz), and a first byte of the range coder that is always 0.
 */
function isLzmaHeader(head: Buffer): boolean {
  if (head.byteLength < 14 || head.readUInt8(13) !== 0) return false;
  const dictionary = head.readUInt32LE(1);
  const highest = 2 ** (31 - Math.clz32(dictionary));
  if (dictionary < 4096 || (dictionary !== highest && dictionary !== highest * 1.5)) return false;
  const contentBytes = head.readBigUInt64LE(5);
  return contentBytes === 0xffffffffffffffffn || (contentBytes > 0n && contentBytes < 1n << 38n);
}

/** A page begins with a bracket and has no byte that text has not; every disk has zeros or other control bytes early. */
function isPage(head: Buffer): boolean {
  const sample = head.subarray(0, textSampleBytes);
  const first = /^(?:\xef\xbb\xbf)?\s*([<{[])/.exec(sample.toString('latin1'));
  return first !== null && !sample.some((byte) => byte < 0x20 && !(byte >= 0x09 && byte <= 0x0d));
}
