// Own strict reader of a VDI (VirtualBox's VDICore.h, version 1.1): header, then a map with one entry for each block of 1 MiB, then the blocks.
// Refuses what refers to another file, what qemu-img misreads, and what reaches beyond the end. Pure but for `readAt`.
import {
  type ImageFile,
  type InspectedImage,
  isPowerOfTwo,
  judgeOf,
  largestTableBytes,
  largestVirtualBytes,
  mostTableBytes,
  readWhole,
  sectorBytes,
} from './inspection.ts';

export interface VdiHeader {
  virtualSizeBytes: number;
  mapOffset: number;
  dataOffset: number;
  blocks: number;
}

const { hostile, corrupt, unsupported, safe } = judgeOf('vdi');
const headerBytes = 512;
const blockBytes = 1_048_576;
const largestBlockBytes = 256 * 1024 * 1024;
const types = { dynamic: 1, fixed: 2, undo: 3, differencing: 4 };
/** Entries from here on say that there is no block: it reads as zeros. */
const firstAbsent = 0xfffffffe;
const at = {
  version: 68,
  type: 76,
  mapOffset: 340,
  dataOffset: 344,
  sectorBytes: 360,
  virtualSize: 368,
  blockBytes: 376,
  blockExtra: 380,
  blocks: 384,
  linkUuid: 424,
  parentUuid: 440,
};

/**
 * @param head the first 512 bytes or more
 * @throws Fault HostileImage (a parent, absurd numbers), UnsupportedFormat (version, blocks of another size), CorruptImage
 */
export function parseVdiHeader(head: Buffer): VdiHeader {
  if (head.byteLength < headerBytes) throw corrupt('the header is cut');
  const version = head.readUInt32LE(at.version);
  if (version !== 0x10001) throw unsupported(`version ${version >>> 16}.${version & 0xffff}`);
  const type = head.readUInt32LE(at.type);
  const uuids = head.subarray(at.linkUuid, at.parentUuid + 16);
  if (type === types.undo || type === types.differencing || uuids.some((byte) => byte !== 0)) {
    throw hostile('it holds only what differs from another image');
  }
  if (type !== types.dynamic && type !== types.fixed) throw unsupported(`type ${type}`);
  if (head.readUInt32LE(at.sectorBytes) !== sectorBytes) {
    throw hostile(`sectors of ${head.readUInt32LE(at.sectorBytes)} bytes`);
  }
  checkBlockSize(head.readUInt32LE(at.blockBytes), head.readUInt32LE(at.blockExtra));
  const told = safe(head.readBigUInt64LE(at.virtualSize), largestVirtualBytes, 'virtual size');
  const header: VdiHeader = {
    virtualSizeBytes: Math.ceil(told / sectorBytes) * sectorBytes,
    mapOffset: head.readUInt32LE(at.mapOffset),
    dataOffset: head.readUInt32LE(at.dataOffset),
    blocks: head.readUInt32LE(at.blocks),
  };
  checkPlaces(header);
  return header;
}

function checkBlockSize(size: number, extra: number): void {
  if (size === blockBytes && extra === 0) return;
  const absurd = size < sectorBytes || size > largestBlockBytes || !isPowerOfTwo(size) || extra > size;
  throw (absurd ? hostile : unsupported)(`blocks of ${size} bytes and ${extra} more`);
}

function checkPlaces({ virtualSizeBytes, mapOffset, dataOffset, blocks }: VdiHeader): void {
  const needed = Math.ceil(virtualSizeBytes / blockBytes);
  if (blocks < needed) throw corrupt(`the map has ${blocks} entries and needs ${needed}`);
  if (blocks * 4 > largestTableBytes) throw hostile(`a map of ${blocks} entries`);
  if (mapOffset < headerBytes || mapOffset % sectorBytes !== 0) throw corrupt(`the map begins at byte ${mapOffset}`);
  if (dataOffset % sectorBytes !== 0 || dataOffset < mapOffset + blocks * 4) {
    throw corrupt(`the data begins at byte ${dataOffset}`);
  }
}

/** @throws Fault as above, CorruptImage naming what lies beyond the end */
export async function inspectVdi(file: ImageFile): Promise<InspectedImage> {
  const header = parseVdiHeader(await file.readAt(0, headerBytes));
  const { virtualSizeBytes, mapOffset, blocks } = header;
  const mapBytes = Math.ceil((blocks * 4) / sectorBytes) * sectorBytes;
  if (mapOffset + mapBytes > file.fileBytes) {
    throw corrupt(`the map ends at byte ${mapOffset + mapBytes}, the file at byte ${file.fileBytes}`);
  }
  if (mapBytes <= mostTableBytes) checkMap(await readWhole(file, mapOffset, mapBytes, 'vdi: the map'), header, file);
  return { virtualSizeBytes };
}

function checkMap(map: Buffer, { virtualSizeBytes, dataOffset, blocks }: VdiHeader, { fileBytes }: ImageFile): void {
  for (let block = 0; block < blocks; block += 1) {
    const entry = map.readUInt32LE(block * 4);
    if (entry >= firstAbsent) continue;
    const end = dataOffset + entry * blockBytes + Math.min(blockBytes, virtualSizeBytes - block * blockBytes);
    if (end > fileBytes) throw corrupt(`block ${block} ends at byte ${end}, the file at byte ${fileBytes}`);
  }
}
