// The DataVolume that import, upload, clone and blank ask for, and what is said when it is there.
import type { DataVolume, DataVolumeSource } from '../domain/data-volume.ts';
import { describeBytes, formatBytes } from '../domain/quantity.ts';
import { apiVersionOf, resources } from '../domain/resources.ts';
import { showName, type VolumeName } from './volume-name.ts';

/** CDI takes no smaller volume. */
const leastBytes = 1024 * 1024;

/** @returns the quantity to ask for, so that an image of that virtual size fits */
export function sizeFor(virtualSizeBytes: number): string {
  return formatBytes(Math.max(leastBytes, virtualSizeBytes));
}

/** @param size a quantity; undefined leaves it to the service (a clone takes its source's) */
export function makeVolume(name: VolumeName, source: DataVolumeSource, size?: string): DataVolume {
  const storage = size === undefined ? {} : { resources: { requests: { storage: size } } };
  // Safe: the resource is the one whose version and kind DataVolume spells out.
  return {
    apiVersion: apiVersionOf(resources.dataVolumes),
    kind: resources.dataVolumes.kind,
    metadata: { name: name.name, namespace: name.namespace },
    spec: { source, storage },
  } as DataVolume;
}

export function isDone(volume: DataVolume): boolean {
  return volume.status?.phase === 'Succeeded';
}

/** One sentence about a volume that is done. */
export function doneSentence(name: VolumeName, volume: DataVolume, seconds: number): string {
  const { virtualSize, allocatedBytes, verified } = volume.status?.longshore ?? {};
  const size = virtualSize === undefined ? '' : `, ${describeBytes(virtualSize)}`;
  const allocated = allocatedBytes === undefined ? '' : ` (${describeBytes(allocatedBytes)} allocated)`;
  const checked = verified === undefined ? '' : `, verified: ${verified}`;
  return `${showName(name)}: Succeeded after ${seconds.toFixed(1)} s${size}${allocated}${checked}\n`;
}
