// By which fields each kind may be selected, as kube-apiserver has it.
import { parseFieldSelector } from '../store/selectors.ts';
import { badRequest } from './kube-status.ts';
import type { ServedKind } from './served-kinds.ts';

const ofAll = ['metadata.name', 'metadata.namespace'];

const ofEvents = [
  ...['kind', 'namespace', 'name', 'uid', 'apiVersion', 'resourceVersion', 'fieldPath'].map(
    (member) => `involvedObject.${member}`,
  ),
  ...['reason', 'reportingComponent', 'source', 'type'],
];

const ofKind: Readonly<Record<string, readonly string[]>> = {
  events: ofEvents,
  namespaces: ['status.phase'],
  secrets: ['type'],
};

/** @throws Fault MalformedRequest where the selector cannot be read or names a field that the kind is not selected by */
export function requireFieldLabels({ ref, custom }: ServedKind, selector: string): void {
  const known = new Set([...ofAll, ...(custom ? [] : (ofKind[ref.plural] ?? []))]);
  for (const { path } of parseFieldSelector(selector)) {
    const label = path.join('.');
    if (!known.has(label)) throw badRequest(`field label not supported: ${label}`);
  }
}
