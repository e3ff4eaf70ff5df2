// What a claim asks for where nobody says it: storage class, access modes, volume mode, and a size that has room for the filesystem's overhead; all from
// the class and its profile, as CDI does it. For the `storage` of DataVolumes, and for claims that ask for it by a label, as those of `virtctl image-upload pvc` do.
import { smallestVolumeBytes } from './admission-claim.ts';
import { annotations, labels } from './annotations.ts';
import type { CdiConfig } from './custom-resources/cdi-config.ts';
import type { StorageProfile } from './custom-resources/storage-profile.ts';
import { claimBytes, filesystemOverheadOf } from './filesystem-overhead.ts';
import type { VolumeMode } from './known-provisioners.ts';
import type { Claim, ClaimSpec, StorageClass } from './kube-shapes.ts';
import type { ObjectMeta } from './object-store.ts';
import type { Provisioning } from './provisioning.ts';
import { formatBytes, quantityBytes } from './quantity.ts';
import { chooseModes, chooseStorageClass, claimPropertySets, smallestClaimBytes } from './storage-defaults.ts';

/** What claims are completed from. */
export interface StorageContext {
  readonly storageClasses: readonly StorageClass[];
  /** Default: what is known of the classes themselves. */
  readonly storageProfiles?: readonly StorageProfile[];
  readonly cdiConfig?: CdiConfig | undefined;
  /** Default: by the channel. */
  readonly provisioning?: Provisioning;
}

export interface CompletionContext extends StorageContext {
  /** The claim that the VolumeCloneSource of the claim names; see cloneSourceNameOf. */
  readonly cloneSource?: Claim | undefined;
}

/** Why no claim can be made: reason and message of the Warning event, in CDI's words. */
export interface ClaimProblem {
  readonly reason: 'ErrClaimNotValid' | 'CloneWithoutSource';
  readonly message: string;
}

export type RenderedSpec = { spec: ClaimSpec } | { problem: ClaimProblem };

export function notValid(message: string): { problem: ClaimProblem } {
  return { problem: { reason: 'ErrClaimNotValid', message } };
}

/** The mode of a claim; Filesystem where it names none. */
export function volumeModeOf(spec: { volumeMode?: string }): VolumeMode {
  return spec.volumeMode === 'Block' ? 'Block' : 'Filesystem';
}

/** Whether a claim is to be completed when it is created: its label says so. */
export function asksForCompletion({ labels: own }: Pick<ObjectMeta, 'labels'>): boolean {
  return own?.[labels.applyStorageProfile] === 'true';
}

/** The VolumeCloneSource of its own namespace that fills the claim; undefined where something else does. */
export function cloneSourceNameOf({ dataSourceRef }: Pick<ClaimSpec, 'dataSourceRef'>): string | undefined {
  const { apiGroup, kind, name = '', namespace = '' } = dataSourceRef ?? {};
  const isClone = apiGroup === 'cdi.kubevirt.io' && kind === 'VolumeCloneSource' && name !== '' && namespace === '';
  return isClone ? name : undefined;
}

/** Whether it leaves the size to its source. */
export function asksForNoSize({ resources }: Pick<ClaimSpec, 'resources'>): boolean {
  return (quantityBytes(resources?.requests?.['storage'] ?? 0) ?? 0) === 0;
}

/**
 * The spec of a claim that asks to be completed. Whoever leaves the volume mode to the class writes `FromStorageProfile`: where none stands, kube-apiserver
 * makes it Filesystem before it asks anybody. A clone keeps the size that it says, and gets that of its source where it says none; where there is no
 * such source, Kubernetes refuses it for the missing size.
 * @returns the spec as it is where CDIConfig wants no claims completed
 */
