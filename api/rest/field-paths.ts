// Sets of fields as server-side apply knows them: which members of an object somebody set. Written as fieldsV1: `f:name` a member, `k:{…}` an item
// of a keyed list, `v:…` an item of a set, `.` the item itself.
import { Fault } from '../../domain/fault.ts';
import { type ListStyle, listStyle } from './list-keys.ts';
import type { ServedKind } from './served-kinds.ts';

/** Elements of one path, joined: a form that can be kept in sets. */
export type FieldPath = string;

type JsonObject = Record<string, unknown>;

const separator = '\0';
/** Who manages what is worked out for each field at each write, so their number is limited. */
const mostFields = 20_000;

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
    else this.#add(path);
  }

  #add(path: FieldPath): void {
    this.paths.add(path);
    if (this.paths.size > mostFields) throw new Fault('TooLarge', `an object may have ${mostFields} fields at most`);
  }

  #members(object: JsonObject, path: FieldPath, name: string): void {
    const members = Object.entries(object);
    if (members.length === 0 && path !== '') this.#add(path);
    for (const [member, value] of members) {
      const memberName = name === '' ? member : `${name}.${member}`;
      if (!unmanaged.has(memberName)) this.collect(value, below(path, `f:${member}`), memberName);
    }
  }

  #items(items: readonly unknown[], path: FieldPath, name: string): void {
    const style = listStyle(this.#kind, name);
    if (style.style === 'atomic') {
      this.#add(path);
      return;
    }
    for (const item of items) {
      const element = itemElement(style, item);
      if (element === undefined) continue;
      this.#add(below(path, element));
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

type ListIndex = Map<string | undefined, unknown>;

/** Keys of items come from clients; one that cannot be read names nothing. */
function parsedKey(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Reads many fields of one object, which does not change meanwhile: lists are looked through once, not once a field. */
export class FieldReader {
  readonly #object: unknown;
  readonly #indexes = new Map<object, Map<string, ListIndex>>();

  constructor(object: unknown) {
    this.#object = object;
  }

  valueAt(path: FieldPath): unknown {
    let value = this.#object;
    for (const element of elementsOf(path)) value = this.step(value, element);
    return value;
  }

  step(value: unknown, element: string): unknown {
    const text = element.slice(2);
    if (element.startsWith('f:')) return isObject(value) && Object.hasOwn(value, text) ? value[text] : undefined;
    if (!Array.isArray(value)) return undefined;
    const wanted = parsedKey(text);
    if (element.startsWith('v:'))
      return this.#index(value, { style: 'set' }).get(itemElement({ style: 'set' }, wanted));
    if (!isObject(wanted)) return undefined;
    const style: ListStyle = { style: 'map', keys: Object.keys(wanted) };
    return this.#index(value, style).get(itemElement(style, wanted));
  }

  #index(list: readonly unknown[], style: ListStyle): ListIndex {
    const styles = this.#indexes.get(list) ?? new Map<string, ListIndex>();
    this.#indexes.set(list, styles);
    const styleName = style.style === 'map' ? JSON.stringify(style.keys) : '';
    const known = styles.get(styleName);
    if (known !== undefined) return known;
    // The first of several that are the same counts.
    const made = new Map(list.toReversed().map((item) => [itemElement(style, item), item]));
    styles.set(styleName, made);
    return made;
  }
}

/** What is to go from one value: all of it, or parts of it by element. */
interface Removal {
  whole: boolean;
  readonly parts: Map<string, Removal>;
}

function removalOf(paths: Iterable<FieldPath>): Removal {
  const root: Removal = { whole: false, parts: new Map() };
  for (const path of paths) {
    let node = root;
    for (const element of elementsOf(path)) {
      const next: Removal = node.parts.get(element) ?? { whole: false, parts: new Map() };
      node.parts.set(element, next);
      node = next;
    }
    node.whole = true;
  }
  return root;
}

function reduced(reader: FieldReader, value: unknown, removal: Removal, depth: number): unknown {
  if (removal.whole) return undefined;
  if (Array.isArray(value)) {
    const touched = new Map([...removal.parts].map(([element, part]) => [reader.step(value, element), part] as const));
    return value.flatMap((item: unknown) => {
      const part = touched.get(item);
      const next = part === undefined ? item : reduced(reader, item, part, depth + 1);
      return next === undefined ? [] : [next];
    });
  }
  if (!isObject(value)) return value;
  const members = new Map(Object.entries(value));
  for (const [element, part] of removal.parts) {
    const name = element.slice(2);
    if (!members.has(name)) continue;
    const next = reduced(reader, members.get(name), part, depth + 1);
    const empties = next === undefined || (isObject(next) && Object.keys(next).length === 0 && depth > 0);
    if (empties) members.delete(name);
    else members.set(name, next);
  }
  return Object.fromEntries(members);
}

/** A copy without what the paths name; parents that become empty by it go too, but not the top members. */
export function withoutPaths(object: unknown, paths: Iterable<FieldPath>): unknown {
  return reduced(new FieldReader(object), object, removalOf(paths), 0);
}

/** The paths and all that they lie below. */
export function withParents(paths: Iterable<FieldPath>): Set<FieldPath> {
  const all = new Set<FieldPath>();
  for (const path of paths) {
    for (
      let part = path;
      part !== '' && !all.has(part);
      part = part.slice(0, Math.max(0, part.lastIndexOf(separator)))
    ) {
      all.add(part);
    }
  }
  return all;
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
export function decodeFields(fields: unknown): Set<FieldPath> {
  const paths = new Set<FieldPath>();
  decodeInto(paths, fields, '');
  return paths;
}

function decodeInto(paths: Set<FieldPath>, fields: unknown, path: FieldPath): void {
  if (!isObject(fields)) return;
  const entries = Object.entries(fields);
  if (path !== '' && (entries.length === 0 || Object.hasOwn(fields, '.'))) paths.add(path);
  for (const [element, node] of entries) {
    if (/^[fkv]:/.test(element)) decodeInto(paths, node, below(path, element));
  }
}

/** As messages show it: `.spec.storage`, `.status.conditions[type="Ready"]`. */
export function shownPath(path: FieldPath): string {
  return elementsOf(path)
    .map((element) => {
      const text = element.slice(2);
      if (element.startsWith('f:')) return `.${text}`;
      if (element.startsWith('v:')) return `[=${text}]`;
      const keys = parsedKey(text);
      const pairs = isObject(keys) ? Object.entries(keys) : [];
      return `[${pairs.map(([key, value]) => `${key}=${JSON.stringify(value)}`).join(',')}]`;
    })
    .join('');
}
