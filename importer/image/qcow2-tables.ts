// Looks through the tables of a qcow2 image before qemu-img does, as far as they are small: every cluster that they name must lie in the file,
// so that an image that was cut is refused and not filled up with zeros. Larger tables are checked by the NBD view while qemu-img reads them.
import { Fault } from '../../domain/fault.ts';
import { mostTableBytes, type ReadAt } from './inspection.ts';
import { bytesOfL1Entry, partsOf, type Qcow2Header } from './qcow2-header.ts';

const parallelReads = 4;
const offsetMask = 0x00fffffffffffe00n;
const compressedFlag = 1n << 62n;
const zeroFlag = 1n;
const everySubcluster = 0xffffffff;

/** @throws Fault CorruptImage naming what lies beyond the end, or over what the header names */
export async function checkQcow2Tables(header: Qcow2Header, fileBytes: number, readAt: ReadAt): Promise<void> {
  const l1Bytes = Math.ceil(header.virtualSizeBytes / bytesOfL1Entry(header)) * 8;
  if (l1Bytes > mostTableBytes) return;
  const l1 = await readAt(header.l1Offset, l1Bytes);
  if (l1.byteLength < l1Bytes) throw corrupt('the L1 table is cut', fileBytes);
  const clusterBytes = 2 ** header.clusterBits;
  const affordable = Math.floor((mostTableBytes - l1Bytes) / clusterBytes);
  const looked = lastTables(l1, affordable, header, fileBytes);
  for (let first = 0; first < looked.length; first += parallelReads) {
    const group = looked.slice(first, first + parallelReads);
    await Promise.all(
      group.map(async (table) => checkL2(await readAt(table.offset, clusterBytes), table, header, fileBytes)),
    );
  }
}

interface L2Table {
  offset: number;
  /** Offset in the guest's view of what the first entry covers. */
  guestOffset: number;
}

/**
 * All tables, each once, or the last ones: an image is cut at its end, and its later tables are those that name the end. All are checked to lie in the
 * file, also those that are left out.
 */
function lastTables(l1: Buffer, most: number, header: Qcow2Header, fileBytes: number): L2Table[] {
  const offsetOf = l2Offsets(header, fileBytes);
  const guestOffsets = new Map<number, number>();
  for (let at = l1.byteLength - 8; at >= 0; at -= 8) {
    const offset = offsetOf(l1, at);
    if (offset !== 0 && guestOffsets.size < most) guestOffsets.set(offset, (at / 8) * bytesOfL1Entry(header));
  }
  return [...guestOffsets].map(([offset, guestOffset]) => ({ offset, guestOffset })).reverse();
}

/** Tells where the L2 table lies that an entry of the L1 table names; 0 for none. What it tells throws CorruptImage for a place where none can be. */
export function l2Offsets(header: Qcow2Header, fileBytes: number): (l1: Buffer, at: number) => number {
  const clusterBytes = 2 ** header.clusterBits;
  const parts = partsOf(header);
  return (l1, at) => {
    const offset = offsetAt(l1, at);
    if (offset === 0) return 0;
    if (offset % clusterBytes !== 0) throw new Fault('CorruptImage', `qcow2: an L2 table begins at byte ${offset}`);
    if (offset + clusterBytes > fileBytes) throw corrupt(`an L2 table begins at byte ${offset}`, fileBytes);
    const over = parts.find(({ start, end }) => offset < end && start < offset + clusterBytes);
    if (over !== undefined) throw new Fault('CorruptImage', `qcow2: an L2 table lies over the ${over.name}`);
    return offset;
  };
}

/** Bits 9 to 55 of an entry, as numbers: there may be half a million, and a bigint of each would hold up everything else for long. */
export function offsetAt(table: Buffer, at: number): number {
  return (table.readUInt32BE(at) & 0x00ffffff) * 2 ** 32 + ((table.readUInt32BE(at + 4) & 0xfffffe00) >>> 0);
}

function checkL2(table: Buffer, { guestOffset }: L2Table, header: Qcow2Header, fileBytes: number): void {
  const clusterBytes = 2 ** header.clusterBits;
  const entryBytes = header.extendedL2 ? 16 : 8;
  for (let at = 0; at + entryBytes <= table.byteLength; at += entryBytes) {
    // Two 32-bit reads tell an empty entry without making a bigint of each of many thousands.
    if (table.readUInt32BE(at) === 0 && table.readUInt32BE(at + 4) === 0) continue;
    const entry = table.readBigUInt64BE(at);
    const guest = guestOffset + (at / entryBytes) * clusterBytes;
    if (guest >= header.virtualSizeBytes) return;
    const subclusters = header.extendedL2 ? table.readUInt32BE(at + 12) : everySubcluster;
    const end = endOfEntry(entry, subclusters, guest, header);
    if (end > fileBytes) throw corrupt(`a cluster ends at byte ${end}`, fileBytes);
  }
}

/**
 * Where in the file the data of an entry ends; 0 for one without data.
 * @param subclusters a bit for each that is allocated, the first is the lowest; qemu writes no others, so that a file may end behind the last of them
 */
function endOfEntry(entry: bigint, subclusters: number, guest: number, header: Qcow2Header): number {
  const clusterBytes = 2 ** header.clusterBits;
  if ((entry & compressedFlag) !== 0n) {
    // The offset has 62 - (clusterBits - 8) bits. Its length is told in whole sectors, the last of which may be short: its first byte must be there.
    const offsetBits = BigInt(62 - (header.clusterBits - 8));
    return Number(entry & ((1n << offsetBits) - 1n)) + 1;
  }
  const offset = Number(entry & offsetMask);
  const readsAsZero = !header.extendedL2 && header.version === 3 && (entry & zeroFlag) !== 0n;
  if (offset === 0 || readsAsZero || subclusters === 0) return 0;
  if (offset % clusterBytes !== 0) throw new Fault('CorruptImage', `qcow2: a cluster begins at byte ${offset}`);
  const allocatedBytes = (clusterBytes / 32) * (32 - Math.clz32(subclusters));
  return offset + Math.min(allocatedBytes, header.virtualSizeBytes - guest);
}

function corrupt(what: string, fileBytes: number): Fault {
  return new Fault('CorruptImage', `qcow2: ${what}, the file ends at byte ${fileBytes}`);
}
