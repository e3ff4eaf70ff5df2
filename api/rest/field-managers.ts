// metadata.managedFields: who set which field, noted with every write through the API; and the changes that an apply makes with it.
import { isDeepStrictEqual } from 'node:util';
import type { KubeObject } from '../../domain/object-store.ts';
import { timestamp } from '../store/object-lifecycle.ts';
import type { FieldManager } from './field-manager.ts';
import { decodeFields, encodeFields, type FieldPath, FieldReader, fieldPathsOf } from './field-paths.ts';
import { isRecord } from './read-object.ts';
import type { ServedKind } from './served-kinds.ts';
import { planApply } from './server-side-apply.ts';

type Part = 'object' | 'status';

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** @param managedFields of unknown origin */
function readManagers(managedFields: unknown): FieldManager[] {
  if (!Array.isArray(managedFields)) return [];
  return managedFields.filter(isRecord).flatMap((entry) => {
    const fields = decodeFields(entry['fieldsV1']);
    const operation = entry['operation'] === 'Apply' ? 'Apply' : 'Update';
    const [manager, subresource] = [text(entry['manager']), text(entry['subresource'])];
    const [apiVersion, time] = [text(entry['apiVersion']), text(entry['time'])];
    return fields.size === 0 ? [] : [{ manager, operation, subresource, apiVersion, time, fields }];
  });
}

function writeManagers(managers: readonly FieldManager[]): unknown[] {
  return managers
    .filter(({ fields }) => fields.size > 0)
    .map(({ manager, operation, subresource, apiVersion, time, fields }) => ({
      manager,
      operation,
      apiVersion,
      time,
      fieldsType: 'FieldsV1',
      fieldsV1: encodeFields(fields),
      ...(subresource === '' ? {} : { subresource }),
    }));
}

function withManagers(object: KubeObject, managers: readonly FieldManager[]): KubeObject {
  const { managedFields: _former, ...metadata } = object.metadata;
  const written = writeManagers(managers);
  return { ...object, metadata: written.length === 0 ? metadata : { ...metadata, managedFields: written } };
}

function isSame(a: FieldManager, manager: string, operation: string, subresource: string): boolean {
  return a.manager === manager && a.operation === operation && a.subresource === subresource;
}

function together(a: ReadonlySet<FieldPath>, b: ReadonlySet<FieldPath>): ReadonlySet<FieldPath> {
  return new Set([...a, ...b]);
}

function without(fields: ReadonlySet<FieldPath>, gone: ReadonlySet<FieldPath>): ReadonlySet<FieldPath> {
  return gone.size === 0 ? fields : new Set([...fields].filter((path) => !gone.has(path)));
}

/** The object of a create, update or patch, with what it changed noted under its manager. */
export function noteUpdate(
  kind: ServedKind,
  stored: KubeObject | undefined,
  asked: KubeObject,
  by: { manager: string; part: Part },
): KubeObject {
  const [before, after] = [fieldPathsOf(kind, stored ?? {}, by.part), fieldPathsOf(kind, asked, by.part)];
  const [former, next] = [new FieldReader(stored), new FieldReader(asked)];
  const changed = new Set(
    [...after].filter((path) => !before.has(path) || !isDeepStrictEqual(former.valueAt(path), next.valueAt(path))),
  );
  const removed = without(before, after);
  const managers = readManagers(asked.metadata.managedFields ?? stored?.metadata.managedFields);
  if (changed.size === 0 && removed.size === 0) return withManagers(asked, managers);
  const subresource = by.part === 'status' ? 'status' : '';
  const [apiVersion, time] = [asked.apiVersion, timestamp()];
  const own = managers.find((entry) => isSame(entry, by.manager, 'Update', subresource));
  const others = managers
    .filter((entry) => entry !== own)
    .map((entry) => ({ ...entry, fields: without(entry.fields, together(changed, removed)) }));
  const fields = together(without(own?.fields ?? new Set(), removed), changed);
  const noted: FieldManager = { manager: by.manager, operation: 'Update', subresource, apiVersion, time, fields };
  return withManagers(asked, [...others, noted]);
}

/** The object of a server-side apply. @throws Fault Conflict with a cause a field, where another manager set it otherwise and `force` is not given */
export function applyConfiguration(
  kind: ServedKind,
  stored: KubeObject | undefined,
  configuration: KubeObject,
  by: { manager: string; force: boolean; part: Part },
): KubeObject {
  const subresource = by.part === 'status' ? 'status' : '';
  const managers = readManagers(stored?.metadata.managedFields);
  const own = managers.find((entry) => isSame(entry, by.manager, 'Apply', subresource));
  const others = managers.filter((entry) => entry !== own);
  const plan = planApply(kind, stored, configuration, { own: own?.fields ?? new Set(), others, ...by });
  const apiVersion = configuration.apiVersion;
  const unchanged = own !== undefined && isDeepStrictEqual(own.fields, plan.fields);
  const time = unchanged ? own.time : timestamp();
  const noted: FieldManager = {
    manager: by.manager,
    operation: 'Apply',
    subresource,
    apiVersion,
    time,
    fields: plan.fields,
  };
  const rest = others.map((entry) => ({ ...entry, fields: without(entry.fields, plan.taken) }));
  return withManagers(plan.object, [noted, ...rest]);
}
