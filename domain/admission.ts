// Whether a DataVolume may be created or changed: CDI's validating rules with its messages, as pure functions of the object and of
// what the caller looked up. Its shape was checked before, by data-volume-shape.ts.
import { isDeepStrictEqual } from 'node:util';
import { checkClaimWish, checkExternalPopulation, isExternallyPopulated } from './admission-claim.ts';
import { checkChecksum, checkSource, checkSourceRef } from './admission-source.ts';
import { annotations } from './annotations.ts';
import { type Cause, invalid } from './cause.ts';
import { formatChecksum, parseChecksum } from './checksum.ts';
import type { CdiConfig } from './custom-resources/cdi-config.ts';
import type { DataVolume, DataVolumeSpec } from './data-volume.ts';
import type { Claim } from './kube-shapes.ts';
import { longestName } from './object-name.ts';
import { checkPreallocateWish } from './preallocate-wish.ts';
import { parseQuantity } from './quantity.ts';

/** What is asked for, and what the caller found beside it. */
export type DataVolumeLookups =
  | {
      readonly operation: 'create';
      /** The claim of that namespace and name, if there is one. */
      readonly claim?: Claim | undefined;
      /** Whether the feature gate DataVolumeClaimAdoption is on. */
      readonly adoptsClaims?: boolean;
    }
  | { readonly operation: 'update'; readonly former: DataVolume };

/** @returns why it is refused; empty where it is not. The order and the texts are CDI's. */
export function validateDataVolume(dataVolume: DataVolume, lookups: DataVolumeLookups): Cause[] {
  const first =
    lookups.operation === 'update'
      ? checkUnchanged(lookups.former.spec, dataVolume.spec)
      : checkClaim(dataVolume, lookups.claim, lookups.adoptsClaims ?? false);
  const name = checkLength(dataVolume.metadata.name);
  // CDI looks at the name before the claim, but after a changed spec.
  const [before, after] = lookups.operation === 'update' ? [first, name] : [name, first];
  if (before.length > 0) return before;
  if (after.length > 0) return after;
  const spec = checkSpec(dataVolume.spec);
  if (spec.length > 0) return spec;
  return [...checkPreallocateWish(dataVolume.metadata), ...checkChecksumWish(dataVolume)];
}

/** Whether the feature gate DataVolumeClaimAdoption is on. */
export function adoptsClaims(config: CdiConfig | undefined): boolean {
  return config?.spec.featureGates?.includes('DataVolumeClaimAdoption') ?? false;
}

/**
 * Whether a claim that exists already may become the one of a DataVolume: one that was filled for it, else by its annotation, else by the gate.
 * @param gate adoptsClaims()
 */
export function mayAdoptClaim(dataVolume: DataVolume, claim: Claim, gate: boolean): boolean {
  if (claim.metadata.annotations?.[annotations.populatedFor] === dataVolume.metadata.name) return true;
  const createdFor = claim.metadata.annotations?.[annotations.createdForDataVolume];
  if (createdFor !== undefined && createdFor === (dataVolume.metadata.uid ?? '')) return false;
  const wish = dataVolume.metadata.annotations?.[annotations.allowClaimAdoption];
  return wish === undefined ? gate : isTrue(wish);
}

/** Texts that Go's ParseBool takes for true. */
function isTrue(text: string): boolean {
  return ['1', 't', 'T', 'true', 'TRUE', 'True'].includes(text);
}

function checkLength(name: string): Cause[] {
  return name.length > longestName ? [invalid('', `Name cannot be longer than ${longestName} characters`)] : [];
}

function checkClaim(dataVolume: DataVolume, claim: Claim | undefined, gate: boolean): Cause[] {
  if (claim === undefined || mayAdoptClaim(dataVolume, claim, gate)) return [];
  const owner = claim.metadata.ownerReferences?.find((reference) => reference.controller === true);
  if (owner?.kind === 'DataVolume') return [];
  const { namespace = '', name } = claim.metadata;
  const message = `Destination PVC ${namespace}/${name} already exists`;
  return [{ type: 'FieldValueDuplicate', field: 'DataVolume.Name', message }];
}

