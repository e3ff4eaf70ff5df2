// The block device of a claim of volumeMode Block: where it is found on its node, and its sectors.
import { annotations } from './annotations.ts';
import { Fault } from './fault.ts';
import type { Claim, StorageClass } from './kube-shapes.ts';
import type { VolumeId } from './volume-record.ts';

/** In devtmpfs, so that after a restart of the machine no link points to what is another's device by then. */
export const deviceDirectory = '/dev/longshore';

/** Stable as long as the volume is there, whichever device the kernel gives. */
export function devicePathOf(id: VolumeId): string {
  return `${deviceDirectory}/${id}`;
}

export type SectorBytes = 512 | 4096;

/** What a class or a claim that says nothing gets: every guest boots from it. */
export const defaultSectorBytes: SectorBytes = 512;

/** Parameter of a storage class of ours. */
export const sectorSizeParameter = 'sectorSize';

/** @param where it stands, for the detail. @throws Fault InvalidRequest where it is neither of the two */
export function parseSectorBytes(text: string, where: string): SectorBytes {
  if (text === '512') return 512;
  if (text === '4096') return 4096;
  throw new Fault('InvalidRequest', `${where} is ${JSON.stringify(text)}; a device has sectors of 512 or 4096 bytes`);
}

/** As the claim says, else as its class says. @throws Fault InvalidRequest */
export function sectorBytesOf(claim: Claim, storageClass: StorageClass | undefined): SectorBytes {
  const wished = claim.metadata.annotations?.[annotations.sectorSize];
  if (wished !== undefined) return parseSectorBytes(wished, `annotation ${annotations.sectorSize}`);
  const ofClass = storageClass?.parameters?.[sectorSizeParameter];
  if (ofClass === undefined) return defaultSectorBytes;
  return parseSectorBytes(ofClass, `parameter ${sectorSizeParameter} of class ${storageClass?.metadata.name ?? ''}`);
}

/** A device has whole sectors only: the size that holds as many bytes. */
export function wholeSectors(sizeBytes: number, sectorBytes: SectorBytes): number {
  return Math.ceil(sizeBytes / sectorBytes) * sectorBytes;
}
