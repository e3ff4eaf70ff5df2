// Sets of fields as server-side apply knows them: which members of an object somebody set. Written as fieldsV1: `f:name` a member, `k:{…}` an item
// of a keyed list, `v:…` an item of a set, `.` the item itself.
import { isDeepStrictEqual } from 'node:util';
import { type ListStyle, listStyle } from './list-keys.ts';
import type { ServedKind } from './served-kinds.ts';

/** Elements of one path, joined: a form that can be kept in sets. */
export type FieldPath = string;

type JsonObject = Record<string, unknown>;

const separator = '\0';

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function elementsOf(path: FieldPath): string[] {
  return path.split(separator);
}

function below(path: FieldPath, element: string): FieldPath {
  return path === '' ? element : `${path}${separator}${element}`;
}

/** Members that no manager owns. */
const unmanaged = new Set([
  'apiVersion',
  'kind',
  ...['name', 'namespace', 'generateName', 'uid', 'resourceVersion', 'generation', 'creationTimestamp', 'selfLink'].map(
    (name) => `metadata.${name}`,
  ),
  ...['deletionTimestamp', 'deletionGracePeriodSeconds', 'managedFields'].map((name) => `metadata.${name}`),
]);

export function itemElement(style: ListStyle, item: unknown): string | undefined {
  if (style.style === 'set') return `v:${JSON.stringify(item)}`;
  if (style.style !== 'map' || !isObject(item)) return undefined;
  const keys = style.keys.toSorted().map((key) => [key, item[key]] as const);
  return `k:${JSON.stringify(Object.fromEntries(keys))}`;
}

class Collector {
  readonly paths = new Set<FieldPath>();
  readonly #kind: ServedKind;

  constructor(kind: ServedKind) {
    this.#kind = kind;
  }

  collect(value: unknown, path: FieldPath, name: string): void {
    if (isObject(value)) this.#members(value, path, name);
    else if (Array.isArray(value)) this.#items(value, path, name);
    else this.paths.add(path);
  }

  #members(object: JsonObject, path: FieldPath, name: string): void {
    const members = Object.entries(object);
    if (members.length === 0 && path !== '') this.paths.add(path);
    for (const [member, value] of members) {
      const memberName = name === '' ? member : `${name}.${member}`;
      if (!unmanaged.has(memberName)) this.collect(value, below(path, `f:${member}`), memberName);
    }
  }

  #items(items: readonly unknown[], path: FieldPath, name: string): void {
    const style = listStyle(this.#kind, name);
    if (style.style === 'atomic') {
      this.paths.add(path);
      return;
    }
    for (const item of items) {
      const element = itemElement(style, item);
      if (element === undefined) continue;
      this.paths.add(below(path, element));
      if (style.style === 'map') this.collect(item, below(path, element), name);
    }
  }
}

/** @param part only the status, or all but the status where the kind has a path for it */
export function fieldPathsOf(kind: ServedKind, object: object, part: 'object' | 'status'): Set<FieldPath> {
  const collector = new Collector(kind);
  const members = Object.entries(object).filter(
    ([name]) => (part === 'status') === (name === 'status') || !kind.statusPath,
  );
  collector.collect(Object.fromEntries(members), '', '');
  return collector.paths;
}

function step(value: unknown, element: string): unknown {
  const text = element.slice(2);
  if (element.startsWith('f:')) return isObject(value) ? value[text] : undefined;
  if (!Array.isArray(value)) return undefined;
  const wanted: unknown = JSON.parse(text);
  if (element.startsWith('v:')) return value.find((item) => isDeepStrictEqual(item, wanted));
  if (!isObject(wanted)) return undefined;
  return value.find((item) => isObject(item) && Object.entries(wanted).every(([key, given]) => item[key] === given));
}

export function valueAt(object: unknown, path: FieldPath): unknown {
  return elementsOf(path).reduce(step, object);
}

/** A copy without what the path names; parents that become empty by it go too, but not the top members. */
export function withoutPath(object: unknown, elements: readonly string[], depth = 0): unknown {
  const [element, ...rest] = elements;
  if (element === undefined) return undefined;
  if (Array.isArray(object)) {
    const target = step(object, element);
    const next = rest.length === 0 ? undefined : withoutPath(target, rest, depth + 1);
    return object.flatMap((item) => (item === target ? (next === undefined ? [] : [next]) : [item]));
  }
  if (!isObject(object)) return object;
  const name = element.slice(2);
  if (!Object.hasOwn(object, name)) return object;
  const { [name]: member, ...others } = object;
  const next = rest.length === 0 ? undefined : withoutPath(member, rest, depth + 1);
  const empties = next === undefined || (isObject(next) && Object.keys(next).length === 0 && depth > 0);
  return empties ? others : { ...object, [name]: next };
}

type FieldsV1 = { [element: string]: FieldsV1 };

export function encodeFields(paths: Iterable<FieldPath>): FieldsV1 {
  const root: FieldsV1 = {};
  for (const path of [...paths].sort()) {
    let node = root;
    for (const element of elementsOf(path)) {
      node[element] ??= {};
      node = node[element];
    }
    if (path.split(separator).at(-1)?.startsWith('k:')) node['.'] = {};
  }
  return root;
}

/** @param fields of unknown origin: what is not of the form is left out */
export function decodeFields(fields: unknown, path: FieldPath = ''): Set<FieldPath> {
  if (!isObject(fields)) return new Set();
  const entries = Object.entries(fields);
  const own = path !== '' && (entries.length === 0 || Object.hasOwn(fields, '.')) ? [path] : [];
  const deeper = entries
    .filter(([element]) => /^[fkv]:/.test(element))
    .flatMap(([element, node]) => [...decodeFields(node, below(path, element))]);
  return new Set([...own, ...deeper]);
}

/** As messages show it: `.spec.storage`, `.status.conditions[type="Ready"]`. */
export function shownPath(path: FieldPath): string {
  return elementsOf(path)
    .map((element) => {
      const text = element.slice(2);
      if (element.startsWith('f:')) return `.${text}`;
      if (element.startsWith('v:')) return `[=${text}]`;
      const keys: unknown = JSON.parse(text);
      const pairs = isObject(keys) ? Object.entries(keys) : [];
      return `[${pairs.map(([key, value]) => `${key}=${JSON.stringify(value)}`).join(',')}]`;
    })
    .join('');
}
