// Tells by its first bytes what content is: compressed, an image of some format, something that is no disk image at all, else raw. Pure.
import { Fault } from '../../domain/fault.ts';
import type { ImageFormat } from '../../volumes/qemu-img.ts';

export type Compression = 'gz' | 'xz' | 'zst' | 'bz2';

export type ContentKind<Format extends string = ImageFormat> =
  | { kind: 'compressed'; compression: Compression }
  | { kind: 'image'; format: Format };

/** What is refused, with what a person should do. */
interface Refused {
  kind: 'refused';
  fault: () => Fault;
}

interface Magic {
  readonly offset: number;
  readonly bytes: Buffer;
  readonly meaning: ContentKind | Refused;
  /** What else has to be so where the bytes alone would say too little. */
  readonly also?: (head: Buffer) => boolean;
}

function at(offset: number, bytes: number[] | string, meaning: Magic['meaning'], also?: Magic['also']): Magic {
  const sought = typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : Buffer.from(bytes);
  return { offset, bytes: sought, meaning, ...(also === undefined ? {} : { also }) };
}

const compressed = (compression: Compression): ContentKind<never> => ({ kind: 'compressed', compression });
const image = (format: ImageFormat): ContentKind => ({ kind: 'image', format });
const refused = (fault: () => Fault): Refused => ({ kind: 'refused', fault });
const unsupported = (format: string): Refused =>
  refused(() => new Fault('UnsupportedFormat', `it is ${format}`, { facts: { format } }));
const archive = (format: string): Refused =>
  refused(
    () =>
      new Fault('NotADiskImage', `it is an archive (${format}); unpack it and take the image inside`, {
        facts: { format },
      }),
  );

const magics: readonly Magic[] = [
  at(0, [0x1f, 0x8b], compressed('gz')),
  at(0, [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00], compressed('xz')),
  at(0, [0x28, 0xb5, 0x2f, 0xfd], compressed('zst')),
  // A skippable frame (RFC 8878, 3.1.2) may lead; pzstd begins every file with one.
  at(1, [0x2a, 0x4d, 0x18], compressed('zst'), (head) => head.readUInt8(0) >> 4 === 5),
  at(0, 'BZh', compressed('bz2'), isBzip2Header),
  at(0, 'QFI\xfb', image('qcow2')),
  at(0, 'KDMV', image('vmdk')),
  at(64, [0x7f, 0x10, 0xda, 0xbe], image('vdi')),
  // Only a dynamic one begins so: a fixed one is told by its end.
  at(0, 'conectix', image('vpc')),
  at(0, 'vhdxfile', image('vhdx')),
  at(0, '# Disk DescriptorFile', refused(descriptorAlone)),
  at(0, 'PK\x03\x04', archive('zip')),
  at(0, 'PK\x05\x06', archive('zip')),
  at(0, 'PK\x07\x08', archive('zip')),
  at(0, '7z\xbc\xaf\x27\x1c', archive('7z')),
  at(0, 'Rar!\x1a\x07', archive('rar')),
  at(0, 'MSCF\0\0\0\0', archive('cab')),
  at(0, '!<arch>\n', archive('ar')),
  at(0, '070701', archive('cpio')),
  at(257, 'ustar', archive('tar')),
  at(0, '', archive('tar'), isTarHeader),
  at(0, 'LZIP', unsupported('lzip')),
  at(0, [0x04, 0x22, 0x4d, 0x18], unsupported('lz4')),
  at(0, [0x5d], unsupported('lzma'), isLzmaHeader),
  at(0, 'COWD', unsupported('vmdk of ESX (COWD)')),
  at(0, 'MSWIM\0\0\0', unsupported('wim')),
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
 * @throws Fault UnsupportedFormat naming the format, NotADiskImage for an archive, a page of text or less than a sector, HostileImage for a description
 *   without its image
 */
export function contentKindOf(head: Buffer, whole: boolean): ContentKind {
  if (head.byteLength === 0) throw new Fault('NotADiskImage', 'it is empty');
  const meaning = meaningOf(head);
  if (meaning !== undefined) {
    if (meaning.kind === 'refused') throw meaning.fault();
    return meaning;
  }
  if (whole && head.byteLength < sectorBytes) {
    throw new Fault('NotADiskImage', `it has ${head.byteLength} bytes, less than one sector`);
  }
  if (isPage(head)) throw new Fault('NotADiskImage', 'it is a page of text (HTML, XML or JSON)');
  return image('raw');
}

/**
 * The same where an archive is wanted and not a disk.
 * @throws Fault NotAnArchive naming what it is instead
 */
export function archiveKindOf(head: Buffer): ContentKind<'tar'> {
  const meaning = meaningOf(head);
  if (meaning?.kind === 'compressed') return meaning;
  if (meaning?.kind === 'image') throw new Fault('NotAnArchive', `it is a disk image (${meaning.format}) and no tar`);
  const format = meaning?.fault().facts['format'];
  if (format === 'tar') return { kind: 'image', format };
  if (format !== undefined) throw new Fault('NotAnArchive', `it is ${format} and no tar`, { facts: { format } });
  const what = head.byteLength === 0 ? 'it is empty' : isPage(head) ? 'it is a page of text' : 'it is no tar';
  throw new Fault('NotAnArchive', what);
}

function meaningOf(head: Buffer): ContentKind | Refused | undefined {
  return magics.find(
    ({ offset, bytes, also }) =>
      head.subarray(offset, offset + bytes.byteLength).equals(bytes) && (also === undefined || also(head)),
  )?.meaning;
}

function descriptorAlone(): Fault {
  return new Fault('HostileImage', 'vmdk: it is only a description, which names other files');
}

/** Size of the blocks, then the magic of the first block or of the end. */
function isBzip2Header(head: Buffer): boolean {
  return (
    head.byteLength >= 10 &&
    /^BZh[1-9](?:314159265359|177245385090)$/.test(head.toString('latin1', 0, 4) + head.toString('hex', 4, 10))
  );
}

/** Of the time before its magic: the header tells the sum of its bytes, those of the sum itself counted as spaces. */
function isTarHeader(head: Buffer): boolean {
  if (head.byteLength < sectorBytes) return false;
  const told = /^[ 0]*([0-7]+)[ \0]/.exec(head.toString('latin1', 148, 156))?.[1];
  if (told === undefined || head.readUInt8(0) === 0) return false;
  const sum = head.subarray(0, sectorBytes).reduce((total, byte) => total + byte, 0);
  const ofItself = head.subarray(148, 156).reduce((total, byte) => total + byte, 0);
  return sum - ofItself + 8 * 0x20 === Number.parseInt(told, 8);
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
