// One small disk in every format that is taken, made by qemu-img, and in every compression, made by native tools.
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const mib = 1_048_576;
const diskBytes = 2 * mib;

/** Format → what qemu-img is told to make. */
const options = {
  'qcow2 v2': ['-O', 'qcow2', '-o', 'compat=0.10'],
  'qcow2 v3': ['-O', 'qcow2'],
  'qcow2 with zlib': ['-O', 'qcow2', '-c'],
  'qcow2 with zstd': ['-O', 'qcow2', '-c', '-o', 'compression_type=zstd'],
  'qcow2 with extended L2': ['-O', 'qcow2', '-o', 'extended_l2=on'],
  'vmdk monolithicSparse': ['-O', 'vmdk'],
  'vmdk streamOptimized': ['-O', 'vmdk', '-o', 'subformat=streamOptimized'],
  vdi: ['-O', 'vdi'],
  'vdi fixed': ['-O', 'vdi', '-o', 'static=on'],
  'vhd dynamic': ['-O', 'vpc'],
  'vhd dynamic of exact size': ['-O', 'vpc', '-o', 'force_size=on'],
  'vhd fixed': ['-O', 'vpc', '-o', 'subformat=fixed,force_size=on'],
  'vhd fixed of an odd size': ['-O', 'vpc', '-o', 'subformat=fixed'],
  vhdx: ['-O', 'vhdx', '-o', 'block_size=1048576'],
  'vhdx fixed': ['-O', 'vhdx', '-o', 'subformat=fixed,block_size=1048576'],
} as const;

const packers = {
  gz: ['gzip', '-1'],
  xz: ['xz', '-0'],
  zst: ['zstd', '-1'],
  bz2: ['bzip2', '-9'],
} as const;

export type CompressionName = keyof typeof packers;
export const compressionNames: readonly CompressionName[] = ['gz', 'xz', 'zst', 'bz2'];

/** A disk with a boot signature and data that does not compress, between holes. */
export function goodDisk(): Buffer {
  const disk = Buffer.alloc(diskBytes);
  disk.write('boot', 0, 'latin1');
  disk.fill('not only random bytes, ', mib / 4, mib / 2);
  randomBytes(400_000).copy(disk, mib + 4096);
  disk.write('the end', diskBytes - 512, 'latin1');
  return disk;
}

export function imagesOf(disk: Buffer): Map<string, Buffer> {
  const work = mkdtempSync(join(tmpdir(), 'longshore-formats-'));
  try {
    writeFileSync(join(work, 'raw'), disk);
    const images = new Map([
      ['raw', disk],
      ['iso', isoOf(disk)],
    ]);
    for (const [name, words] of Object.entries(options)) {
      execFileSync('qemu-img', ['convert', '-f', 'raw', ...words, join(work, 'raw'), join(work, 'image')]);
      images.set(name, readFileSync(join(work, 'image')));
    }
    images.set('vmdk streamOptimized with its tables at the end', withFooter(imageOf(images, 'vmdk streamOptimized')));
    return images;
  } finally {
    rmSync(work, { recursive: true });
  }
}

export function imageOf(images: ReadonlyMap<string, Buffer>, name: string): Buffer {
  const image = images.get(name);
  if (image === undefined) throw new Error(`there is no image ${name}`);
  return image;
}

export function packed(image: Buffer, compression: CompressionName): Buffer {
  const [program, level] = packers[compression];
  return execFileSync(program, ['-c', level], { input: image, maxBuffer: 4 * image.byteLength + mib });
}

/** sha256 of the disk as a volume of that size has it. */
export function sha256InVolume(disk: Buffer, sizeBytes: number): string {
  return createHash('sha256')
    .update(disk)
    .update(Buffer.alloc(sizeBytes - disk.byteLength))
    .digest('hex');
}

/** A volume descriptor of ISO 9660, with the rest of the disk behind it. */
function isoOf(disk: Buffer): Buffer {
  const iso = Buffer.from(disk);
  iso.write('\x01CD001\x01', 32_768, 'latin1');
  return iso;
}

/** As programs write it that cannot go back: the header does not know where the grain directory is, and a copy at the end does. */
export function withFooter(image: Buffer): Buffer {
  const [marker, footer, end] = [Buffer.alloc(512), Buffer.from(image.subarray(0, 512)), Buffer.alloc(512)];
  marker.writeBigUInt64LE(1n, 0);
  marker.writeUInt32LE(3, 12);
  const header = Buffer.from(footer);
  header.writeBigUInt64LE(0xffffffffffffffffn, 56);
  return Buffer.concat([header, image.subarray(512), marker, footer, end]);
}
