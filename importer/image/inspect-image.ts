// The strict look at an image, by format: what its beginning tells, and all of it where any part can be read. qemu-img sees an image only after the latter,
// except a qcow2 that comes in order, of which the NBD view checks each cluster as qemu-img asks for it.
import type { ImageFormat } from '../../volumes/qemu-img.ts';
import type { ImageFile, ImageHead, InspectedImage } from './inspection.ts';
import { parseQcow2Header, qcow2HeadBytes } from './qcow2-header.ts';
import { checkQcow2Tables } from './qcow2-tables.ts';
import { inspectVdi, parseVdiHeader } from './vdi-image.ts';
import { inspectVhd, parseDynamicVhd } from './vhd-image.ts';
import { inspectVhdx } from './vhdx-image.ts';
import { inspectVmdk, parseVmdkHeader } from './vmdk-image.ts';

/** A format that qemu-img has to read. */
export type RandomAccessFormat = Exclude<ImageFormat, 'raw'>;

/**
 * @param head the first 64 KiB, or all where there is less
 * @param fileBytes length of the image, where it is known
 * @throws Fault HostileImage, UnsupportedFormat, CorruptImage
 */
export function readImageHead(format: RandomAccessFormat, head: Buffer, fileBytes: number | undefined): ImageHead {
  switch (format) {
    case 'qcow2':
      return parseQcow2Header(head.subarray(0, qcow2HeadBytes), fileBytes);
    case 'vmdk':
      return parseVmdkHeader(head, fileBytes);
    case 'vdi':
      return parseVdiHeader(head);
    case 'vpc':
      return parseDynamicVhd(head);
    case 'vhdx':
      // Its metadata lie behind the first MiB.
      return { virtualSizeBytes: undefined };
  }
}

/** @throws Fault HostileImage, UnsupportedFormat, CorruptImage */
export function inspectImage(format: RandomAccessFormat, file: ImageFile): Promise<InspectedImage> {
  switch (format) {
    case 'qcow2':
      return inspectQcow2(file);
    case 'vmdk':
      return inspectVmdk(file);
    case 'vdi':
      return inspectVdi(file);
    case 'vpc':
      return inspectVhd(file);
    case 'vhdx':
      return inspectVhdx(file);
  }
}

async function inspectQcow2({ readAt, fileBytes }: ImageFile): Promise<InspectedImage> {
  const header = parseQcow2Header(await readAt(0, Math.min(fileBytes, qcow2HeadBytes)), fileBytes);
  await checkQcow2Tables(header, fileBytes, readAt);
  return { virtualSizeBytes: header.virtualSizeBytes };
}
