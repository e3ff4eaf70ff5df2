// VHDX images that lie. Its headers and its region table carry checksums, which are right again after each change.
import { crc32c } from '../../importer/image/crc32c.ts';
import { type HostileImage, spoilerOf } from './spoiled-image.ts';

const kib = 1024;
const mib = 1024 * kib;
const headers = [64 * kib, 128 * kib] as const;
const regionsAt = 192 * kib;
const twoTo63 = 1n << 63n;
/** GUIDs as they stand in the file. */
const guids = {
  blocks: '6677c22d23f600429d64115e9bfd4a08',
  metadata: '06a27c8b90479a4bb8fe575f050f886e',
  parameters: '3767a1ca36fa434db3b633f0aa44e76b',
  size: '2442a52f1bcd7648b2115dbed83bf4b8',
  sector: '1dbf41816fa90947ba47f233a8faab5f',
  disk: 'ab12cabee6b2234593efc309e000c746',
  parent: '2d5fd3a80bb34d45abf7d3d84834ab0c',
};

export function hostileVhdxImages(good: Buffer): HostileImage[] {
  const entry = (guid: string, from = 0): number => good.indexOf(Buffer.from(guid, 'hex'), from);
  const [blocksEntry, metadataEntry] = [entry(guids.blocks, regionsAt), entry(guids.metadata, regionsAt)];
  const blocksAt = Number(good.readBigUInt64LE(blocksEntry + 16));
  const metadataAt = Number(good.readBigUInt64LE(metadataEntry + 16));
  const place = { blocksEntry, metadataEntry, blocksAt, metadataAt, entry };
  return [...ofHeaders(good, place), ...ofMetadata(good, place), ...ofBlocks(good, place)];
}

interface Place {
  blocksEntry: number;
  metadataEntry: number;
  blocksAt: number;
  metadataAt: number;
  entry: (guid: string, from: number) => number;
}

function ofHeaders(good: Buffer, { blocksEntry, metadataEntry, metadataAt }: Place): HostileImage[] {
  const { set, cut } = spoilerOf('vhdx', good, seal);
  const unsealed = spoilerOf('vhdx', good);
  const inBoth = (image: Buffer, change: (header: Buffer) => void): void => {
    for (const at of headers) change(image.subarray(at, at + 4096));
  };
  return [
    unsealed.set('both headers damaged', 'CorruptImage', (image) => inBoth(image, (header) => header.fill(1, 8, 16))),
    unsealed.set('a damaged region table', 'CorruptImage', (image) => image.writeUInt8(1, regionsAt + 5000)),
    set('version 2', 'UnsupportedFormat', (image) => inBoth(image, (header) => header.writeUInt16LE(2, 66))),
    set('a log that was not replayed', 'CorruptImage', (image) => inBoth(image, (header) => header.fill(9, 48, 64))),
    set('2^32 regions', 'HostileImage', (image) => image.writeUInt32LE(0xffffffff, regionsAt + 8)),
    set('no regions', 'CorruptImage', (image) => image.writeUInt32LE(0, regionsAt + 8)),
    set('an unknown region that is needed', 'UnsupportedFormat', (image) => {
      image.fill(3, blocksEntry, blocksEntry + 16);
      image.writeUInt32LE(1, blocksEntry + 28);
    }),
    set('two regions of metadata', 'HostileImage', (image) =>
      image.copy(image, blocksEntry, metadataEntry, metadataEntry + 16),
    ),
    set('a region over the headers', 'CorruptImage', (image) => image.writeBigUInt64LE(65_536n, blocksEntry + 16)),
    set('a region beyond the end', 'CorruptImage', (image) => image.writeBigUInt64LE(1n << 40n, blocksEntry + 16)),
    set('a region at 2^63', 'HostileImage', (image) => image.writeBigUInt64LE(twoTo63, blocksEntry + 16)),
    set('a region of nothing', 'CorruptImage', (image) => image.writeUInt32LE(0, metadataEntry + 24)),
    set('regions over each other', 'HostileImage', (image) =>
      image.writeBigUInt64LE(BigInt(metadataAt), blocksEntry + 16),
    ),
    cut('cut in its identifier', 600),
    cut('cut in its headers', 100 * kib),
    cut('cut in its region tables', 200 * kib),
    cut('cut behind its headers', mib),
    cut('cut in its metadata', metadataAt + 70 * kib),
  ];
}

