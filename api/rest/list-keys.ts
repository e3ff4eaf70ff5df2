// Lists whose items have keys: strategic merge patches and server-side apply merge these by key. All other lists are one value,
// but sets, which are merged by item.
import type { ServedKind } from './served-kinds.ts';

export type ListStyle =
  | { readonly style: 'map'; readonly keys: readonly string[] }
  | { readonly style: 'set' }
  | { readonly style: 'atomic' };

const atomic: ListStyle = { style: 'atomic' };
const everywhere: Readonly<Record<string, ListStyle>> = {
  'metadata.ownerReferences': { style: 'map', keys: ['uid'] },
  'metadata.finalizers': { style: 'set' },
};
const ofCustom: Readonly<Record<string, ListStyle>> = {
  'spec.podResourceRequirements.claims': { style: 'map', keys: ['name'] },
  'status.defaultPodResourceRequirements.claims': { style: 'map', keys: ['name'] },
};
const ofCore: Readonly<Record<string, ListStyle>> = {
  'status.conditions': { style: 'map', keys: ['type'] },
};

/** @param path members joined by dots, without indexes */
export function listStyle(kind: ServedKind, path: string): ListStyle {
  const known = everywhere[path];
  if (known !== undefined) return known;
  return (kind.custom ? ofCustom : ofCore)[path] ?? atomic;
}
