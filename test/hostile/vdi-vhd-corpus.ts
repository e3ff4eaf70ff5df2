// VDI and VHD images that lie: parents, absurd numbers, and blocks that are not there. The checksums of a VHD are right again after each change.
import { type HostileImage, spoilerOf } from './spoiled-image.ts';

const twoTo63 = 1n << 63n;

export function hostileVdiImages(good: Buffer): HostileImage[] {
  const { set, cut } = spoilerOf('vdi', good);
  const mapAt = good.readUInt32LE(340);
  return [
    set('version 2', 'UnsupportedFormat', (image) => image.writeUInt32LE(0x20000, 68)),
    set('type undo', 'HostileImage', (image) => image.writeUInt32LE(3, 76)),
    set('type differencing', 'HostileImage', (image) => image.writeUInt32LE(4, 76)),
    set('an unknown type', 'UnsupportedFormat', (image) => image.writeUInt32LE(77, 76)),
    set('a link to another', 'HostileImage', (image) => image.fill(0x11, 424, 440)),
    set('a parent', 'HostileImage', (image) => image.fill(0x11, 440, 456)),
    set('sectors of nothing', 'HostileImage', (image) => image.writeUInt32LE(0, 360)),
    set('sectors of 2^32 bytes', 'HostileImage', (image) => image.writeUInt32LE(0xffffffff, 360)),
    set('blocks of nothing', 'HostileImage', (image) => image.writeUInt32LE(0, 376)),
    set('blocks of 2^31 bytes', 'HostileImage', (image) => image.writeUInt32LE(0x80000000, 376)),
    set('blocks of an odd size', 'HostileImage', (image) => image.writeUInt32LE(1_048_577, 376)),
    set('blocks of another size', 'UnsupportedFormat', (image) => image.writeUInt32LE(2_097_152, 376)),
    set('blocks that are longer than blocks', 'HostileImage', (image) => image.writeUInt32LE(0xffffffff, 380)),
    set('virtual size of 2^63', 'HostileImage', (image) => image.writeBigUInt64LE(twoTo63, 368)),
    set('larger than the volume', 'ImageTooLarge', (image) => {
      image.writeBigUInt64LE(1n << 33n, 368);
      image.writeUInt32LE(8192, 384);
      image.writeUInt32LE(65_536, 344);
    }),
    set('a map that is too short', 'CorruptImage', (image) => image.writeUInt32LE(0, 384)),
    set('a map of 2^32 entries', 'HostileImage', (image) => image.writeUInt32LE(0xffffffff, 384)),
    set('a map at an odd place', 'CorruptImage', (image) => image.writeUInt32LE(mapAt + 3, 340)),
    set('a map over the header', 'CorruptImage', (image) => image.writeUInt32LE(0, 340)),
    set('a map beyond the end', 'CorruptImage', (image) => {
      image.writeUInt32LE(0x7ffff000, 340);
      image.writeUInt32LE(0x7ffff200, 344);
    }),
    set('data over the map', 'CorruptImage', (image) => image.writeUInt32LE(mapAt, 344)),
    set('a block beyond the end', 'CorruptImage', (image) => image.writeUInt32LE(5, mapAt)),
    set('block 2^32 - 3', 'CorruptImage', (image) => image.writeUInt32LE(0xfffffffd, mapAt)),
    cut('cut in its last block', good.byteLength - 4096),
    cut('cut in its map', mapAt + 2),
    cut('cut in its header', 300),
  ];
}

/** @param fixed a raw disk with a footer */
export function hostileVhdImages(good: Buffer, fixed: Buffer): HostileImage[] {
  return [...dynamicOnes(good), ...fixedOnes(fixed)];
}

