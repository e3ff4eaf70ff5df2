// The PersistentVolumeClaim of a DataVolume, as CDI makes it: a pure function of the DataVolume, the storage classes and the config.
// `pvc` is taken as it is written; in `storage` what is missing is filled in from the class, and the size grows by its overhead.
import { checksumWish } from './admission.ts';
import { smallestVolumeBytes } from './admission-claim.ts';
import { annotations, labels, statedAnnotations, volumeFinalizer } from './annotations.ts';
import type { CdiConfig } from './custom-resources/cdi-config.ts';
import type { StorageProfile } from './custom-resources/storage-profile.ts';
import type { DataVolume } from './data-volume.ts';
import { claimBytes, filesystemOverheadOf } from './filesystem-overhead.ts';
import { sourceAnnotations } from './import-annotations.ts';
import type { VolumeMode } from './known-provisioners.ts';
import type { Claim, ClaimSpec, StorageClass } from './kube-shapes.ts';
import { byChannel, isOwnClass, type Provisioning } from './provisioning.ts';
import { formatBytes, quantityBytes } from './quantity.ts';
import { chooseModes, chooseStorageClass, claimPropertySets, smallestClaimBytes } from './storage-defaults.ts';

export interface ClaimContext {
  readonly storageClasses: readonly StorageClass[];
  /** Default: what is known of the classes themselves. */
  readonly storageProfiles?: readonly StorageProfile[];
  readonly cdiConfig?: CdiConfig | undefined;
  /** The claim that a clone names, for a size that the DataVolume leaves to it. */
  readonly cloneSource?: Claim | undefined;
  /** Default: by the channel. */
  readonly provisioning?: Provisioning;
}

/** Why no claim can be made: reason and message of the Warning event, in CDI's words. */
export interface ClaimProblem {
  readonly reason: 'ErrClaimNotValid' | 'CloneWithoutSource';
  readonly message: string;
}

/** @returns the claim to create, or why there is none. Where we delete its volume ourselves, a finalizer keeps it until that is done. */
export function renderClaim(
  dataVolume: DataVolume,
  context: ClaimContext,
): { claim: Claim } | { problem: ClaimProblem } {
  const rendered = withoutForeignVolume(renderSpec(dataVolume, context), context);
  if ('problem' in rendered) return rendered;
  const { namespace = '', name } = dataVolume.metadata;
  const byCsi = context.provisioning?.by === 'csi';
  const claim: Claim = {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: {
      namespace,
      name,
      labels: claimLabels(dataVolume, volumeModeOf(rendered.spec)),
      annotations: {
        ...claimAnnotations(dataVolume, context.cdiConfig),
        ...(byCsi ? { [annotations.usePopulator]: 'false' } : {}),
      },
      ownerReferences: [
        {
          apiVersion: dataVolume.apiVersion,
          kind: dataVolume.kind,
          name,
          uid: dataVolume.metadata.uid ?? '',
          controller: true,
          blockOwnerDeletion: true,
        },
      ],
      ...(byCsi ? {} : { finalizers: [volumeFinalizer] }),
    },
    spec: rendered.spec,
  };
  return { claim };
}

/** The mode of a claim; Filesystem where it names none. */
function volumeModeOf(spec: { volumeMode?: string }): VolumeMode {
  return spec.volumeMode === 'Block' ? 'Block' : 'Filesystem';
}

/** The content type of a DataVolume; disk images where it names none. */
export function contentTypeOf(dataVolume: DataVolume): 'kubevirt' | 'archive' {
  return dataVolume.spec.contentType === 'archive' ? 'archive' : 'kubevirt';
}

type RenderedSpec = { spec: ClaimSpec } | { problem: ClaimProblem };

function notValid(message: string): { problem: ClaimProblem } {
  return { problem: { reason: 'ErrClaimNotValid', message } };
}

