// Server-side apply (structured merge): what the configuration names is set, what its manager named last time and does not name now is removed unless somebody
// else set it too, and what another manager set otherwise is a conflict. Lists are one value but keyed lists and sets (list-keys.ts).
import { isDeepStrictEqual } from 'node:util';
import type { KubeObject } from '../../domain/object-store.ts';
import type { FieldManager } from './field-manager.ts';
import {
  elementsOf,
  type FieldPath,
  FieldReader,
  fieldPathsOf,
  itemElement,
  shownPath,
  withoutPaths,
  withParents,
} from './field-paths.ts';
import { Refusal, type StatusCause } from './kube-status.ts';
import { listStyle } from './list-keys.ts';
import { isRecord } from './read-object.ts';
import type { ServedKind } from './served-kinds.ts';

export interface ApplyPlan {
  readonly object: KubeObject;
  /** What the manager owns from now on. */
  readonly fields: ReadonlySet<FieldPath>;
  /** What others lose to it. */
  readonly taken: ReadonlySet<FieldPath>;
}

interface Clash {
  readonly by: FieldManager;
  readonly path: FieldPath;
}

function clashesOf(
  stored: KubeObject,
  wanted: KubeObject,
  fields: ReadonlySet<FieldPath>,
  others: readonly FieldManager[],
): Clash[] {
  const [former, next] = [new FieldReader(stored), new FieldReader(wanted)];
  return others.flatMap((by) =>
    [...by.fields]
      .filter((path) => fields.has(path) && !elementsOf(path).at(-1)?.startsWith('k:'))
      .filter((path) => !isDeepStrictEqual(former.valueAt(path), next.valueAt(path)))
      .map((path) => ({ by, path })),
  );
}

function describeManager({ manager, apiVersion, subresource }: FieldManager): string {
  return `"${manager}"${subresource === '' ? '' : ` with subresource "${subresource}"`} using ${apiVersion}`;
}

/** As kube-apiserver words it: one line for one conflict, else a list by manager. */
function conflictMessage(clashes: readonly Clash[]): string {
  const groups = [...Map.groupBy(clashes, ({ by }) => describeManager(by))];
  const lines = groups.map(([manager, group]) => {
    const paths = group.map(({ path }) => shownPath(path));
    return paths.length === 1
      ? `conflict with ${manager}: ${paths[0]}`
      : `conflicts with ${manager}:\n${paths.map((path) => `- ${path}`).join('\n')}`;
  });
  const count = clashes.length === 1 ? '1 conflict' : `${clashes.length} conflicts`;
  return `Apply failed with ${count}: ${lines.join('\n')}`;
}

function refuse(clashes: readonly Clash[]): never {
  const causes: StatusCause[] = clashes.map(({ by, path }) => ({
    reason: 'FieldManagerConflict',
    message: `conflict with ${describeManager(by)}`,
    field: shownPath(path),
  }));
  throw new Refusal('Conflict', conflictMessage(clashes), { causes });
}

function merged(kind: ServedKind, target: unknown, wanted: unknown, name: string): unknown {
  if (isRecord(wanted)) {
    const result = new Map<string, unknown>(Object.entries(isRecord(target) ? target : {}));
    for (const [member, value] of Object.entries(wanted)) {
      result.set(member, merged(kind, result.get(member), value, name === '' ? member : `${name}.${member}`));
    }
    return Object.fromEntries(result);
  }
  if (!Array.isArray(wanted)) return wanted;
  const style = listStyle(kind, name);
  const current: unknown[] = Array.isArray(target) ? target : [];
  if (style.style === 'atomic') return wanted;
  const items = new Map(current.map((item) => [itemElement(style, item), item]));
  for (const item of wanted) {
    const key = itemElement(style, item);
    items.set(key, merged(kind, items.get(key), item, name));
  }
  return [...items.values()];
}

/** Paths that the manager gave up and that nothing and nobody else names, also not below them. */
function abandoned(
  own: ReadonlySet<FieldPath>,
  fields: ReadonlySet<FieldPath>,
  others: readonly FieldManager[],
): FieldPath[] {
  const held = withParents([fields, ...others.map((other) => other.fields)].flatMap((paths) => [...paths]));
  return [...own].filter((path) => !held.has(path));
}

/** The parts that an apply through this path may name. */
function relevant(kind: ServedKind, configuration: KubeObject, part: 'object' | 'status'): KubeObject {
  if (!kind.statusPath) return configuration;
  const { status, ...rest } = configuration;
  if (part === 'object')
    return {
      ...rest,
      apiVersion: configuration.apiVersion,
      kind: configuration.kind,
      metadata: configuration.metadata,
    };
  const { apiVersion, kind: name, metadata } = configuration;
  return { apiVersion, kind: name, metadata, ...(status === undefined ? {} : { status }) };
}

/** @throws Fault Conflict */
export function planApply(
  kind: ServedKind,
  stored: KubeObject | undefined,
  configuration: KubeObject,
  by: { own: ReadonlySet<FieldPath>; others: readonly FieldManager[]; force: boolean; part: 'object' | 'status' },
): ApplyPlan {
  const wanted = relevant(kind, configuration, by.part);
  const fields = fieldPathsOf(kind, wanted, by.part);
  if (stored === undefined) return { object: wanted, fields, taken: new Set() };
  const clashes = clashesOf(stored, wanted, fields, by.others);
  if (clashes.length > 0 && !by.force) refuse(clashes);
  const trimmed = withoutPaths(stored, abandoned(by.own, fields, by.others));
  // Safe: both were objects of this kind, and merging keeps the envelope.
  const object = merged(kind, trimmed, wanted, '') as KubeObject;
  return { object, fields, taken: new Set(clashes.map(({ path }) => path)) };
}
