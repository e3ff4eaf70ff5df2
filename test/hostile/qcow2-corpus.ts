// Qcow2 images that lie, made in code: each is a good small image with one thing wrong. None of them may reach qemu-img.
import type { FaultCode } from '../../domain/fault-catalogue.ts';
import type { HostileImage } from './spoiled-image.ts';

const clusterBytes = 65_536;
export const goodVirtualBytes = 1_048_576;
const l1At = 3 * clusterBytes;
const l2At = 4 * clusterBytes;
const dataAt = 5 * clusterBytes;

/** Header, refcount table, one refcount block, L1, L2 and two clusters of data: what `qemu-img check` calls right. */
export function goodQcow2(): Buffer {
  const image = Buffer.alloc(7 * clusterBytes);
  image.write('QFI\xfb', 0, 'latin1');
  image.writeUInt32BE(3, 4);
  image.writeUInt32BE(16, 20);
  image.writeBigUInt64BE(BigInt(goodVirtualBytes), 24);
  image.writeUInt32BE(1, 36);
  image.writeBigUInt64BE(BigInt(l1At), 40);
  image.writeBigUInt64BE(BigInt(clusterBytes), 48);
  image.writeUInt32BE(1, 56);
  image.writeUInt32BE(4, 96);
  image.writeUInt32BE(112, 100);
  image.writeBigUInt64BE(BigInt(2 * clusterBytes), clusterBytes);
  for (let cluster = 0; cluster < 7; cluster += 1) image.writeUInt16BE(1, 2 * clusterBytes + cluster * 2);
  const copied = 1n << 63n;
  image.writeBigUInt64BE(copied | BigInt(l2At), l1At);
  image.writeBigUInt64BE(copied | BigInt(dataAt), l2At);
  image.writeBigUInt64BE(copied | BigInt(dataAt + clusterBytes), l2At + 8);
  image.fill(0xaa, dataAt, dataAt + clusterBytes);
  image.fill(0x55, dataAt + clusterBytes, dataAt + 2 * clusterBytes);
  return image;
}

function spoiled(name: string, code: FaultCode, spoil: (image: Buffer) => Buffer | undefined): HostileImage {
  const image = goodQcow2();
  return { name, code, bytes: spoil(image) ?? image };
}

function set32(name: string, code: FaultCode, at: number, value: number): HostileImage {
  return spoiled(name, code, (image) => {
    image.writeUInt32BE(value, at);
    return undefined;
  });
}

function set64(name: string, code: FaultCode, at: number, value: bigint): HostileImage {
  return spoiled(name, code, (image) => {
    image.writeBigUInt64BE(value, at);
    return undefined;
  });
}

function extension(
  name: string,
  code: FaultCode,
  type: number,
  payload: string,
  length = payload.length,
): HostileImage {
  return spoiled(name, code, (image) => {
    image.writeUInt32BE(type, 112);
    image.writeUInt32BE(length, 116);
    image.write(payload, 120, 'latin1');
    return undefined;
  });
}