/** A volume of our own classes is made for its claim: another one that is named would never be bound. */
function withoutForeignVolume(rendered: RenderedSpec, context: ClaimContext): RenderedSpec {
  if ('problem' in rendered || (rendered.spec.volumeName ?? '') === '') return rendered;
  const { volumeName, storageClassName } = rendered.spec;
  const storageClass = context.storageClasses.find(({ metadata }) => metadata.name === storageClassName);
  if (!isOwnClass(storageClass, context.provisioning ?? byChannel)) return rendered;
  return notValid(`PVC Spec is not valid - volumeName ${volumeName}: ${volumeNameProblem(storageClassName ?? '')}`);
}

/** Why a claim of one of our classes names no volume itself. */
export function volumeNameProblem(storageClassName: string): string {
  return `a volume of class ${storageClassName} is made for its claim and cannot be named`;
}

function renderSpec(dataVolume: DataVolume, context: ClaimContext): RenderedSpec {
  const { pvc, storage } = dataVolume.spec;
  if (pvc !== undefined) return { spec: withDefaultClass(pvc, dataVolume, context) };
  if (storage === undefined) return notValid('datavolume one of {pvc, storage} field is required');
  const shaped = applyDefaults({ ...storage }, dataVolume, context);
  return 'problem' in shaped ? shaped : applySize(shaped.spec, dataVolume, context);
}

/** Kubernetes' own admission names the default class on a claim that names none; CDI's preference for virtual machines is not for `pvc`. */
function withDefaultClass(pvc: ClaimSpec, dataVolume: DataVolume, context: ClaimContext): ClaimSpec {
  const volumeMode = volumeModeOf(pvc);
  if (pvc.storageClassName !== undefined) return { ...pvc, volumeMode };
  const chosen = chooseStorageClass(context.storageClasses, undefined, 'archive');
  // A service that only has a class for virtual machines still has a place for them.
  const fallback = chooseStorageClass(context.storageClasses, undefined, contentTypeOf(dataVolume));
  const name = (chosen ?? fallback)?.metadata.name;
  return name === undefined ? { ...pvc, volumeMode } : { ...pvc, volumeMode, storageClassName: name };
}

function applyDefaults(wish: ClaimSpec, dataVolume: DataVolume, context: ClaimContext): RenderedSpec {
  const contentType = contentTypeOf(dataVolume);
  const { volumeMode: given, ...rest } = wish;
  const asked = given === '' || given === 'FromStorageProfile' ? undefined : given;
  if (contentType === 'archive' && asked === 'Block') {
    return notValid('ContentType Archive cannot have block volumeMode');
  }
  const mode = contentType === 'archive' ? 'Filesystem' : asked;
  const storageClass = chooseStorageClass(context.storageClasses, rest.storageClassName, contentType);
  const spec: ClaimSpec = mode === undefined ? rest : { ...rest, volumeMode: mode };
  if (storageClass !== undefined) return applyClass(spec, storageClass, context);
  if ((rest.accessModes ?? []).length > 0) return { spec: { ...spec, volumeMode: volumeModeOf(spec) } };
  const missing = rest.storageClassName === undefined ? '' : `: there is no StorageClass ${rest.storageClassName}`;
  return notValid(`PVC spec is missing accessMode and no storageClass to choose profile${missing}`);
}

/** The profile of a class has its name. */
function profileOf(storageClass: StorageClass, { storageProfiles = [] }: ClaimContext): StorageProfile | undefined {
  return storageProfiles.find(({ metadata }) => metadata.name === storageClass.metadata.name);
}

function applyClass(spec: ClaimSpec, storageClass: StorageClass, context: ClaimContext): RenderedSpec {
  const { name } = storageClass.metadata;
  const sets = claimPropertySets(storageClass, profileOf(storageClass, context), context.provisioning);
  const modes = chooseModes(spec, sets);
  if (modes === undefined) {
    const missing = spec.volumeMode === undefined ? 'accessMode and volumeMode,' : 'accessMode and';
    return notValid(`Spec is missing ${missing} cannot get access mode from StorageProfile ${name}`);
  }
  return { spec: { ...spec, storageClassName: name, ...modes } };
}

