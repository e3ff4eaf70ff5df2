// What the status of a StorageProfile says: what its class offers and how its volumes are cloned best, after the spec of the profile, the class, and
// what is known of its provisioner. The rules are those of CDI's pkg/controller/storageprofile-controller.go.
import { annotations } from './annotations.ts';
import type { StorageProfile } from './custom-resources/storage-profile.ts';
import { type ClaimProperties, noProvisioner, recognizeProvisioner } from './known-provisioners.ts';
import type { PersistentVolume, StorageClass, VolumeSnapshotClass } from './kube-shapes.ts';
import type { Provisioning } from './provisioning.ts';
import { claimPropertySets } from './storage-defaults.ts';

export interface StorageProfileFacts {
  readonly provisioning: Provisioning;
  /** Those that are there; looked at for the provisioner of the class. */
  readonly snapshotClasses: readonly VolumeSnapshotClass[];
  /** Looked at for a class without a provisioner. */
  readonly volumes: readonly PersistentVolume[];
  readonly now: Date;
}

type Spec = StorageProfile['spec'];
type Status = NonNullable<StorageProfile['status']>;

const defaultSnapshotClass = 'snapshot.storage.kubernetes.io/is-default-class';

/** Pure. The time in the condition is the former one where the condition is the same. */
export function storageProfileStatus(
  storageClass: StorageClass,
  profile: StorageProfile,
  facts: StorageProfileFacts,
): Status {
  const { spec } = profile;
  const offers = propertySets(storageClass, profile, facts);
  const snapshotClass = snapshotClassFor(storageClass, spec, facts);
  return {
    storageClass: storageClass.metadata.name,
    provisioner: storageClass.provisioner,
    ...(offers.length === 0 ? {} : { claimPropertySets: [...offers] }),
    cloneStrategy: cloneStrategyOf(storageClass, spec, snapshotClass),
    dataImportCronSourceFormat: cronFormatOf(storageClass, spec, snapshotClass),
    ...(snapshotClass === undefined ? {} : { snapshotClass }),
    conditions: [recognition(storageClass, profile, offers.length > 0, facts.now)],
  };
}

function propertySets(
  storageClass: StorageClass,
  profile: StorageProfile,
  { provisioning, volumes }: StorageProfileFacts,
): readonly ClaimProperties[] {
  // What the status said before is no reason to say it again.
  const { status: _, ...wished } = profile;
  const sets = claimPropertySets(storageClass, wished, provisioning);
  return sets.length > 0 || storageClass.provisioner !== noProvisioner ? sets : setsOfVolumes(storageClass, volumes);
}

/** Modes of the volumes that were made by hand for that class, each once, in a fixed order. */
function setsOfVolumes({ metadata }: StorageClass, volumes: readonly PersistentVolume[]): ClaimProperties[] {
  const found = new Map<string, ClaimProperties>();
  for (const { spec } of volumes.filter(({ spec }) => spec.storageClassName === metadata.name)) {
    const volumeMode = spec.volumeMode === 'Block' ? 'Block' : 'Filesystem';
    for (const mode of spec.accessModes ?? []) found.set(`${mode} ${volumeMode}`, { accessModes: [mode], volumeMode });
  }
  // A schema allows so many.
  return [...found]
    .sort(([one], [other]) => one.localeCompare(other))
    .map(([, set]) => set)
    .slice(0, 8);
}

function snapshotClassFor(
  { provisioner }: StorageClass,
  { snapshotClass: wished }: Spec,
  { snapshotClasses }: StorageProfileFacts,
): string | undefined {
  const fitting = snapshotClasses
    .filter(({ driver }) => driver === provisioner)
    .sort((one, other) => one.metadata.name.localeCompare(other.metadata.name));
  const isDefault = ({ metadata }: VolumeSnapshotClass) => metadata.annotations?.[defaultSnapshotClass] === 'true';
  const chosen = fitting.find(({ metadata }) => metadata.name === wished) ?? fitting.find(isDefault) ?? fitting[0];
  return chosen?.metadata.name;
}

function cloneStrategyOf(storageClass: StorageClass, spec: Spec, snapshotClass: string | undefined): string {
  const known = recognizeProvisioner(storageClass);
  const advised = typeof known === 'object' ? known.cloneStrategy : undefined;
  const ofClass = storageClass.metadata.annotations?.[annotations.cloneStrategy];
  return spec.cloneStrategy ?? ofClass ?? advised ?? (snapshotClass === undefined ? 'copy' : 'snapshot');
}

function cronFormatOf(storageClass: StorageClass, spec: Spec, snapshotClass: string | undefined): string {
  const known = recognizeProvisioner(storageClass);
  const keepsSnapshots = typeof known === 'object' && known.keepsSnapshots === true && snapshotClass !== undefined;
  return spec.dataImportCronSourceFormat ?? (keepsSnapshots ? 'snapshot' : 'pvc');
}

/** A class without a provisioner is known by its volumes. */
function recognition(
  storageClass: StorageClass,
  { status }: StorageProfile,
  offersAny: boolean,
  now: Date,
): NonNullable<Status['conditions']>[number] {
  const found = recognizeProvisioner(storageClass);
  const reason = typeof found === 'object' || offersAny ? 'RecognizedProvisioner' : found;
  const isKnown = reason === 'RecognizedProvisioner';
  const condition = { type: 'Recognized', status: isKnown ? 'True' : 'False', reason };
  const former = status?.conditions?.find(({ type }) => type === condition.type);
  const since = former?.status === condition.status ? former.lastTransitionTime : undefined;
  return { ...condition, lastTransitionTime: since ?? `${now.toISOString().slice(0, 19)}Z` };
}
