// The images of the demonstration: Debian's bootable GRUB disks, in the forms that images come in, made by the native tools;
// and what their content must be, told by qemu-img and sha256sum alone.
import { execFile } from 'node:child_process';
import { copyFile, rm, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

const bootableDisk = '/usr/lib/grub-rescue/grub-rescue-cdrom.iso';
const bootableFloppy = '/usr/lib/grub-rescue/grub-rescue-floppy.img';

export interface DemoImages {
  qcow2: string;
  xz: string;
  zst: string;
  /** Another disk than the others. */
  uploaded: string;
}

export async function makeDemoImages(directory: string): Promise<DemoImages> {
  const raw = join(directory, 'grub.raw');
  await copyFile(bootableDisk, raw);
  const images = {
    qcow2: join(directory, 'grub.qcow2'),
    xz: `${raw}.xz`,
    zst: `${raw}.zst`,
    uploaded: join(directory, 'floppy.qcow2'),
  };
  await run('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw, images.qcow2]);
  await run('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', bootableFloppy, images.uploaded]);
  await run('xz', ['-k', '-T2', '-1', raw]);
  await run('zstd', ['-q', '-k', raw]);
  return images;
}

/**
 * The sha256 that a volume of `sizeBytes` must have: the image unpacked and converted by the native tools, then extended with zeros,
 * because the disk that the guest sees is as large as its claim.
 */
export async function expectedSha256(image: string, sizeBytes: number): Promise<string> {
  const unpacked = `${image}.expected`;
  try {
    if (image.endsWith('.xz')) await run('sh', ['-c', 'xz -dc "$1" >"$2"', 'sh', image, unpacked]);
    else if (image.endsWith('.zst')) await run('sh', ['-c', 'zstd -qdc "$1" >"$2"', 'sh', image, unpacked]);
    else await run('qemu-img', ['convert', '-f', 'qcow2', '-O', 'raw', image, unpacked]);
    await truncate(unpacked, sizeBytes);
    const { stdout } = await run('sha256sum', [unpacked]);
    return stdout.slice(0, 64);
  } finally {
    await rm(unpacked, { force: true });
  }
}
