// What a claim gets where its DataVolume says nothing: the storage class, and that class's access mode and volume mode.
import { annotations } from './annotations.ts';
import type { StorageClass } from './kube-shapes.ts';
import { byChannel, isOwnClass, type Provisioning } from './provisioning.ts';

export type VolumeMode = 'Filesystem' | 'Block';

export interface ClaimProperties {
  readonly accessModes: readonly string[];
  readonly volumeMode: VolumeMode;
}

/** Sets that a class offers, the preferred first. Empty for a class whose provisioner is not known here. */
export function claimPropertySets(
  storageClass: StorageClass,
  provisioning: Provisioning = byChannel,
): readonly ClaimProperties[] {
  if (!isOwnClass(storageClass, provisioning)) return [];
  return [
    { accessModes: ['ReadWriteOnce'], volumeMode: 'Filesystem' },
    { accessModes: ['ReadWriteOnce'], volumeMode: 'Block' },
  ];
}

function isMarked(storageClass: StorageClass, annotation: string): boolean {
  return storageClass.metadata.annotations?.[annotation] === 'true';
}

/** Newest first, then by name, as Kubernetes picks among several default classes. */
function newestFirst(a: StorageClass, b: StorageClass): number {
  const byAge = (b.metadata.creationTimestamp ?? '').localeCompare(a.metadata.creationTimestamp ?? '');
  return byAge === 0 ? a.metadata.name.localeCompare(b.metadata.name) : byAge;
}

/**
 * The class a claim goes to: the one asked for; else, for disk images, the default class for virtual machines; else the default class.
 * @param name undefined where none is asked; '' asks for none
 * @returns undefined where there is no such class
 */
export function chooseStorageClass(
  classes: readonly StorageClass[],
  name: string | undefined,
  contentType: string,
): StorageClass | undefined {
  if (name !== undefined) return classes.find((candidate) => candidate.metadata.name === name);
  const marked = (annotation: string): StorageClass | undefined =>
    classes.filter((candidate) => isMarked(candidate, annotation)).sort(newestFirst)[0];
  const forMachines = contentType === 'archive' ? undefined : marked(annotations.defaultVirtStorageClass);
  return forMachines ?? marked(annotations.defaultStorageClass);
}
