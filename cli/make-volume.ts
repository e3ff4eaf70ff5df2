// The DataVolume that import, upload, clone and blank ask for, and what is said when it is there.
import { annotations } from '../domain/annotations.ts';
import type { DataVolume, DataVolumeSource } from '../domain/data-volume.ts';
import { Fault } from '../domain/fault.ts';
import { describeBytes, formatBytes } from '../domain/quantity.ts';
import { apiVersionOf, resources } from '../domain/resources.ts';
import { showName, type VolumeName } from './volume-name.ts';

/** CDI takes no smaller volume. */
const leastBytes = 1024 * 1024;

/** @returns the quantity to ask for, so that an image of that virtual size fits */
export function sizeFor(virtualSizeBytes: number): string {
  return formatBytes(Math.max(leastBytes, virtualSizeBytes));
}

/** What the volume is to be, by the options that all commands have that make one. */
export interface VolumeWishes {
  /** A quantity; undefined leaves it to the service (a clone takes its source's). */
  size?: string | undefined;
  /** Of the bytes of a source that has no member for it, `algorithm:hex`. */
  checksum?: string | undefined;
  /** The files of a tar in place of a disk. */
  archive?: boolean;
  /** A block device in place of a file. */
  block?: boolean;
  /** Of the block device: 512 or 4096. */
  sectorSize?: string;
}

/** @throws Fault InvalidRequest for sectors of what is no block device, or an archive without a size */
export function makeVolume(name: VolumeName, source: DataVolumeSource, wishes: VolumeWishes = {}): DataVolume {
  const { size, archive, block, sectorSize, checksum } = wishes;
  if (sectorSize !== undefined && block !== true) {
    throw new Fault('InvalidRequest', '--sector-size is of a block device: add --block');
  }
  if (archive === true && size === undefined && source.pvc === undefined) {
    throw new Fault('InvalidRequest', 'the beginning of an archive tells no size; name one with --size');
  }
  const storage = {
    ...(size === undefined ? {} : { resources: { requests: { storage: size } } }),
    ...(block === true ? { volumeMode: 'Block' } : {}),
  };
  const asked = {
    ...(sectorSize === undefined ? {} : { [annotations.sectorSize]: sectorSize }),
    ...(checksum === undefined ? {} : { [annotations.checksum]: checksum }),
  };
  // Safe: the resource is the one whose version and kind DataVolume spells out.
  return {
    apiVersion: apiVersionOf(resources.dataVolumes),
    kind: resources.dataVolumes.kind,
    metadata: {
      ...{ name: name.name, namespace: name.namespace },
      ...(Object.keys(asked).length === 0 ? {} : { annotations: asked }),
    },
    spec: { source, storage, ...(archive === true ? { contentType: 'archive' } : {}) },
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
