// What a DataSource stands for: a claim or a snapshot, or what another DataSource of its namespace stands for, one step and no further. A DataVolume that
// names one clones what it stood for when the DataVolume was made and its maker's right to clone that was looked at; so a DataSource that moves on, or is
// moved elsewhere by somebody, changes nothing of a clone that waits.
import { annotations } from './annotations.ts';
import { type Cause, invalid } from './cause.ts';
import type { DataSource } from './custom-resources/data-source.ts';
import type { DataVolume } from './data-volume.ts';

export interface Place {
  readonly namespace: string;
  readonly name: string;
}

/** One member is set. */
export interface NamedSource {
  readonly pvc?: Place;
  readonly snapshot?: Place;
}

/** Reason and message of the condition Ready, in CDI's words. */
export interface NamingProblem {
  readonly reason: string;
  readonly message: string;
}

/** The DataSource that this one refers to. */
export function referenceOf({ metadata, spec }: DataSource): Place | undefined {
  const { dataSource } = spec.source;
  if (dataSource === undefined) return undefined;
  return { ...dataSource, namespace: dataSource.namespace || (metadata.namespace ?? '') };
}

/** @param referenced the one that it refers to, if it is there */
export function sourceNamedBy(
  dataSource: DataSource,
  referenced: DataSource | undefined,
): { source: NamedSource } | { problem: NamingProblem } {
  const reference = referenceOf(dataSource);
  if (reference === undefined) return ownSource(dataSource);
  const { namespace = '', name } = dataSource.metadata;
  if (reference.namespace !== namespace) {
    return problem('CrossNamespaceReference', 'DataSource cannot reference a DataSource in another namespace');
  }
  if (reference.name === name) return problem('SelfReference', 'DataSource cannot self-reference');
  if (referenced === undefined) return problem('NotFound', 'DataSource not found');
  if (referenceOf(referenced) !== undefined) {
    return problem('MaxReferenceDepthReached', 'DataSource reference chain exceeds maximum depth of 1');
  }
  return ownSource(referenced);
}

function ownSource({ metadata, spec }: DataSource): { source: NamedSource } | { problem: NamingProblem } {
  const { pvc, snapshot } = spec.source;
  const whole = (named: Place): Place => ({ ...named, namespace: named.namespace || (metadata.namespace ?? '') });
  if (pvc !== undefined) return { source: { pvc: whole(pvc) } };
  if (snapshot !== undefined) return { source: { snapshot: whole(snapshot) } };
  return problem('NoSource', 'No source PVC set');
}

function problem(reason: string, message: string): { problem: NamingProblem } {
  return { problem: { reason, message } };
}

/** The DataSource that a DataVolume names. */
export function sourceRefOf({ metadata, spec }: DataVolume): Place | undefined {
  const { sourceRef } = spec;
  if (sourceRef === undefined || spec.source !== undefined) return undefined;
  return { namespace: sourceRef.namespace || (metadata.namespace ?? ''), name: sourceRef.name };
}

/** Looks a DataSource up, and the one that it refers to. */
export type FindDataSource = (place: Place) => Promise<DataSource | undefined>;

/** What the DataVolume names now, or why a new one that names it is refused, as CDI does. @returns undefined where it names no DataSource */
export async function lookUpSourceRef(
  dataVolume: DataVolume,
  find: FindDataSource,
): Promise<{ source: NamedSource } | { causes: Cause[] } | undefined> {
  const place = sourceRefOf(dataVolume);
  if (place === undefined) return undefined;
  const dataSource = await find(place);
  if (dataSource === undefined) {
    const message = `SourceRef DataSource/${place.namespace}/${place.name} not found`;
    return { causes: [{ type: 'FieldValueNotFound', field: 'spec.sourceRef', message }] };
  }
  const reference = referenceOf(dataSource);
  const named = sourceNamedBy(dataSource, reference === undefined ? undefined : await find(reference));
  if ('source' in named) return named;
  const message = `Empty source field in '${place.name}'. DataSource may not be ready yet`;
  return { causes: [invalid('spec.sourceRef', message)] };
}

/** The DataVolume as if it named that source itself. */
export function withSource(dataVolume: DataVolume, source: NamedSource): DataVolume {
  const { sourceRef: _named, ...spec } = dataVolume.spec;
  return { ...dataVolume, spec: { ...spec, source } };
}

/** As the annotation keeps it: `pvc/namespace/name`. */
export function formatNamedSource({ pvc, snapshot }: NamedSource): string {
  const [kind, place] = pvc === undefined ? ['snapshot', snapshot] : ['pvc', pvc];
  return `${kind}/${place?.namespace ?? ''}/${place?.name ?? ''}`;
}

/** @returns undefined for what is none */
export function parseNamedSource(text: string): NamedSource | undefined {
  const [kind, namespace, name, ...rest] = text.split('/');
  if (!namespace || !name || rest.length > 0) return undefined;
  const place = { namespace, name };
  if (kind === 'pvc') return { pvc: place };
  return kind === 'snapshot' ? { snapshot: place } : undefined;
}

/** The DataVolume with the source that was found for it when it was made; as it is where it names its source itself, or where none was found. */
export function withFoundSource(dataVolume: DataVolume): DataVolume {
  if (sourceRefOf(dataVolume) === undefined) return dataVolume;
  const found = parseNamedSource(dataVolume.metadata.annotations?.[annotations.cloneSource] ?? '');
  return found === undefined ? dataVolume : withSource(dataVolume, found);
}
