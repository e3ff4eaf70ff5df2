// The PersistentVolumeClaim of a DataVolume, as CDI makes it: a pure function of the DataVolume, the storage classes and the config.
// `pvc` is taken as it is written; in `storage` what is missing is filled in from the class, and the size grows by its overhead.
import { checksumWish } from './admission.ts';
import { annotations, labels, statedAnnotations, volumeFinalizer } from './annotations.ts';
import {
  type ClaimProblem,
  completeModes,
  completeSize,
  notValid,
  type RenderedSpec,
  type StorageContext,
  volumeModeOf,
  withSize,
} from './complete-claim.ts';
import type { CdiConfig } from './custom-resources/cdi-config.ts';
import type { DataVolume } from './data-volume.ts';
import { sourceAnnotations } from './import-annotations.ts';
import type { VolumeMode } from './known-provisioners.ts';
import type { Claim, ClaimSpec } from './kube-shapes.ts';
import { byChannel, isOwnClass } from './provisioning.ts';
import { quantityBytes } from './quantity.ts';
import { chooseStorageClass } from './storage-defaults.ts';

export interface ClaimContext extends StorageContext {
  /** The claim that a clone names, for a size that the DataVolume leaves to it. */
  readonly cloneSource?: Claim | undefined;
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

/** The content type of a DataVolume; disk images where it names none. */
export function contentTypeOf(dataVolume: DataVolume): 'kubevirt' | 'archive' {
  return dataVolume.spec.contentType === 'archive' ? 'archive' : 'kubevirt';
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
  const shaped = completeModes(storage, contentTypeOf(dataVolume), context);
  if ('problem' in shaped) return shaped;
  const source = dataVolume.spec.source?.pvc;
  const isSizeless = shaped.spec.resources?.requests?.['storage'] === undefined;
  if (isSizeless && source !== undefined) return sizeFromSource(shaped.spec, source.name, context);
  return completeSize(shaped.spec, context);
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

function sizeFromSource(spec: ClaimSpec, name: string, { cloneSource }: ClaimContext): RenderedSpec {
  const sizeBytes = cloneSource === undefined ? undefined : sizeToClone(cloneSource);
  if (sizeBytes !== undefined) return { spec: withSize(spec, sizeBytes) };
  return { problem: { reason: 'CloneWithoutSource', message: `The source pvc ${name} doesn't exist` } };
}

/** What was asked for; of a device what it has, where that is more: whole sectors, all of which are cloned. */
function sizeToClone({ spec, status }: Claim): number | undefined {
  const askedBytes = quantityBytes(spec.resources?.requests?.['storage'] ?? '');
  if (askedBytes === undefined || volumeModeOf(spec) !== 'Block') return askedBytes;
  return Math.max(askedBytes, quantityBytes(status?.capacity?.['storage'] ?? '') ?? 0);
}

/** Those of the DataVolume too; but its claim is complete, and is not to be completed once more. */
function claimLabels(dataVolume: DataVolume, mode: VolumeMode): Record<string, string> {
  const { [labels.applyStorageProfile]: _applied, ...inherited } = dataVolume.metadata.labels ?? {};
  return {
    [labels.app]: 'containerized-data-importer',
    ...(mode === 'Filesystem' ? { [labels.fillingUp]: 'disabled' } : {}),
    ...inherited,
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
