// How far the partition table of a raw disk reaches: one that reaches beyond the end of the image tells that the image was cut. MBR, and GPT
// (UEFI specification, 5.3) with sectors of 512 or 4096 bytes; what is no valid table tells nothing. Pure.
import { crc32 } from 'node:zlib';

export interface PartitionTable {
  kind: 'MBR' | 'GPT';
  /** First byte after the last partition, or after the copy of a GPT at the end of the disk. */
  endBytes: number;
}

const mbr = { signatureAt: 510, entriesAt: 446, entryBytes: 16, entries: 4, sectorBytes: 512, protective: 0xee };
const gptSectors = [512, 4096];
const smallestGptHeaderBytes = 92;

/** @param head beginning of the disk, 64 KiB or all there is; @returns undefined where it has no partitions */
export function partitionTableOf(head: Buffer): PartitionTable | undefined {
  for (const sectorBytes of gptSectors) {
    const endBytes = endOfGpt(head, sectorBytes);
    if (endBytes !== undefined) return { kind: 'GPT', endBytes };
  }
  const endBytes = endOfMbr(head);
  return endBytes === undefined ? undefined : { kind: 'MBR', endBytes };
}

/** What a person should know of a disk whose partitions do not fit into its image; undefined where all is well. */
export function partitionWarning(table: PartitionTable | undefined, imageBytes: number): string | undefined {
  if (table === undefined || table.endBytes <= imageBytes) return undefined;
  return `the partition table (${table.kind}) reaches to byte ${table.endBytes}, the image ends at byte ${imageBytes}: it may have been cut`;
}

function endOfMbr(head: Buffer): number | undefined {
  if (head.byteLength < mbr.sectorBytes || head.readUInt16LE(mbr.signatureAt) !== 0xaa55) return undefined;
  let endSector = 0;
  for (let index = 0; index < mbr.entries; index += 1) {
    const at = mbr.entriesAt + index * mbr.entryBytes;
    // Anything else is code: the boot sector of a file system has the same signature.
    if ((head.readUInt8(at) & 0x7f) !== 0) return undefined;
    const [type, first, sectors] = [head.readUInt8(at + 4), head.readUInt32LE(at + 8), head.readUInt32LE(at + 12)];
    if (type === 0 || type === mbr.protective) continue;
    if (sectors === 0) return undefined;
    endSector = Math.max(endSector, first + sectors);
  }
  return endSector === 0 ? undefined : endSector * mbr.sectorBytes;
}

/** The header names the sector of its copy, which is the last one of the disk. */
function endOfGpt(head: Buffer, sectorBytes: number): number | undefined {
  const header = head.subarray(sectorBytes, 2 * sectorBytes);
  if (header.byteLength < sectorBytes || header.toString('latin1', 0, 8) !== 'EFI PART') return undefined;
  const headerBytes = header.readUInt32LE(12);
  if (headerBytes < smallestGptHeaderBytes || headerBytes > sectorBytes) return undefined;
  const counted = Buffer.from(header.subarray(0, headerBytes));
  counted.writeUInt32LE(0, 16);
  if (crc32(counted) !== header.readUInt32LE(16)) return undefined;
  const last = [header.readBigUInt64LE(32), header.readBigUInt64LE(48)].map(Number);
  return (Math.max(...last) + 1) * sectorBytes;
}
