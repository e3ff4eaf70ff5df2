// The transfers that are measured: each beside its floor, with the ratio that is aimed at.
import type { BenchImages } from './bench-images.ts';
import type { BenchNginx } from './bench-nginx.ts';
import { qcow2Floor, rawFloor, uploadFloor } from './native-floors.ts';
import type { OurTransfers } from './our-transfers.ts';

export interface TransferCase {
  name: string;
  floor: string;
  aim: number;
  floorSeconds(): Promise<number>;
  ourSeconds(): Promise<number>;
}

/** @param cache where the floors write */
export function planCases(cache: string, ours: OurTransfers, images: BenchImages, nginx: BenchNginx): TransferCase[] {
  return [
    {
      name: 'import raw',
      floor: 'curl | dd conv=sparse,fdatasync',
      aim: 1.1,
      floorSeconds: () => rawFloor(cache, images, nginx),
      ourSeconds: () => ours.importRaw(images, nginx),
    },
    {
      name: 'import qcow2',
      floor: 'max(curl to nowhere, qemu-img convert -t none)',
      aim: 2,
      floorSeconds: () => qcow2Floor(cache, images, nginx),
      ourSeconds: () => ours.importQcow2(images, nginx),
    },
    {
      name: 'upload raw',
      floor: 'curl -T to nginx WebDAV over TLS, flushed',
      aim: 1,
      floorSeconds: () => uploadFloor(cache, images, nginx),
      ourSeconds: () => ours.uploadRaw(images),
    },
  ];
}
