// What is served in place of a disk, and compressed content that is damaged or far larger than it looks.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { compressionNames, packed } from './good-images.ts';
import { hostileQcow2Images } from './qcow2-corpus.ts';
import type { HostileImage } from './spoiled-image.ts';

const mib = 1_048_576;

export function noDisks(): HostileImage[] {
  const filled = (begin: string): Buffer => Buffer.concat([Buffer.from(begin, 'latin1'), Buffer.alloc(8192, 0xa5)]);
  const no = (name: string, bytes: Buffer): HostileImage => ({ name, bytes, code: 'NotADiskImage' });
  const unknown = (name: string, bytes: Buffer): HostileImage => ({ name, bytes, code: 'UnsupportedFormat' });
  const page = '<!DOCTYPE html><html><head><title>404</title></head><body>No such file.</body></html>\n';
  return [
    no('nothing at all', Buffer.alloc(0)),
    no('less than a sector', Buffer.alloc(300, 1)),
    no('an HTML page', Buffer.from(page)),
    no('a long HTML page', Buffer.from(page.repeat(500))),
    no('an XML refusal', Buffer.from('<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>'.padEnd(900))),
    no('a JSON answer', Buffer.from(JSON.stringify({ message: 'Not Found', more: 'x'.repeat(1000) }))),
    no('an HTML page in gzip', gzipSync(page.repeat(100))),
    ...archives().map(([name, bytes]) => no(name, bytes)),
    no('a tar in gzip', gzipSync(tarOf('ustar'))),
    no('zip', filled('PK\x03\x04')),
    no('an empty zip', filled('PK\x05\x06')),
    no('7z', filled('7z\xbc\xaf\x27\x1c')),
    no('rar', filled('Rar!\x1a\x07\x01\0')),
    no('cab', filled('MSCF\0\0\0\0')),
    no('a Debian package', filled('!<arch>\ndebian-binary   ')),
    no('cpio', filled('0707010000')),
    unknown('wim', filled('MSWIM\0\0\0')),
    unknown('lz4', filled('\x04\x22\x4d\x18')),
    unknown('lzip', filled('LZIP\x01')),
    unknown('qed', filled('QED\0')),
    unknown('luks', filled('LUKS\xba\xbe\0\x02')),
    unknown('a DMG, told by its end', dmg()),
  ];
}

export function spoiledCompressions(disk: Buffer): HostileImage[] {
  const images: HostileImage[] = [];
  const zeros = Buffer.alloc(64 * mib);
  for (const compression of compressionNames) {
    const good = packed(disk, compression);
    const flipped = Buffer.from(good);
    flipped.writeUInt8(flipped.readUInt8(good.byteLength - 200_000) ^ 0x55, good.byteLength - 200_000);
    const bomb = packed(zeros, compression);
    images.push(
      {
        name: `${compression} that ends early`,
        bytes: good.subarray(0, good.byteLength / 2),
        code: 'CorruptCompression',
      },
      { name: `${compression} with another byte`, bytes: flipped, code: 'CorruptCompression' },
      { name: `${compression} bomb`, bytes: bomb, code: 'ImageTooLarge' },
      { name: `${compression} bomb in gz`, bytes: packed(bomb, 'gz'), code: 'ImageTooLarge' },
      { name: `${compression} bomb in xz`, bytes: packed(bomb, 'xz'), code: 'ImageTooLarge' },
    );
  }
  const thrice = packed(packed(packed(disk, 'gz'), 'zst'), 'xz');
  const [lying] = hostileQcow2Images();
  return [
    ...images,
    { name: 'compressed three times', bytes: thrice, code: 'UnsupportedFormat' },
    ...compressionNames.map((compression) => ({
      name: `a qcow2 with a backing file in ${compression}`,
      bytes: packed(lying?.bytes ?? Buffer.alloc(0), compression),
      code: 'HostileImage' as const,
    })),
  ];
}

function archives(): [string, Buffer][] {
  return [
    ['an OVA', tarOf('ustar')],
    ['tar of GNU', tarOf('gnu')],
    ['tar of POSIX', tarOf('posix')],
    ['tar of before 1988', tarOf('v7')],
  ];
}

function tarOf(format: string): Buffer {
  const work = mkdtempSync(join(tmpdir(), 'longshore-tar-'));
  try {
    writeFileSync(join(work, 'machine.ovf'), '<Envelope/>');
    writeFileSync(join(work, 'disk.vmdk'), Buffer.alloc(20_000, 'KDMV'));
    return execFileSync('tar', [`--format=${format}`, '-cf', '-', '-C', work, 'machine.ovf', 'disk.vmdk']);
  } finally {
    rmSync(work, { recursive: true });
  }
}

function dmg(): Buffer {
  const image = Buffer.alloc(9 * 512, 0xa5);
  const koly = image.subarray(image.byteLength - 512).fill(0);
  koly.write('koly', 0, 'latin1');
  koly.writeUInt32BE(4, 4);
  koly.writeUInt32BE(512, 8);
  return image;
}
