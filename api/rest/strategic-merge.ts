// Strategic merge patch of Kubernetes' own kinds: a merge patch that also merges keyed lists, with the directives $patch, $retainKeys,
// $deleteFromPrimitiveList and $setElementOrder (the order of untouched items is kept, as far as our lists need it).
import { badRequest } from './kube-status.ts';
import { type ListStyle, listStyle } from './list-keys.ts';
import type { ServedKind } from './served-kinds.ts';

type JsonObject = Record<string, unknown>;

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function asList(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function withoutDirectives(patch: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(patch).filter(([name]) => !name.startsWith('$')));
}

class Merge {
  readonly #kind: ServedKind;

  constructor(kind: ServedKind) {
    this.#kind = kind;
  }

  objects(target: JsonObject, patch: JsonObject, path: string): JsonObject {
    if (patch['$patch'] === 'replace') return withoutDirectives(patch);
    const retained = patch['$retainKeys'];
    const start = Object.entries(target).filter(([name]) => !Array.isArray(retained) || retained.includes(name));
    const merged = new Map<string, unknown>(start);
    for (const [name, value] of Object.entries(patch)) {
      if (name.startsWith('$deleteFromPrimitiveList/')) this.#drop(merged, name.slice(25), value);
      if (name.startsWith('$')) continue;
      const below = path === '' ? name : `${path}.${name}`;
      if (value === null || (isObject(value) && value['$patch'] === 'delete')) merged.delete(name);
      else merged.set(name, this.#value(merged.get(name), value, below));
    }
    return Object.fromEntries(merged);
  }

  #value(target: unknown, patch: unknown, path: string): unknown {
    if (isObject(patch)) return this.objects(isObject(target) ? target : {}, patch, path);
    if (Array.isArray(patch)) return this.#lists(asList(target), patch, listStyle(this.#kind, path), path);
    return patch;
  }

  #lists(target: unknown[], patch: unknown[], style: ListStyle, path: string): unknown[] {
    if (style.style === 'atomic') return patch;
    if (style.style === 'set') return [...new Set([...target, ...patch])];
    return this.#keyed(target, patch, style.keys, path);
  }

  #keyed(target: unknown[], patch: unknown[], keys: readonly string[], path: string): unknown[] {
    const same = (a: JsonObject) => (b: unknown) => isObject(b) && keys.every((key) => b[key] === a[key]);
    const items = patch.filter(isObject);
    if (items.some((item) => item['$patch'] === 'replace')) return items.filter((item) => item['$patch'] !== 'replace');
    let merged = [...target];
    for (const item of items) {
      const index = merged.findIndex(same(item));
      const former = merged[index];
      if (item['$patch'] === 'delete') merged = merged.filter((other) => !same(item)(other));
      else if (isObject(former)) merged[index] = this.objects(former, item, path);
      else if (keys.some((key) => item[key] === undefined)) {
        throw badRequest(`map: ${JSON.stringify(item)} does not contain declared merge key: ${keys.join(', ')}`);
      } else merged.push(withoutDirectives(item));
    }
    return merged;
  }

  #drop(merged: Map<string, unknown>, name: string, dropped: unknown): void {
    const gone = new Set(asList(dropped));
    merged.set(
      name,
      asList(merged.get(name)).filter((item) => !gone.has(item)),
    );
  }
}

/** @throws Fault MalformedRequest where an item lacks its key */
export function strategicMerge(kind: ServedKind, target: object, patch: object): unknown {
  return new Merge(kind).objects({ ...target }, { ...patch }, '');
}