/** The spec never changes, but for the checkpoints of an import in several stages; one that was lost with its store is told again. */
function checkUnchanged(former: DataVolumeSpec, next: DataVolumeSpec): Cause[] {
  if (Object.keys(former).length === 0) return [];
  const inStages =
    (next.checkpoints ?? []).length > 0 && (next.source?.vddk !== undefined || next.source?.imageio !== undefined);
  const compared = (spec: DataVolumeSpec): unknown => sameForm(inStages ? withoutCheckpoints(spec) : spec);
  if (isDeepStrictEqual(compared(former), compared(next))) return [];
  return [{ type: 'FieldValueDuplicate', field: 'DataVolume.Spec', message: 'Cannot update DataVolume Spec' }];
}

function withoutCheckpoints(spec: DataVolumeSpec): DataVolumeSpec {
  const { checkpoints: _checkpoints, finalCheckpoint: _finalCheckpoint, ...rest } = spec;
  return rest;
}

/** A spec in one form: what means the same to Kubernetes (1Gi and 1024Mi, an empty list and none) looks the same. */
export function sameForm(spec: object): unknown {
  const text = JSON.stringify(spec, (name, value: unknown) => {
    if (name === 'requests' || name === 'limits') return sameQuantities(value);
    if (Array.isArray(value) && value.length === 0) return undefined;
    return value === '' || (name === 'finalCheckpoint' && value === false) ? undefined : value;
  });
  return JSON.parse(text);
}

function sameQuantities(list: unknown): unknown {
  if (typeof list !== 'object' || list === null) return list;
  const entries = Object.entries(list).map(([name, value]: [string, unknown]) => {
    const quantity = typeof value === 'string' || typeof value === 'number' ? parseQuantity(value) : undefined;
    return [name, quantity === undefined ? value : String(quantity.nano)];
  });
  return Object.fromEntries(entries);
}

function checkSpec(spec: DataVolumeSpec): Cause[] {
  const claim = checkClaimWish(spec);
  if (claim.length > 0) return claim;
  if (isExternallyPopulated(spec)) return checkExternalPopulation(spec);
  const { source, sourceRef } = spec;
  if (sourceRef !== undefined && source === undefined) return checkSourceRef(sourceRef);
  if (source !== undefined && sourceRef === undefined) return checkSource(source, spec.contentType);
  const message = 'Data volume should have either Source or SourceRef, or be externally populated';
  return [invalid('spec.source', message)];
}

/** Sources whose bytes pass and are hashed. Of a container image these are the bytes of the disk's file in it. */
const compared = ['http', 's3', 'gcs', 'registry', 'upload'] as const;

/**
 * The annotation longshore.dev/checksum, for clients that cannot write `http.checksum` or that upload. It is refused where no bytes
 * are fetched that it could be compared with, so that nobody believes in a check that never happens.
 */
function checkChecksumWish(dataVolume: DataVolume): Cause[] {
  const wish = dataVolume.metadata.annotations?.[annotations.checksum];
  if (wish === undefined) return [];
  const field = `metadata.annotations[${annotations.checksum}]`;
  const format = checkChecksum(field, wish);
  if (format.length > 0) return format;
  const source = dataVolume.spec.source ?? {};
  if (!compared.some((kind) => source[kind] !== undefined)) {
    return [invalid(field, `${annotations.checksum} is only for sources ${compared.join(', ')}`)];
  }
  const other = source.http?.checksum ?? '';
  const same = other === '' || isDeepStrictEqual(parseChecksum(other), parseChecksum(wish));
  return same ? [] : [invalid(field, `${annotations.checksum} and spec.source.http.checksum must match`)];
}

/** The checksum that the bytes of the source must have, `algorithm:hex` in lower case. @returns undefined where none is asked */
export function checksumWish(dataVolume: DataVolume): string | undefined {
  const given = dataVolume.spec.source?.http?.checksum ?? '';
  const text = given === '' ? dataVolume.metadata.annotations?.[annotations.checksum] : given;
  const parsed = text === undefined ? undefined : parseChecksum(text);
  return parsed !== undefined && 'checksum' in parsed ? formatChecksum(parsed.checksum) : undefined;
}
