// Objects and lists in the representation that a client asked for. Plain JSON is passed on as the text that is stored.
import type { KubeObject } from '../../domain/object-store.ts';
import { apiVersionOf } from '../../domain/resources.ts';
import { objectOf, type StoredEntry } from '../store/stored-entry.ts';
import type { AcceptedType } from './media-type.ts';
import type { ServedKind } from './served-kinds.ts';
import { type IncludeObject, tableOf } from './table.ts';

export interface ListMetadata {
  resourceVersion: string;
  continue?: string;
  remainingItemCount?: number;
}

function metadataOnly(object: KubeObject): unknown {
  return { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: object.metadata };
}

export function includeOf(text: string | undefined): IncludeObject {
  return text === 'Object' || text === 'None' ? text : 'Metadata';
}

export interface Wanted {
  readonly accepted: AcceptedType;
  readonly include: IncludeObject;
}

export function listText(
  kind: ServedKind,
  entries: readonly StoredEntry[],
  metadata: ListMetadata,
  wanted: Wanted,
): string {
  const { representation } = wanted.accepted;
  if (representation === 'table') {
    return JSON.stringify(tableOf(kind, entries.map(objectOf), metadata, { include: wanted.include }));
  }
  if (representation === 'metadata') {
    const items = entries.map((entry) => metadataOnly(objectOf(entry)));
    return JSON.stringify({ kind: 'PartialObjectMetadataList', apiVersion: 'meta.k8s.io/v1', metadata, items });
  }
  const head = JSON.stringify({ kind: `${kind.ref.kind}List`, apiVersion: apiVersionOf(kind.ref), metadata });
  return `${head.slice(0, -1)},"items":[${entries.map(({ text }) => text).join(',')}]}`;
}

/** @param first whether it is the first event of a watch, which alone has the columns of a table */
export function entryText(kind: ServedKind, entry: StoredEntry, wanted: Wanted, first = true): string {
  const { representation } = wanted.accepted;
  if (representation === 'object') return entry.text;
  const object = objectOf(entry);
  if (representation === 'metadata') return JSON.stringify(metadataOnly(object));
  const metadata = { resourceVersion: String(entry.version) };
  return JSON.stringify(tableOf(kind, [object], metadata, { include: wanted.include, withColumns: first }));
}

export function objectText(kind: ServedKind, object: KubeObject, wanted: Wanted): string {
  const { representation } = wanted.accepted;
  if (representation === 'object') return JSON.stringify(object);
  if (representation === 'metadata') return JSON.stringify(metadataOnly(object));
  const metadata = { resourceVersion: object.metadata.resourceVersion ?? '' };
  return JSON.stringify(tableOf(kind, [object], metadata, { include: wanted.include }));
}