function ofMetadata(good: Buffer, { metadataAt, entry }: Place): HostileImage[] {
  const { set } = spoilerOf('vhdx', good, seal);
  const entryOf = (guid: string): number => entry(guid, metadataAt);
  const itemOf = (guid: string): number => metadataAt + good.readUInt32LE(entryOf(guid) + 16);
  const [parameters, size, sector] = [itemOf(guids.parameters), itemOf(guids.size), itemOf(guids.sector)];
  return [
    set('no metadata where it says', 'CorruptImage', (image) => image.fill(0, metadataAt, metadataAt + 8)),
    set('65535 metadata items', 'HostileImage', (image) => image.writeUInt16LE(0xffff, metadataAt + 10)),
    set('no metadata items', 'CorruptImage', (image) => image.writeUInt16LE(0, metadataAt + 10)),
    set('an unknown item that is needed', 'UnsupportedFormat', (image) =>
      image.fill(3, entryOf(guids.disk), entryOf(guids.disk) + 16),
    ),
    set('two sizes', 'HostileImage', (image) =>
      image.copy(image, entryOf(guids.disk), entryOf(guids.size), entryOf(guids.size) + 32),
    ),
    set('an item in the table', 'CorruptImage', (image) => image.writeUInt32LE(32, entryOf(guids.size) + 16)),
    set('an item beyond its region', 'CorruptImage', (image) =>
      image.writeUInt32LE(0xfffffff0, entryOf(guids.size) + 16),
    ),
    set('a size of 2^32 bytes', 'CorruptImage', (image) => image.writeUInt32LE(0xffffffff, entryOf(guids.size) + 20)),
    set('blocks of nothing', 'HostileImage', (image) => image.writeUInt32LE(0, parameters)),
    set('blocks of an odd size', 'HostileImage', (image) => image.writeUInt32LE(3 * mib, parameters)),
    set('blocks of 2^31 bytes', 'HostileImage', (image) => image.writeUInt32LE(0x80000000, parameters)),
    set('a parent', 'HostileImage', (image) => image.writeUInt32LE(2, parameters + 4)),
    set('the name of a parent', 'HostileImage', (image) => image.write(guids.parent, entryOf(guids.disk), 'hex')),
    set('sectors of 4 KiB', 'UnsupportedFormat', (image) => image.writeUInt32LE(4096, sector)),
    set('sectors of 7 bytes', 'HostileImage', (image) => image.writeUInt32LE(7, sector)),
    set('virtual size of 2^63', 'HostileImage', (image) => image.writeBigUInt64LE(twoTo63, size)),
    set('an odd virtual size', 'HostileImage', (image) => image.writeBigUInt64LE(1_048_577n, size)),
    set('larger than the volume', 'ImageTooLarge', (image) => image.writeBigUInt64LE(1n << 33n, size)),
    set('more blocks than its table has', 'CorruptImage', (image) => image.writeBigUInt64LE(1n << 40n, size)),
  ];
}

function ofBlocks(good: Buffer, { blocksAt }: Place): HostileImage[] {
  const { set, cut } = spoilerOf('vhdx', good, seal);
  const present = 6n;
  return [
    set('a block beyond the end', 'CorruptImage', (image) => image.writeBigUInt64LE((1n << 40n) | present, blocksAt)),
    set('a block at the end of all', 'CorruptImage', (image) =>
      image.writeBigUInt64LE(0xfffffffffff00000n | present, blocksAt),
    ),
    set('a block over the headers', 'CorruptImage', (image) => image.writeBigUInt64LE(present, blocksAt)),
    set('a block of which a parent has a part', 'HostileImage', (image) =>
      image.writeBigUInt64LE(good.readBigUInt64LE(blocksAt) | 7n, blocksAt),
    ),
    cut('cut in its last block', Number(good.readBigUInt64LE(blocksAt) >> 20n) * mib + 100 * kib),
  ];
}

function seal(image: Buffer): void {
  const parts = [...headers.map((at) => [at, 4096] as const), [regionsAt, 65_536] as const];
  for (const [at, length] of parts) {
    if (at + length > image.byteLength) continue;
    image.writeUInt32LE(0, at + 4);
    image.writeUInt32LE(crc32c(image.subarray(at, at + length)), at + 4);
  }
}
