// Own strict reader of a VHDX (MS-VHDX): headers, region table, metadata and block allocation table, checksums included. Refuses a parent, a log
// that was not replayed, absurd sizes and what lies beyond the end. Its size is told far behind its beginning. Pure but for `readAt`.
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
import { metadataOf, type VhdxMetadata } from './vhdx-metadata.ts';
import { regionsOf, vhdxHeadersBytes, vhdxHeadersOffset } from './vhdx-regions.ts';

const { hostile, corrupt, unsupported } = judgeOf('vhdx');

const mib = 1_048_576;
/** The table of the metadata, and behind it the items of nearly every image. */
const nearMetadataBytes = 131_072;
const largestBlockBytes = 256 * mib;
const logicalSectors = [512, 4096];
/** After the blocks that a sector bitmap of 1 MiB describes the table has an entry for that bitmap. */
const sectorsOfBitmap = 2 ** 23;
const states = { fullyPresent: 6, partiallyPresent: 7 };

/** @throws Fault HostileImage (a parent, absurd numbers), UnsupportedFormat (sectors of 4 KiB), CorruptImage naming what is wrong or beyond the end */
export async function inspectVhdx(file: ImageFile): Promise<InspectedImage> {
  const regions = regionsOf(await readWhole(file, vhdxHeadersOffset, vhdxHeadersBytes, 'vhdx: the headers'));
  for (const [name, { offset, length }] of Object.entries(regions)) {
    if (offset + length > file.fileBytes) {
      throw corrupt(`the region of the ${name} ends at byte ${offset + length}, the file at byte ${file.fileBytes}`);
    }
  }
  const { offset, length } = regions.metadata;
  const near = await readWhole(file, offset, nearMetadataBytes, 'vhdx: the metadata');
  const metadata = await metadataOf(near, (at, bytes) => {
    if (at + bytes > length) throw corrupt(`a metadata item ends at byte ${at + bytes} of ${length}`);
    if (at + bytes <= near.byteLength) return near.subarray(at, at + bytes);
    return readWhole(file, offset + at, bytes, 'vhdx: a metadata item');
  });
  checkMetadata(metadata);
  await checkBlocks(metadata, regions.blocks, file);
  return { virtualSizeBytes: metadata.virtualSizeBytes };
}

function checkMetadata({ virtualSizeBytes, blockBytes, logicalSectorBytes, hasParent }: VhdxMetadata): void {
  if (hasParent) throw hostile('it holds only what differs from another image');
  if (blockBytes < mib || blockBytes > largestBlockBytes || !isPowerOfTwo(blockBytes)) {
    throw hostile(`blocks of ${blockBytes} bytes`);
  }
  if (!logicalSectors.includes(logicalSectorBytes)) throw hostile(`sectors of ${logicalSectorBytes} bytes`);
  if (logicalSectorBytes !== sectorBytes) throw unsupported(`sectors of ${logicalSectorBytes} bytes`);
  if (virtualSizeBytes > largestVirtualBytes || virtualSizeBytes % sectorBytes !== 0) {
    throw hostile(`virtual size ${virtualSizeBytes}`);
  }
}

async function checkBlocks(
  { virtualSizeBytes, blockBytes, logicalSectorBytes }: VhdxMetadata,
  region: { offset: number; length: number },
  file: ImageFile,
): Promise<void> {
  const blocksOfBitmap = (sectorsOfBitmap * logicalSectorBytes) / blockBytes;
  const blocks = Math.ceil(virtualSizeBytes / blockBytes);
  const entries = blocks + Math.floor(Math.max(0, blocks - 1) / blocksOfBitmap);
  const tableBytes = entries * 8;
  if (tableBytes > largestTableBytes) throw hostile(`a table of ${entries} blocks`);
  if (tableBytes > region.length)
    throw corrupt(`the table of blocks has ${region.length} bytes and needs ${tableBytes}`);
  if (tableBytes > mostTableBytes) return;
  const table = await readWhole(file, region.offset, tableBytes, 'vhdx: the table of blocks');
  for (let block = 0; block < blocks; block += 1) {
    const entry = table.readBigUInt64LE((block + Math.floor(block / blocksOfBitmap)) * 8);
    const state = Number(entry & 7n);
    if (state === states.partiallyPresent) throw hostile('a block of which another image has a part');
    if (state !== states.fullyPresent) continue;
    // In units of 1 MiB, above the 20 lowest bits.
    const offset = Number(entry >> 20n) * mib;
    const end = offset + Math.min(blockBytes, virtualSizeBytes - block * blockBytes);
    if (offset < mib || end > file.fileBytes) {
      throw corrupt(`block ${block} lies at bytes ${offset} to ${end} of a file of ${file.fileBytes}`);
    }
  }
}