export function completeClaim(
  { metadata, spec }: { metadata: Pick<ObjectMeta, 'annotations'>; spec: ClaimSpec },
  context: CompletionContext,
): RenderedSpec {
  if (context.cdiConfig?.spec.webhookPvcRendering === 'Disabled') return { spec };
  const size = spec.resources?.requests?.['storage'];
  // What is no quantity is for Kubernetes' own validation to refuse.
  if (size !== undefined && quantityBytes(size) === undefined) return { spec };
  const contentType = metadata.annotations?.[annotations.contentType] === 'archive' ? 'archive' : 'kubevirt';
  const wish = { ...spec, volumeMode: spec.volumeMode ?? 'Filesystem' };
  const shaped = completeModes(wish, contentType, context);
  if ('problem' in shaped) return shaped;
  if (cloneSourceNameOf(spec) === undefined) return completeSize(shaped.spec, context);
  return { spec: asksForNoSize(spec) ? withSizeOf(shaped.spec, context.cloneSource) : shaped.spec };
}

/** What the source asked for, where the target is of the same class and mode; else what the source was given. */
function withSizeOf(spec: ClaimSpec, source: Claim | undefined): ClaimSpec {
  if (source === undefined) return spec;
  const isAlike =
    source.spec.storageClassName === spec.storageClassName && volumeModeOf(source.spec) === volumeModeOf(spec);
  const asked = source.spec.resources?.requests?.['storage'];
  const sizeBytes = quantityBytes((isAlike ? undefined : source.status?.capacity?.['storage']) ?? asked ?? 0) ?? 0;
  return sizeBytes === 0 ? spec : withSize(spec, sizeBytes);
}

/** @param wish a volume mode that is missing or FromStorageProfile: any */
export function completeModes(
  wish: ClaimSpec,
  contentType: 'kubevirt' | 'archive',
  context: StorageContext,
): RenderedSpec {
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
  // An empty name asks for no class at all.
  const missing = (rest.storageClassName ?? '') === '' ? '' : `: there is no StorageClass ${rest.storageClassName}`;
  return notValid(`PVC spec is missing accessMode and no storageClass to choose profile${missing}`);
}

/** The profile of a class has its name. */
function profileOf(storageClass: StorageClass, { storageProfiles = [] }: StorageContext): StorageProfile | undefined {
  return storageProfiles.find(({ metadata }) => metadata.name === storageClass.metadata.name);
}

function applyClass(spec: ClaimSpec, storageClass: StorageClass, context: StorageContext): RenderedSpec {
  const { name } = storageClass.metadata;
  const sets = claimPropertySets(storageClass, profileOf(storageClass, context), context.provisioning);
  const modes = chooseModes(spec, sets);
  if (modes === undefined) {
    const missing = spec.volumeMode === undefined ? 'accessMode and volumeMode,' : 'accessMode and';
    return notValid(`Spec is missing ${missing} cannot get access mode from StorageProfile ${name}`);
  }
  return { spec: { ...spec, storageClassName: name, ...modes } };
}

/** @param spec with its modes */
export function completeSize(spec: ClaimSpec, context: StorageContext): RenderedSpec {
  const asked = spec.resources?.requests?.['storage'];
  if (asked === undefined) return notValid('PVC Spec is not valid - missing storage size');
  const sizeBytes = quantityBytes(asked) ?? 0;
  if (sizeBytes < smallestVolumeBytes) {
    return notValid('PVC Spec is not valid - storage size should be at least 1MiB');
  }
  const storageClass = context.storageClasses.find(({ metadata }) => metadata.name === spec.storageClassName);
  const overhead = filesystemOverheadOf(storageClass, context.cdiConfig, context.provisioning);
  const smallest = storageClass === undefined ? 0 : smallestClaimBytes(storageClass, profileOf(storageClass, context));
  return { spec: withSize(spec, Math.max(smallest, claimBytes(sizeBytes, volumeModeOf(spec), overhead))) };
}

export function withSize(spec: ClaimSpec, sizeBytes: number): ClaimSpec {
  const requests = { ...spec.resources?.requests, storage: formatBytes(sizeBytes) };
  return { ...spec, resources: { ...spec.resources, requests } };
}
