// Own strict reader of a qcow2 header (QEMU docs/interop/qcow2.txt, versions 2 and 3). Refuses whatever could make qemu-img open another file,
// take much memory or time, or misread the image. qemu-img sees an image only after this. Pure.
import { Fault } from '../../domain/fault.ts';

export interface Qcow2Header {
  version: 2 | 3;
  virtualSizeBytes: number;
  clusterBits: number;
  l1Entries: number;
  l1Offset: number;
  refcountTableOffset: number;
  refcountTableClusters: number;
  snapshots: number;
  snapshotsOffset: number;
  /** Subclusters: entries of L2 tables are twice as long. */
  extendedL2: boolean;
  /** Of its compressed clusters, if it has any. */
  compression: 'zlib' | 'zstd';
  headerBytes: number;
}

/** How much of the beginning parseQcow2Header wants. */
export const qcow2HeadBytes = 65_536;

const knownIncompatible = { dirty: 0n, corrupt: 1n, externalData: 2n, compressionType: 3n, extendedL2: 4n };
const extensions = { end: 0x00000000, encryption: 0x0537be77, dataFile: 0x44415441 };
const largestTableBytes = 8 * 1024 * 1024;
const largestL1Bytes = 32 * 1024 * 1024;
const mostSnapshots = 4096;
const shortestSnapshotBytes = 40;
/** Largest disk that we take: far more than any file system holds. */
const largestVirtualBytes = 2 ** 50;

/**
 * @param head the first 64 KiB, or all where there is less
 * @param fileBytes length of the image, where it is known: what lies beyond is missing
 * @throws Fault HostileImage, UnsupportedFormat (encryption, old version), CorruptImage
 */
export function parseQcow2Header(head: Buffer, fileBytes: number | undefined): Qcow2Header {
  if (head.byteLength < 72) throw corrupt('the header is cut');
  const version = head.readUInt32BE(4);
  if (version !== 2 && version !== 3) throw new Fault('UnsupportedFormat', `qcow version ${version}`);
  if (head.readBigUInt64BE(8) !== 0n || head.readUInt32BE(16) !== 0) {
    throw hostile('it has a backing file');
  }
  const clusterBits = head.readUInt32BE(20);
  if (clusterBits < 9 || clusterBits > 21) throw hostile(`clusters of 2^${clusterBits} bytes`);
  if (head.readUInt32BE(32) !== 0) throw new Fault('UnsupportedFormat', 'the qcow2 image is encrypted');
  const later = version === 3 ? laterFields(head, clusterBits) : fieldsOfVersion2;
  const header: Qcow2Header = {
    version,
    virtualSizeBytes: safe(head.readBigUInt64BE(24), largestVirtualBytes, 'virtual size'),
    clusterBits,
    l1Entries: head.readUInt32BE(36),
    l1Offset: offsetOf(head, 40, clusterBits, 'L1 table'),
    refcountTableOffset: offsetOf(head, 48, clusterBits, 'refcount table'),
    refcountTableClusters: head.readUInt32BE(56),
    snapshots: head.readUInt32BE(60),
    snapshotsOffset: 0,
    ...later,
  };
  if (header.snapshots > 0) header.snapshotsOffset = offsetOf(head, 64, clusterBits, 'snapshot table', 8);
  checkTables(header, fileBytes);
  checkExtensions(head, header.headerBytes, 2 ** clusterBits);
  return header;
}

type LaterFields = Pick<Qcow2Header, 'extendedL2' | 'compression' | 'headerBytes'>;

const fieldsOfVersion2: LaterFields = { extendedL2: false, compression: 'zlib', headerBytes: 72 };

function laterFields(head: Buffer, clusterBits: number): LaterFields {
  if (head.byteLength < 104) throw corrupt('the header is cut');
  const incompatible = head.readBigUInt64BE(72);
  const has = (bit: bigint): boolean => (incompatible & (1n << bit)) !== 0n;
  if (has(knownIncompatible.externalData)) throw hostile('it keeps its data in another file');
  if (has(knownIncompatible.corrupt)) throw corrupt('the image is marked as corrupt');
  if (incompatible >> 5n !== 0n) throw hostile(`unknown features 0x${incompatible.toString(16)}`);
  if (head.readUInt32BE(96) > 6) throw hostile(`refcounts of 2^${head.readUInt32BE(96)} bits`);
  const headerBytes = head.readUInt32BE(100);
  if (headerBytes < 104 || headerBytes % 8 !== 0 || headerBytes > 2 ** clusterBits) {
    throw hostile(`a header of ${headerBytes} bytes`);
  }
  const compressionType = headerBytes > 104 && head.byteLength > 104 ? head.readUInt8(104) : 0;
  if (compressionType > 1 || (compressionType !== 0) !== has(knownIncompatible.compressionType)) {
    throw hostile(`compression type ${compressionType}`);
  }
  const extendedL2 = has(knownIncompatible.extendedL2);
  if (extendedL2 && clusterBits < 14) throw hostile('subclusters in clusters that are too small');
  return { extendedL2, compression: compressionType === 0 ? 'zlib' : 'zstd', headerBytes };
}

