// CDI's rules about `spec.pvc` and `spec.storage` of a DataVolume, the claim that it is to have, with its messages.
import { isDeepStrictEqual } from 'node:util';
import type { Static } from 'typebox';
import { type Cause, invalid } from './cause.ts';
import type { DataVolumeSpec } from './data-volume.ts';
import type { TypedLocalObjectReference, TypedObjectReference } from './kube-shapes.ts';
import { longestName } from './object-name.ts';
import { quantityBytes } from './quantity.ts';

/** Smallest disk that KubeVirt takes. */
export const smallestVolumeBytes = 1_048_576;

const accessModes = ['ReadOnlyMany', 'ReadWriteMany', 'ReadWriteOnce', 'ReadWriteOncePod'];

type LocalReference = Static<typeof TypedLocalObjectReference>;
type Reference = Static<typeof TypedObjectReference>;

/** Causes against the claim that is asked; the first rule that is broken ends the list. */
export function checkClaimWish(spec: DataVolumeSpec): Cause[] {
  const { pvc, storage } = spec;
  if (pvc === undefined && storage === undefined) return [invalid('spec.PVC', 'Missing Data volume PVC')];
  if (pvc !== undefined && storage !== undefined) {
    const message = 'Duplicate storage definition, both target storage and target pvc defined';
    return [invalid('spec.PVC.Storage', message)];
  }
  const size = checkSize(spec);
  if (size.length > 0) return size;
  const className = checkStorageClassName(pvc?.storageClassName ?? storage?.storageClassName);
  if (className.length > 0) return className;
  return pvc === undefined
    ? checkAccessModes(storage?.accessModes ?? [])
    : checkSingleAccessMode(pvc.accessModes ?? []);
}

/** True where somebody else fills the claim: it names a data source of its own. */
export function isExternallyPopulated(spec: DataVolumeSpec): boolean {
  const { dataSource, dataSourceRef } = dataSourcesOf(spec);
  return dataSource !== undefined || dataSourceRef !== undefined;
}

/** Causes against a claim that names a data source of its own; all of them. */
export function checkExternalPopulation(spec: DataVolumeSpec): Cause[] {
  const { dataSource, dataSourceRef } = dataSourcesOf(spec);
  const causes: Cause[] = [];
  if (spec.source !== undefined || spec.sourceRef !== undefined) {
    causes.push(invalid('spec.source', 'External population is incompatible with Source and SourceRef'));
  }
  if (dataSource !== undefined && dataSourceRef !== undefined && !isDeepStrictEqual(dataSource, dataSourceRef)) {
    causes.push(invalid('', 'DataSourceRef and DataSource must match'));
  }
  if (dataSource !== undefined) causes.push(...checkReference('dataSource', 'DataSource', dataSource));
  if (dataSourceRef !== undefined) {
    if ((dataSourceRef.namespace ?? '') !== '') {
      causes.push(invalid('spec.dataSourceRef.namespace', 'Invalid value: DataSourceRef namespace not supported'));
    }
    causes.push(...checkReference('dataSourceRef', 'DataSourceRef', dataSourceRef));
  }
  return causes;
}

function dataSourcesOf(spec: DataVolumeSpec): {
  dataSource: LocalReference | undefined;
  dataSourceRef: Reference | undefined;
} {
  const wish = spec.pvc ?? spec.storage;
  return { dataSource: wish?.dataSource ?? undefined, dataSourceRef: wish?.dataSourceRef ?? undefined };
}

function checkReference(member: string, word: string, reference: LocalReference | Reference): Cause[] {
  const field = `spec.${member}`;
  const causes: Cause[] = [];
  if (reference.name === '') causes.push(invalid(`${field}.name`, `Required value: ${word} name`));
  if (reference.kind === '') causes.push(invalid(`${field}.kind`, `Required value: ${word} kind`));
  if ((reference.apiGroup ?? '') === '' && reference.kind !== 'PersistentVolumeClaim') {
    const message = `Required value: ${word} apiGroup when kind is not 'PersistentVolumeClaim'`;
    causes.push(invalid(`${field}.apiGroup`, message));
  }
  return causes;
}

/** Only a clone through `storage` may leave the size to its source. */
function mayLackSize(spec: DataVolumeSpec): boolean {
  const isClone = spec.sourceRef !== undefined || spec.source?.pvc !== undefined || spec.source?.snapshot !== undefined;
  return spec.storage !== undefined && isClone;
}

function checkSize(spec: DataVolumeSpec): Cause[] {
  const word = spec.pvc === undefined ? 'Storage' : 'PVC';
  const field = `spec.${word}.resources.requests.size`;
  const asked = (spec.pvc ?? spec.storage)?.resources?.requests?.['storage'];
  const sizeBytes = asked === undefined ? undefined : quantityBytes(asked);
  if (sizeBytes === undefined) return mayLackSize(spec) ? [] : [invalid(field, `${word} size is missing`)];
  if (sizeBytes <= 0) return [invalid(field, `${word} size can't be equal or less than zero`)];
  return sizeBytes < smallestVolumeBytes ? [invalid(field, `${word} size should be at least 1MiB`)] : [];
}

function checkStorageClassName(name = ''): Cause[] {
  return name.length > longestName ? [invalid('', `Name cannot be longer than ${longestName} characters`)] : [];
}

function checkSingleAccessMode(modes: readonly string[]): Cause[] {
  const field = 'spec.PVC.accessModes';
  if (modes.length === 0) return [invalid(field, 'Required value: at least 1 access mode is required')];
  return modes.length > 1 ? [invalid(field, 'PVC multiple accessModes')] : checkAccessModes(modes);
}

function checkAccessModes(modes: readonly string[]): Cause[] {
  const unknown = modes.find((mode) => !accessModes.includes(mode));
  if (unknown === undefined) return [];
  const supported = accessModes.map((mode) => `"${mode}"`).join(', ');
  return [invalid('spec.PVC.accessModes', `Unsupported value: "${unknown}": supported values: ${supported}`)];
}