export function hostileQcow2Images(): HostileImage[] {
  const backing = (length: number, path: string) =>
    spoiled(`backing file ${path.slice(0, 20)}`, 'HostileImage', (image) => {
      image.writeBigUInt64BE(512n, 8);
      image.writeUInt32BE(length, 16);
      image.write(path, 512, 'latin1');
      return undefined;
    });
  return [
    backing(11, '/etc/passwd'),
    backing(10, 'base.qcow2'),
    backing(22, '../../../../etc/passwd'),
    backing(19, 'nbd:localhost:10809'),
    backing(46, 'json:{"driver":"file","filename":"/etc/shadow"}'),
    backing(29, 'http://169.254.169.254/latest'),
    set32('backing name of absurd length', 'HostileImage', 16, 0xffffffff),
    set64('backing offset without a length', 'HostileImage', 8, 512n),
    set64('external data file', 'HostileImage', 72, 4n),
    extension('name of an external data file', 'HostileImage', 0x44415441, '/etc/passwd'),
    set64('unknown incompatible feature', 'HostileImage', 72, 1n << 5n),
    set64('all incompatible features but the known', 'HostileImage', 72, 0xffffffffffffffe0n),
    set64('marked as corrupt', 'CorruptImage', 72, 2n),
    set32('AES encryption', 'UnsupportedFormat', 32, 1),
    set32('LUKS encryption', 'UnsupportedFormat', 32, 2),
    set32('unknown encryption', 'UnsupportedFormat', 32, 99),
    extension('header of an encryption', 'UnsupportedFormat', 0x0537be77, '0123456789abcdef'),
    extension('extension longer than the cluster', 'HostileImage', 0x6803f857, 'x', 0xfffffff0),
    set32('version 1', 'UnsupportedFormat', 4, 1),
    set32('version 4', 'UnsupportedFormat', 4, 4),
    set32('clusters of 1 byte', 'HostileImage', 20, 0),
    set32('clusters of 2^8 bytes', 'HostileImage', 20, 8),
    set32('clusters of 2^22 bytes', 'HostileImage', 20, 22),
    set32('clusters of 2^63 bytes', 'HostileImage', 20, 63),
    set64('virtual size of 2^63', 'HostileImage', 24, 1n << 63n),
    set64('virtual size just below 2^64', 'HostileImage', 24, 0xffffffffffffffffn),
    set64('larger than the volume', 'ImageTooLarge', 24, 512n * 1_048_576n),
    set32('L1 table of 2^32 entries', 'HostileImage', 36, 0xffffffff),
    set32('L1 table too short for the size', 'CorruptImage', 36, 0),
    set64('no L1 table', 'CorruptImage', 40, 0n),
    set64('L1 table that is not aligned', 'CorruptImage', 40, BigInt(l1At + 8)),
    set64('L1 table beyond the end', 'CorruptImage', 40, 1n << 40n),
    set64('L1 offset of 2^63', 'HostileImage', 40, 1n << 63n),
    set64('refcount table beyond the end', 'CorruptImage', 48, 1n << 41n),
    set64('no refcount table', 'CorruptImage', 48, 0n),
    set64('L1 table over the refcount table', 'CorruptImage', 40, BigInt(clusterBytes)),
    set64('refcount table over the L1 table', 'CorruptImage', 48, BigInt(l1At)),
    spoiled('snapshot table over the L1 table', 'CorruptImage', (image) => {
      image.writeUInt32BE(3, 60);
      image.writeBigUInt64BE(BigInt(l1At), 64);
      return undefined;
    }),
    spoiled('snapshot table over the header', 'CorruptImage', (image) => {
      image.writeUInt32BE(3, 60);
      image.writeBigUInt64BE(64n, 64);
      return undefined;
    }),
    set32('refcount table of 2^32 clusters', 'HostileImage', 56, 0xffffffff),
    set32('refcounts of 2^7 bits', 'HostileImage', 96, 7),
    set32('header of 2 GiB', 'HostileImage', 100, 0x80000000),
    set32('header that is too short', 'HostileImage', 100, 16),
    set32('2^32 snapshots', 'HostileImage', 60, 0xffffffff),
    spoiled('snapshot table beyond the end', 'CorruptImage', (image) => {
      image.writeUInt32BE(3, 60);
      image.writeBigUInt64BE(1n << 33n, 64);
      return undefined;
    }),
    spoiled('unknown compression', 'HostileImage', (image) => {
      image.writeBigUInt64BE(8n, 72);
      image.writeUInt8(9, 104);
      return undefined;
    }),
    set64('L2 table beyond the end', 'CorruptImage', l1At, (1n << 63n) | (1n << 34n)),
    set64('L2 table that is not aligned', 'CorruptImage', l1At, (1n << 63n) | BigInt(l2At + 512)),
    set64('L2 table that is the L1 table', 'CorruptImage', l1At, (1n << 63n) | BigInt(l1At)),
    set64('L2 table over the refcount table', 'CorruptImage', l1At, (1n << 63n) | BigInt(clusterBytes)),
    set64('cluster beyond the end', 'CorruptImage', l2At, (1n << 63n) | (1n << 35n)),
    set64('cluster that is not aligned', 'CorruptImage', l2At, (1n << 63n) | BigInt(dataAt + 512)),
    set64('compressed cluster beyond the end', 'CorruptImage', l2At, (1n << 62n) | (1n << 36n)),
    spoiled('cut in its last cluster', 'CorruptImage', (image) => image.subarray(0, image.byteLength - 4096)),
    spoiled('cut in its tables', 'CorruptImage', (image) => image.subarray(0, l2At + 100)),
    spoiled('cut in its L1 table', 'CorruptImage', (image) => image.subarray(0, l1At + 4)),
    spoiled('cut in its refcount table', 'CorruptImage', (image) => image.subarray(0, clusterBytes + 4)),
    spoiled('cut after its header', 'CorruptImage', (image) => image.subarray(0, 4096)),
    spoiled('cut in its header', 'CorruptImage', (image) => image.subarray(0, 60)),
  ];
}
