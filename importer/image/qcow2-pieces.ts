// What an L2 table of a qcow2 image says, as pieces of the disk: stretches that lie in the file as they are, and groups of compressed clusters whose
// bytes lie near each other there. After QEMU docs/interop/qcow2.rst, "L1 table, L2 tables, and cluster mapping"; entries without subclusters. Pure.
import { Fault } from '../../domain/fault.ts';
import type { Qcow2Header } from './qcow2-header.ts';
import { offsetAt } from './qcow2-tables.ts';

/** A stretch of the disk whose bytes lie in the file from `offset` on: as many as fill it, or packed. */
export interface DiskPiece {
  /** In the disk. */
  start: number;
  length: number;
  /** In the file. */
  offset: number;
  bytes: number;
  /** In order, each of which fills one cluster of the disk but the last of all, which may reach beyond its end; undefined for a piece that is not packed. */
  packed?: PackedCluster[];
}

/** Where a cluster lies in the bytes of its piece. Its last sector may hold the beginning of another one, or end with the file. */
export interface PackedCluster {
  at: number;
  bytes: number;
}

/** Of one piece; a single cluster may take more. */
const mostBytes = 1024 * 1024;
const mostDiskBytes = 4 * 1024 * 1024;
/** Of its bytes so many may be of no use: plain clusters and tables that lie between. */
const mostWaste = 256 * 1024;
const sectorBytes = 512;

interface PlannedTable {
  /** Offset in the disk of what the first entry covers. */
  guestOffset: number;
  header: Qcow2Header;
  /** Length of the image; without end where it is not known. */
  fileBytes: number;
}

/**
 * In order; what lies between is zeros. One after the other, since a table may name a quarter of a million clusters.
 * @throws Fault CorruptImage
 */
export function* planPieces(
  table: Buffer,
  { guestOffset, header, fileBytes }: PlannedTable,
): Generator<DiskPiece, void, undefined> {
  const clusterBytes = 2 ** header.clusterBits;
  let last: DiskPiece | undefined;
  for (let at = 0; at + 8 <= table.byteLength; at += 8) {
    const start = guestOffset + (at / 8) * clusterBytes;
    if (start >= header.virtualSizeBytes) break;
    const length = Math.min(clusterBytes, header.virtualSizeBytes - start);
    const piece = pieceOf(table, at, header);
    if (piece === undefined) continue;
    const end = piece.offset + (piece.packed === undefined ? length : 1);
    if (end > fileBytes) {
      throw new Fault('CorruptImage', `qcow2: a cluster ends at byte ${end}, the file ends at byte ${fileBytes}`);
    }
    const whole = { ...piece, start, length, bytes: piece.packed === undefined ? length : piece.bytes };
    if (last !== undefined && joins(last, whole)) continue;
    if (last !== undefined) yield last;
    last = whole;
  }
  if (last !== undefined) yield last;
}

/** True for a table that names a compressed cluster, and how many clusters with data it names. */
export function lookForPacked(table: Buffer): { hasPacked: boolean; dataClusters: number } {
  let [hasPacked, dataClusters] = [false, 0];
  for (let at = 0; at + 8 <= table.byteLength; at += 8) {
    const high = table.readUInt32BE(at);
    if (high === 0 && table.readUInt32BE(at + 4) < sectorBytes) continue;
    dataClusters += 1;
    if ((high & compressedFlag) !== 0) hasPacked = true;
  }
  return { hasPacked, dataClusters };
}

/** Bits 62 and 0 of an entry, in its two halves. */
const compressedFlag = 0x40000000;
const zeroFlag = 1;

/** Two numbers of 32 bits in place of a bigint, of which there would be many thousands. @returns undefined for zeros */
function pieceOf(
  table: Buffer,
  at: number,
  header: Qcow2Header,
): Pick<DiskPiece, 'offset' | 'bytes' | 'packed'> | undefined {
  const high = table.readUInt32BE(at);
  const low = table.readUInt32BE(at + 4);
  if ((high & compressedFlag) !== 0) return packedOf(high, low, header.clusterBits);
  if ((low & zeroFlag) !== 0) {
    if (header.version === 3) return undefined;
    throw new Fault('CorruptImage', 'qcow2: a cluster of zeros in version 2');
  }
  const offset = offsetAt(table, at);
  if (offset === 0) return undefined;
  if (offset % 2 ** header.clusterBits !== 0) {
    throw new Fault('CorruptImage', `qcow2: a cluster begins at byte ${offset}`);
  }
  return { offset, bytes: 0 };
}

/** The offset has 62 - (clusterBits - 8) bits; those above it, but the last two, say how many further sectors the bytes go on into. */
function packedOf(high: number, low: number, clusterBits: number): Pick<DiskPiece, 'offset' | 'bytes' | 'packed'> {
  const highOffsetBits = 62 - (clusterBits - 8) - 32;
  const offset = (high & (2 ** highOffsetBits - 1)) * 2 ** 32 + low;
  const furtherSectors = (high & 0x3fffffff) >>> highOffsetBits;
  const bytes = (furtherSectors + 1) * sectorBytes - (offset % sectorBytes);
  return { offset, bytes, packed: [{ at: 0, bytes }] };
}

/** Adds the piece to the one before it where they are one stretch. */
function joins(last: DiskPiece, next: DiskPiece): boolean {
  if (last.start + last.length !== next.start) return false;
  if (last.packed === undefined || next.packed === undefined) {
    const goesOn = last.packed === next.packed && last.offset + last.bytes === next.offset;
    if (!goesOn || last.bytes + next.bytes > mostBytes) return false;
    last.bytes += next.bytes;
  } else if (!joinsPacked(last, next, last.packed, next.packed)) return false;
  last.length += next.length;
  return true;
}

/** Clusters that were compressed side by side lie in the file in nearly the order of the disk. */
function joinsPacked(last: DiskPiece, next: DiskPiece, packed: PackedCluster[], more: PackedCluster[]): boolean {
  const offset = Math.min(last.offset, next.offset);
  const bytes = Math.max(last.offset + last.bytes, next.offset + next.bytes) - offset;
  const used = [...packed, ...more].reduce((sum, cluster) => sum + cluster.bytes, 0);
  if (bytes > mostBytes || bytes > used + mostWaste || last.length + next.length > mostDiskBytes) return false;
  const moved = last.offset - offset;
  if (moved > 0) for (const cluster of packed) cluster.at += moved;
  for (const cluster of more) packed.push({ at: next.offset - offset + cluster.at, bytes: cluster.bytes });
  [last.offset, last.bytes] = [offset, bytes];
  return true;
}