function applySize(spec: ClaimSpec, dataVolume: DataVolume, context: ClaimContext): RenderedSpec {
  const asked = spec.resources?.requests?.['storage'];
  if (asked === undefined) return sizeFromSource(spec, dataVolume, context);
  const sizeBytes = quantityBytes(asked) ?? 0;
  if (sizeBytes < smallestVolumeBytes) {
    return notValid('PVC Spec is not valid - storage size should be at least 1MiB');
  }
  const storageClass = context.storageClasses.find(({ metadata }) => metadata.name === spec.storageClassName);
  const overhead = filesystemOverheadOf(storageClass, context.cdiConfig, context.provisioning);
  const smallest = storageClass === undefined ? 0 : smallestClaimBytes(storageClass, profileOf(storageClass, context));
  return { spec: withSize(spec, Math.max(smallest, claimBytes(sizeBytes, volumeModeOf(spec), overhead))) };
}

function sizeFromSource(spec: ClaimSpec, dataVolume: DataVolume, context: ClaimContext): RenderedSpec {
  const source = dataVolume.spec.source?.pvc;
  if (source === undefined) return notValid('PVC Spec is not valid - missing storage size');
  const asked = context.cloneSource?.spec.resources?.requests?.['storage'];
  const sizeBytes = asked === undefined ? undefined : quantityBytes(asked);
  if (sizeBytes !== undefined) return { spec: withSize(spec, sizeBytes) };
  return { problem: { reason: 'CloneWithoutSource', message: `The source pvc ${source.name} doesn't exist` } };
}

function withSize(spec: ClaimSpec, sizeBytes: number): ClaimSpec {
  const requests = { ...spec.resources?.requests, storage: formatBytes(sizeBytes) };
  return { ...spec, resources: { ...spec.resources, requests } };
}

function claimLabels(dataVolume: DataVolume, mode: VolumeMode): Record<string, string> {
  return {
    [labels.app]: 'containerized-data-importer',
    ...(mode === 'Filesystem' ? { [labels.fillingUp]: 'disabled' } : {}),
    ...dataVolume.metadata.labels,
    [labels.managedBy]: 'cdi-controller',
    [labels.component]: 'storage',
  };
}

/**
 * Annotations of a DataVolume that its claim does not get: those that CDI keeps back, kubectl's note of what was applied to another object,
 * and what only the service may tell of a claim, lest a copied manifest make an empty volume look filled.
 */
const notInherited: readonly string[] = [
  annotations.populatedFor,
  annotations.cloneToken,
  annotations.extendedCloneToken,
  'kubectl.kubernetes.io/last-applied-configuration',
  ...statedAnnotations,
];

function claimAnnotations(dataVolume: DataVolume, cdiConfig: CdiConfig | undefined): Record<string, string> {
  const { spec, metadata } = dataVolume;
  const inherited = Object.entries(metadata.annotations ?? {}).filter(([name]) => !notInherited.includes(name));
  const preallocation = spec.preallocation ?? cdiConfig?.spec.preallocation;
  const checksum = spec.source?.http === undefined ? undefined : checksumWish(dataVolume);
  return {
    ...Object.fromEntries(inherited),
    [annotations.podRestarts]: '0',
    [annotations.contentType]: contentTypeOf(dataVolume),
    ...((spec.priorityClassName ?? '') === '' ? {} : { [annotations.priorityClassName]: spec.priorityClassName ?? '' }),
    ...((spec.serviceAccountName ?? '') === ''
      ? {}
      : { [annotations.serviceAccountName]: spec.serviceAccountName ?? '' }),
    [annotations.preallocationRequested]: String(preallocation ?? false),
    [annotations.createdForDataVolume]: metadata.uid ?? '',
    ...(spec.source === undefined ? {} : sourceAnnotations(spec.source, metadata.namespace ?? '')),
    ...(checksum === undefined ? {} : { [annotations.importChecksum]: checksum }),
  };
}
