// Names and namespaces of objects that are to be created, and the names that any write gives to labels and annotations.
import { isDeepStrictEqual } from 'node:util';
import { type Cause, invalid } from '../../domain/cause.ts';
import { Fault } from '../../domain/fault.ts';
import { checkLabelsAndAnnotations } from '../../domain/metadata-names.ts';
import { checkName, namespaceProblem } from '../../domain/object-name.ts';
import type { KubeObject } from '../../domain/object-store.ts';
import { resources } from '../../domain/resources.ts';
import type { SqliteStore } from '../store/sqlite-store.ts';
import { objectOf } from '../store/stored-entry.ts';
import { Refusal, refusedShape } from './kube-status.ts';
import type { ServedKind } from './served-kinds.ts';

function namespaceNameCauses(name: string): Cause[] {
  const problem = name === '' ? undefined : namespaceProblem(name);
  return problem === undefined ? [] : [invalid('metadata.name', `Invalid value: ${JSON.stringify(name)}: ${problem}`)];
}

/** @throws Fault InvalidRequest */
export function validateName(kind: ServedKind, object: KubeObject): void {
  const { name = '' } = object.metadata;
  const isNamespace = kind.ref.plural === 'namespaces';
  const own = isNamespace ? namespaceNameCauses(name) : [];
  const causes = own.length > 0 ? own : checkName(object.metadata);
  if (causes.length > 0) throw refusedShape(kind.ref, name, causes);
}

/**
 * What is stored already may stay as it is: it may be older than the rule.
 * @throws Fault InvalidRequest
 */
export function validateMetadata(kind: ServedKind, { metadata }: KubeObject, stored: KubeObject | undefined): void {
  const { name = '', labels, annotations } = metadata;
  const causes = checkLabelsAndAnnotations({
    labels: isDeepStrictEqual(labels, stored?.metadata.labels) ? undefined : labels,
    annotations: isDeepStrictEqual(annotations, stored?.metadata.annotations) ? undefined : annotations,
  });
  if (causes.length > 0) throw refusedShape(kind.ref, name, causes);
}

/** @throws Fault NotFound where the namespace is missing, Forbidden where it is being deleted */
export function requireNamespace(store: SqliteStore, kind: ServedKind, namespace: string | undefined): void {
  if (!kind.ref.namespaced) return;
  const name = namespace ?? '';
  const entry = store.entry(resources.namespaces, { name });
  if (entry === undefined) {
    throw new Refusal('NotFound', `namespaces "${name}" not found`, { name, kind: 'namespaces' });
  }
  if (objectOf(entry).metadata.deletionTimestamp !== undefined) {
    throw new Fault('Forbidden', `unable to create new content in namespace ${name} because it is being terminated`);
  }
}
