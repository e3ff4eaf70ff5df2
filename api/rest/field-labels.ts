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

/** Where a field lies whose label is another. */
const fields: Readonly<Record<string, string>> = { source: 'source.component' };

/**
 * The selector by the fields of the stored object.
 * @throws Fault MalformedRequest where it cannot be read or names a field that the kind is not selected by
 */
export function selectorByFields({ ref, custom }: ServedKind, selector: string): string {
  const known = new Set([...ofAll, ...(custom ? [] : (ofKind[ref.plural] ?? []))]);
  const requirements = parseFieldSelector(selector).map(({ path, equal, value }) => {
    const label = path.join('.');
    if (!known.has(label)) throw badRequest(`field label not supported: ${label}`);
    return `${fields[label] ?? label}${equal ? '=' : '!='}${value}`;
  });
  return requirements.join(',');
}