function dynamicOnes(good: Buffer): HostileImage[] {
  const { set, cut } = spoilerOf('vhd', good, seal);
  const unsealed = spoilerOf('vhd', good);
  const headerAt = Number(good.readBigUInt64BE(16));
  const tableAt = Number(good.readBigUInt64BE(headerAt + 16));
  return [
    unsealed.set('a wrong checksum', 'CorruptImage', (image) => image.writeUInt8(7, 100)),
    unsealed.set('a wrong checksum of its header', 'CorruptImage', (image) => image.writeUInt8(7, headerAt + 200)),
    set('version 2', 'UnsupportedFormat', (image) => image.writeUInt32BE(0x20000, 12)),
    set('a parent', 'HostileImage', (image) => image.writeUInt32BE(4, 60)),
    set('an unknown type', 'UnsupportedFormat', (image) => image.writeUInt32BE(9, 60)),
    set('a fixed one that begins with its footer', 'CorruptImage', (image) => image.writeUInt32BE(2, 60)),
    set('virtual size of 2^63', 'HostileImage', (image) => image.writeBigUInt64BE(twoTo63, 48)),
    set('virtual size above 2040 GiB', 'HostileImage', (image) => image.writeBigUInt64BE(1n << 41n, 48)),
    set('an odd virtual size', 'HostileImage', (image) => image.writeBigUInt64BE(1_048_577n, 48)),
    set('larger than the volume', 'ImageTooLarge', (image) => image.writeBigUInt64BE(1n << 33n, 48)),
    set('a header beyond the end', 'CorruptImage', (image) => image.writeBigUInt64BE(1n << 40n, 16)),
    set('a header at 2^63', 'HostileImage', (image) => image.writeBigUInt64BE(twoTo63, 16)),
    set('no header where it says', 'CorruptImage', (image) => image.fill(0, headerAt, headerAt + 8)),
    set('blocks of nothing', 'HostileImage', (image) => image.writeUInt32BE(0, headerAt + 32)),
    set('blocks of an odd size', 'HostileImage', (image) => image.writeUInt32BE(2_097_151, headerAt + 32)),
    set('blocks of one sector', 'HostileImage', (image) => image.writeUInt32BE(512, headerAt + 32)),
    set('blocks of 2^31 bytes', 'HostileImage', (image) => image.writeUInt32BE(0x80000000, headerAt + 32)),
    set('a table that is too short', 'CorruptImage', (image) => image.writeUInt32BE(0, headerAt + 28)),
    set('a table of 2^32 entries', 'HostileImage', (image) => image.writeUInt32BE(0xffffffff, headerAt + 28)),
    set('a table beyond the end', 'CorruptImage', (image) => image.writeBigUInt64BE(1n << 40n, headerAt + 16)),
    set('a table at 2^63', 'HostileImage', (image) => image.writeBigUInt64BE(twoTo63, headerAt + 16)),
    set('a table over the footer', 'CorruptImage', (image) => image.writeBigUInt64BE(0n, headerAt + 16)),
    set('a block beyond the end', 'CorruptImage', (image) => image.writeUInt32BE(0xfffffff0, tableAt)),
    cut('cut in its last block', good.byteLength - 1_500_000),
    cut('cut in its table', tableAt + 2),
    cut('cut in its header', 600),
    cut('cut in its footer', 300),
  ];
}

function fixedOnes(good: Buffer): HostileImage[] {
  const footerAt = good.byteLength - 512;
  const { set, spoiled } = spoilerOf('fixed vhd', good, (image) => sign(image, image.byteLength - 512, 64));
  return [
    set('a footer of another size', 'CorruptImage', (image) => image.writeBigUInt64BE(512n, footerAt + 48)),
    set('the footer of a dynamic one', 'CorruptImage', (image) => {
      image.writeUInt32BE(3, footerAt + 60);
      image.writeBigUInt64BE(512n, footerAt + 16);
    }),
    set('the footer of one with a parent', 'HostileImage', (image) => image.writeUInt32BE(4, footerAt + 60)),
    spoiled('a part of its beginning is missing', 'CorruptImage', (image) => image.subarray(4096)),
  ];
}

function seal(image: Buffer): void {
  sign(image, 0, 64);
  const headerAt = Number(image.readBigUInt64BE(16));
  if (headerAt + 1024 <= image.byteLength) sign(image, headerAt, 36, 1024);
}

function sign(image: Buffer, start: number, checksumAt: number, length = 512): void {
  image.writeUInt32BE(0, start + checksumAt);
  let sum = 0;
  for (const byte of image.subarray(start, start + length)) sum += byte;
  image.writeUInt32BE(~sum >>> 0, start + checksumAt);
}
