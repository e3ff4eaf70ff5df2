// The beginning of a VHDX (MS-VHDX 2.2): two headers, of which the newer valid one counts, and two equal tables of regions. Pure.
import { crc32c } from './crc32c.ts';
import { judgeOf } from './inspection.ts';

export interface Region {
  offset: number;
  length: number;
}

export interface VhdxRegions {
  /** Block allocation table. */
  blocks: Region;
  metadata: Region;
}

const { hostile, corrupt, unsupported, safe } = judgeOf('vhdx');

const kib = 1024;
const mib = 1024 * kib;
/** Where the headers and region tables lie, and all of their bytes. */
export const vhdxHeadersOffset = 64 * kib;
export const vhdxHeadersBytes = 256 * kib;
const headerOffsets = [0, 64 * kib];
const headerBytes = 4 * kib;
/** Of the first one; its copy follows, and qemu-img takes no notice of that. */
const regionTableOffset = 128 * kib;
const regionTableBytes = 64 * kib;
const mostRegions = 2047;
const guids: Readonly<Record<string, keyof VhdxRegions>> = {
  '6677c22d23f600429d64115e9bfd4a08': 'blocks',
  '06a27c8b90479a4bb8fe575f050f886e': 'metadata',
};

/**
 * @param bytes `vhdxHeadersBytes` of them from `vhdxHeadersOffset` on
 * @throws Fault CorruptImage (checksums, places, a log that was not replayed), HostileImage (unknown regions that are needed), UnsupportedFormat
 */
export function regionsOf(bytes: Buffer): VhdxRegions {
  checkHeader(bytes);
  const table = bytes.subarray(regionTableOffset, regionTableOffset + regionTableBytes);
  if (!isSigned(table, 'regi')) throw corrupt('its region table is damaged');
  const count = table.readUInt32LE(8);
  if (count > mostRegions) throw hostile(`${count} regions`);
  const found: Partial<VhdxRegions> = {};
  for (let index = 0; index < count; index += 1) {
    const entry = table.subarray(16 + index * 32, 48 + index * 32);
    const name = guids[entry.toString('hex', 0, 16)];
    const region = regionOf(entry);
    if (name === undefined && (entry.readUInt32LE(28) & 1) !== 0) throw unsupported('a region that is not known');
    if (name === undefined) continue;
    if (found[name] !== undefined) throw hostile(`two regions of the ${name}`);
    found[name] = region;
  }
  const { blocks, metadata } = found;
  if (blocks === undefined || metadata === undefined) throw corrupt('a region is missing');
  if (blocks.offset < metadata.offset + metadata.length && metadata.offset < blocks.offset + blocks.length) {
    throw hostile('its regions overlap');
  }
  return { blocks, metadata };
}

function checkHeader(bytes: Buffer): void {
  const headers = headerOffsets
    .map((offset) => bytes.subarray(offset, offset + headerBytes))
    .filter((header) => isSigned(header, 'head'));
  const current = headers.sort((one, other) => (one.readBigUInt64LE(8) < other.readBigUInt64LE(8) ? 1 : -1))[0];
  if (current === undefined) throw corrupt('both of its headers are damaged');
  const version = current.readUInt16LE(66);
  if (version !== 1) throw unsupported(`version ${version}`);
  if (current.subarray(48, 64).some((byte) => byte !== 0)) {
    throw corrupt(
      'it was not closed: changes wait in its log; attach it once to a virtual machine, or `qemu-img check -r all` it',
    );
  }
}

function regionOf(entry: Buffer): Region {
  const offset = safe(entry.readBigUInt64LE(16), 2 ** 52, 'offset of a region');
  const length = entry.readUInt32LE(24);
  if (offset < mib || offset % mib !== 0 || length === 0 || length % mib !== 0) {
    throw corrupt(`a region of ${length} bytes at byte ${offset}`);
  }
  return { offset, length };
}

/** Signature, then the CRC-32C of all, counted with zeros in its own place. */
function isSigned(bytes: Buffer, signature: string): boolean {
  if (bytes.toString('latin1', 0, 4) !== signature) return false;
  const blank = Buffer.from(bytes);
  blank.writeUInt32LE(0, 4);
  return crc32c(blank) === bytes.readUInt32LE(4);
}
