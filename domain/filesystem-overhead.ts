// How much larger than a disk image its filesystem must be. The only place that computes it; the numbers are CDI's to the byte,
// which reckons in doubles, so this does too. Our own class has no overhead: what is asked is what the guest sees.
import type { CdiConfig } from './custom-resources/cdi-config.ts';
import type { StorageClass } from './kube-shapes.ts';
import { byChannel, isOwnClass, type Provisioning } from './provisioning.ts';

const alignmentBytes = 1_048_576;

/** CDI's own default where CDIConfig says nothing. */
const defaultFilesystemOverhead = '0.06';

const overheadPattern = /^(0(?:\.\d{1,3})?|1)$/;

/** @param text as in CDIConfig: a part of the size from 0 to 1, such as `0.06` @returns undefined where it is none */
export function parseOverhead(text: string): number | undefined {
  return overheadPattern.test(text) ? Number(text) : undefined;
}

/** Size that a Filesystem claim must have to hold an image of `sizeBytes`. */
export function requiredBytes(overhead: number, sizeBytes: number): number {
  const aligned = Math.ceil(sizeBytes / alignmentBytes) * alignmentBytes;
  return Math.ceil(aligned * (1 + overhead));
}

/** Size of the largest image that a Filesystem claim of `availableBytes` holds. */
export function usableBytes(overhead: number, availableBytes: number): number {
  const withoutOverhead = Math.ceil(availableBytes / (1 + overhead));
  return Math.floor(withoutOverhead / alignmentBytes) * alignmentBytes;
}

/** Overhead of a Filesystem claim of that class, as CDIConfig writes it: 0 for our own, else the class's entry in CDIConfig, its global one, 0.06. */
export function overheadTextOf(
  storageClass: StorageClass | undefined,
  config: CdiConfig | undefined,
  provisioning: Provisioning = byChannel,
): string {
  if (isOwnClass(storageClass, provisioning)) return '0';
  const wish = config?.spec.filesystemOverhead;
  const ofClass = storageClass === undefined ? undefined : wish?.storageClass?.[storageClass.metadata.name];
  const texts = [ofClass, wish?.global].filter((text) => text !== undefined);
  return texts.find((text) => parseOverhead(text) !== undefined) ?? defaultFilesystemOverhead;
}

/** The same as a number. */
export function filesystemOverheadOf(
  storageClass: StorageClass | undefined,
  config: CdiConfig | undefined,
  provisioning: Provisioning = byChannel,
): number {
  return Number(overheadTextOf(storageClass, config, provisioning));
}

/**
 * What the claim has to ask for so that an image of `sizeBytes` fits.
 * @param mode Block claims hold the image as it is
 */
export function claimBytes(sizeBytes: number, mode: 'Filesystem' | 'Block', overhead: number): number {
  return mode === 'Block' || overhead === 0 ? sizeBytes : requiredBytes(overhead, sizeBytes);
}
