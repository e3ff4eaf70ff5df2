// One stored object: its JSON text, as written to disk and to clients, with what is looked at often beside it. Entries never change.
import type { KubeObject, ListOptions, ResourceRef } from '../../domain/object-store.ts';
import {
  type FieldRequirement,
  type Labels,
  matchesFields,
  parseFieldSelector,
  parseLabelSelector,
} from './selectors.ts';

export interface StoredEntry {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly version: number;
  readonly labels: Labels;
  /** Uids of the objects that own it. */
  readonly owners: readonly string[];
  readonly text: string;
  /** Of the text in UTF-8. */
  readonly sizeBytes: number;
}

export function collectionOf(resource: ResourceRef): string {
  return `${resource.group}/${resource.plural}`;
}

export function entryOf(object: KubeObject, version: number, text = JSON.stringify(object)): StoredEntry {
  const { namespace = '', name, uid = '', labels = {}, ownerReferences = [] } = object.metadata;
  const owners = ownerReferences.map((owner) => owner.uid);
  return { namespace, name, uid, version, labels, owners, text, sizeBytes: Buffer.byteLength(text) };
}

/** A fresh copy that the caller may change. */
export function objectOf<T extends KubeObject>(entry: StoredEntry): T {
  // Safe: entries are made from objects of this collection only, by entryOf.
  return JSON.parse(entry.text) as T;
}

const ofMetadata = new Set(['metadata.name', 'metadata.namespace']);

function matchesEntryFields(entry: StoredEntry, requirements: readonly FieldRequirement[]): boolean {
  const cheap = requirements.every(({ path }) => ofMetadata.has(path.join('.')));
  const object = cheap ? { metadata: { name: entry.name, namespace: entry.namespace } } : objectOf(entry);
  return matchesFields(object, requirements);
}

/** @throws Fault MalformedRequest where a selector cannot be read */
export function entryMatcher(options: ListOptions): (entry: StoredEntry) => boolean {
  const labels = options.labelSelector ? parseLabelSelector(options.labelSelector) : undefined;
  const fields = options.fieldSelector ? parseFieldSelector(options.fieldSelector) : undefined;
  return (entry) =>
    (options.namespace === undefined || entry.namespace === options.namespace) &&
    (labels === undefined || labels(entry.labels)) &&
    (fields === undefined || matchesEntryFields(entry, fields));
}