function checkTables(header: Qcow2Header, fileBytes: number | undefined): void {
  const clusterBytes = 2 ** header.clusterBits;
  const needed = Math.ceil(header.virtualSizeBytes / bytesOfL1Entry(header));
  if (header.l1Entries * 8 > largestL1Bytes) throw hostile(`an L1 table of ${header.l1Entries} entries`);
  if (header.l1Entries < needed) throw corrupt(`the L1 table has ${header.l1Entries} entries and needs ${needed}`);
  if (header.virtualSizeBytes > 0 && header.l1Offset === 0) throw corrupt('there is no L1 table');
  const refcountBytes = header.refcountTableClusters * clusterBytes;
  if (refcountBytes > largestTableBytes) throw hostile(`a refcount table of ${refcountBytes} bytes`);
  if (refcountBytes === 0 || header.refcountTableOffset === 0) throw corrupt('there is no refcount table');
  if (header.snapshots > mostSnapshots) throw hostile(`${header.snapshots} snapshots`);
  if (header.snapshots > 0 && header.snapshotsOffset === 0) throw corrupt('there is no snapshot table');
  const parts = partsOf(header);
  for (const { name, end } of parts) {
    if (fileBytes !== undefined && end > fileBytes) {
      throw corrupt(`the ${name} ends at byte ${end}, the file at byte ${fileBytes}`);
    }
  }
  refuseOverlap(parts);
}

/** A part of the file; `end` is the byte after it. */
interface FilePart {
  name: string;
  start: number;
  end: number;
}

/** What the header names, and itself. */
export function partsOf(header: Qcow2Header): FilePart[] {
  const { headerBytes, l1Offset, refcountTableOffset, refcountTableClusters, snapshotsOffset } = header;
  const part = (name: string, start: number, bytes: number): FilePart => ({ name, start, end: start + bytes });
  return [
    part('header', 0, headerBytes),
    part('L1 table', l1Offset, header.l1Entries * 8),
    part('refcount table', refcountTableOffset, refcountTableClusters * 2 ** header.clusterBits),
    part('snapshot table', snapshotsOffset, header.snapshots * shortestSnapshotBytes),
  ];
}

function refuseOverlap(parts: readonly FilePart[]): void {
  const inOrder = parts.filter(({ start, end }) => end > start).toSorted((one, other) => one.start - other.start);
  for (const [index, part] of inOrder.entries()) {
    const former = inOrder[index - 1];
    if (former !== undefined && part.start < former.end) throw corrupt(`the ${part.name} lies over the ${former.name}`);
  }
}

/** Extensions lie between the header and the end of the first cluster, which may be longer than what the probe reads. */
function checkExtensions(head: Buffer, headerBytes: number, clusterBytes: number): void {
  for (let offset = headerBytes; offset + 8 <= Math.min(head.byteLength, clusterBytes); ) {
    const type = head.readUInt32BE(offset);
    const length = head.readUInt32BE(offset + 4);
    if (type === extensions.end) return;
    if (type === extensions.dataFile) throw hostile('it names another file for its data');
    if (type === extensions.encryption) throw new Fault('UnsupportedFormat', 'the qcow2 image is encrypted');
    offset += 8 + Math.ceil(length / 8) * 8;
    if (offset > clusterBytes) throw hostile(`a header extension of ${length} bytes`);
  }
}

/** Guest bytes that one entry of the L1 table covers. */
export function bytesOfL1Entry(header: Pick<Qcow2Header, 'clusterBits' | 'extendedL2'>): number {
  const entryBytes = header.extendedL2 ? 16 : 8;
  return (2 ** header.clusterBits / entryBytes) * 2 ** header.clusterBits;
}

function offsetOf(head: Buffer, at: number, clusterBits: number, name: string, alignment?: number): number {
  const value = safe(head.readBigUInt64BE(at), 2 ** 52, `offset of the ${name}`);
  if (value % (alignment ?? 2 ** clusterBits) !== 0) throw corrupt(`the ${name} begins at byte ${value}`);
  return value;
}

function safe(value: bigint, most: number, name: string): number {
  if (value > BigInt(most)) throw hostile(`${name} ${value}`);
  return Number(value);
}

function hostile(detail: string): Fault {
  return new Fault('HostileImage', `qcow2: ${detail}`);
}

function corrupt(detail: string): Fault {
  return new Fault('CorruptImage', `qcow2: ${detail}`);
}
