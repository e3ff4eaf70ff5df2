// Own strict reader of a VHD ("Virtual Hard Disk Image Format Specification", October 2006; qemu calls it vpc). A dynamic one begins with a copy of
// its footer, which names a header and a table of blocks; of a fixed one, which is a raw disk, only the footer at its very end tells. Pure but for `readAt`.
import {
  type ImageFile,
  type InspectedImage,
  isPowerOfTwo,
  judgeOf,
  largestTableBytes,
  mostTableBytes,
  readWhole,
  sectorBytes,
} from './inspection.ts';

export interface VhdFooter {
  virtualSizeBytes: number;
  kind: 'fixed' | 'dynamic';
  /** Where the header of a dynamic one lies. */
  headerOffset: number;
}

interface DynamicHeader {
  tableOffset: number;
  entries: number;
  blockBytes: number;
}

const { hostile, corrupt, unsupported, safe } = judgeOf('vhd');

export const vhdFooterBytes = 512;
const dynamicHeaderBytes = 1024;
const kinds = { fixed: 2, dynamic: 3, differencing: 4 };
/** Most that qemu-img takes: 2040 GiB. */
const largestBytes = 0xff000000 * sectorBytes;
const smallestBlockBytes = 4096;
const largestBlockBytes = 256 * 1024 * 1024;
const unused = 0xffffffff;

/** True for 512 bytes that are a whole footer, checksum included: not for a disk that happens to begin or end with its magic. */
export function isVhdFooter(bytes: Buffer): boolean {
  return (
    bytes.byteLength === vhdFooterBytes &&
    bytes.toString('latin1', 0, 8) === 'conectix' &&
    bytes.readUInt32BE(64) === checksumOf(bytes, 64)
  );
}

/**
 * The size is `current size`, which is what the guest sees; the geometry of cylinders beside it is often smaller and loses the end of the disk.
 * @param bytes 512 of them
 * @throws Fault HostileImage (a parent, absurd numbers), UnsupportedFormat (type, version), CorruptImage
 */
export function parseVhdFooter(bytes: Buffer): VhdFooter {
  if (bytes.byteLength < vhdFooterBytes) throw corrupt('the footer is cut');
  const footer = bytes.subarray(0, vhdFooterBytes);
  if (!isVhdFooter(footer)) throw corrupt('the checksum of its footer is wrong');
  const version = footer.readUInt32BE(12);
  if (version >>> 16 !== 1) throw unsupported(`version ${version >>> 16}.${version & 0xffff}`);
  const type = footer.readUInt32BE(60);
  if (type === kinds.differencing) throw hostile('it holds only what differs from another image');
  if (type !== kinds.fixed && type !== kinds.dynamic) throw unsupported(`type ${type}`);
  const virtualSizeBytes = safe(footer.readBigUInt64BE(48), largestBytes, 'virtual size');
  if (virtualSizeBytes % sectorBytes !== 0) throw hostile(`virtual size ${virtualSizeBytes}`);
  if (type === kinds.fixed) return { virtualSizeBytes, kind: 'fixed', headerOffset: 0 };
  const headerOffset = safe(footer.readBigUInt64BE(16), Number.MAX_SAFE_INTEGER, 'offset of the header');
  return { virtualSizeBytes, kind: 'dynamic', headerOffset };
}

/** @throws Fault as above; a fixed one does not begin with its footer, so here that is CorruptImage */
export function parseDynamicVhd(head: Buffer): VhdFooter {
  const footer = parseVhdFooter(head.subarray(0, vhdFooterBytes));
  if (footer.kind === 'fixed') throw corrupt('it begins with the footer of a fixed one');
  return footer;
}

/** @throws Fault as above, CorruptImage naming what lies beyond the end */
export async function inspectVhd(file: ImageFile): Promise<InspectedImage> {
  const { virtualSizeBytes, headerOffset } = parseDynamicVhd(await file.readAt(0, vhdFooterBytes));
  const header = parseHeader(
    await readWhole(file, headerOffset, dynamicHeaderBytes, 'vhd: the header'),
    virtualSizeBytes,
  );
  const tableBytes = header.entries * 4;
  if (header.tableOffset + tableBytes > file.fileBytes) {
    throw corrupt(`the table ends at byte ${header.tableOffset + tableBytes}, the file at byte ${file.fileBytes}`);
  }
  if (tableBytes <= mostTableBytes) {
    checkTable(await readWhole(file, header.tableOffset, tableBytes, 'vhd: the table'), header, virtualSizeBytes, file);
  }
  return { virtualSizeBytes };
}

function parseHeader(bytes: Buffer, virtualSizeBytes: number): DynamicHeader {
  if (bytes.toString('latin1', 0, 8) !== 'cxsparse') throw corrupt('there is no header where the footer says');
  if (bytes.readUInt32BE(36) !== checksumOf(bytes, 36)) throw corrupt('the checksum of its header is wrong');
  const blockBytes = bytes.readUInt32BE(32);
  if (blockBytes < smallestBlockBytes || blockBytes > largestBlockBytes || !isPowerOfTwo(blockBytes)) {
    throw hostile(`blocks of ${blockBytes} bytes`);
  }
  const entries = bytes.readUInt32BE(28);
  const needed = Math.ceil(virtualSizeBytes / blockBytes);
  if (entries < needed) throw corrupt(`the table has ${entries} entries and needs ${needed}`);
  if (entries * 4 > largestTableBytes) throw hostile(`a table of ${entries} entries`);
  const tableOffset = safe(bytes.readBigUInt64BE(16), Number.MAX_SAFE_INTEGER, 'offset of the table');
  if (tableOffset % sectorBytes !== 0 || tableOffset < vhdFooterBytes) {
    throw corrupt(`the table begins at byte ${tableOffset}`);
  }
  return { tableOffset, entries, blockBytes };
}

/** Before the data of a block stands a bit for each of its sectors, in whole sectors. */
function checkTable(
  table: Buffer,
  { entries, blockBytes }: DynamicHeader,
  virtualSizeBytes: number,
  { fileBytes }: ImageFile,
): void {
  const bitmapBytes = Math.ceil(blockBytes / sectorBytes / 8 / sectorBytes) * sectorBytes;
  for (let block = 0; block < entries && block * blockBytes < virtualSizeBytes; block += 1) {
    const sector = table.readUInt32BE(block * 4);
    if (sector === unused) continue;
    const dataBytes = Math.min(blockBytes, virtualSizeBytes - block * blockBytes);
    const end = sector * sectorBytes + bitmapBytes + dataBytes;
    if (end > fileBytes) throw corrupt(`block ${block} ends at byte ${end}, the file at byte ${fileBytes}`);
  }
}

/** The complement of the sum of all bytes but the four of the checksum itself. */
function checksumOf(bytes: Buffer, at: number): number {
  const sum = bytes.reduce((total, byte, index) => (index >= at && index < at + 4 ? total : total + byte), 0);
  return ~sum >>> 0;
}
