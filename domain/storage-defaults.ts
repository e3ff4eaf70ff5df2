// What a claim gets where its DataVolume says nothing: the storage class, and that class's access mode, volume mode and smallest size.
import { annotations } from './annotations.ts';
import type { StorageProfile } from './custom-resources/storage-profile.ts';
import { type ClaimProperties, recognizeProvisioner } from './known-provisioners.ts';
import type { StorageClass } from './kube-shapes.ts';
import { byChannel, isOwnClass, type Provisioning } from './provisioning.ts';
import { quantityBytes } from './quantity.ts';

/** Sets that our own provisioner offers, the preferred first. */
const ownPropertySets: readonly ClaimProperties[] = [
  { accessModes: ['ReadWriteOnce'], volumeMode: 'Filesystem' },
  { accessModes: ['ReadWriteOnce'], volumeMode: 'Block' },
];

/**
 * Sets that a class offers, the preferred first: those that its profile asks for; else what is known of the provisioner; else what the profile
 * found out. Empty where nothing is known.
 * @param profile of that class, where there is one
 */
export function claimPropertySets(
  storageClass: StorageClass,
  profile: StorageProfile | undefined,
  provisioning: Provisioning = byChannel,
): readonly ClaimProperties[] {
  const wished = profile?.spec.claimPropertySets ?? [];
  if (wished.length > 0) return wished;
  if (isOwnClass(storageClass, provisioning)) return ownPropertySets;
  const known = recognizeProvisioner(storageClass);
  if (typeof known === 'object') return known.offers;
  return profile?.status?.claimPropertySets ?? [];
}

/**
 * The modes of a claim: those that it asks for, completed from the first of the sets that has them all.
 * @param wished volumeMode undefined: any
 * @returns undefined where it asks for no access mode and no set fits
 */
export function chooseModes(
  wished: { accessModes?: readonly string[] | undefined; volumeMode?: string | undefined },
  sets: readonly ClaimProperties[],
): { accessModes: string[]; volumeMode: string } | undefined {
  const asked = wished.accessModes ?? [];
  const fitting = sets.find(
    ({ accessModes, volumeMode }) =>
      (wished.volumeMode === undefined || volumeMode === wished.volumeMode) &&
      asked.every((mode) => accessModes.includes(mode)),
  );
  const accessModes = asked.length > 0 ? asked : (fitting?.accessModes ?? []);
  if (accessModes.length === 0) return undefined;
  return { accessModes: [...accessModes], volumeMode: wished.volumeMode ?? fitting?.volumeMode ?? 'Filesystem' };
}

/** The size below which no claim of the class is asked for: as its profile says, else as is known. 0: any size will do. */
export function smallestClaimBytes(storageClass: StorageClass, profile: StorageProfile | undefined): number {
  const known = recognizeProvisioner(storageClass);
  const told = profile?.metadata.annotations?.[annotations.minimumSupportedPvcSize];
  return quantityBytes(told ?? (typeof known === 'object' ? known.smallestClaim : undefined) ?? '0') ?? 0;
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
