// The columns that `kubectl get` shows of each kind: CDI's printer columns for its kinds, Kubernetes' own for the others.
import { annotations } from '../../domain/annotations.ts';
import type { PrinterColumn } from '../../domain/custom-resources/custom-resources.ts';
import type { KubeObject } from '../../domain/object-store.ts';

export interface Column {
  readonly name: string;
  readonly type: 'string' | 'integer' | 'date';
  readonly format?: 'name';
  readonly description: string;
  /** 1: shown with -o wide only. */
  readonly priority?: number;
  value(object: KubeObject, now: Date): unknown;
}

function member(object: unknown, ...path: string[]): unknown {
  let value = object;
  for (const step of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = Object.getOwnPropertyDescriptor(value, step)?.value;
  }
  return value;
}

function string(value: unknown): string {
  return value === undefined || value === null ? '' : String(value);
}

/** As kubectl writes ages: 12s, 5m3s, 42m, 3h10m, 12h, 4d, 2y. */
export function ageOf(since: unknown, now: Date): string {
  const start = Date.parse(string(since));
  if (Number.isNaN(start)) return '<unknown>';
  const seconds = Math.max(0, Math.floor((now.getTime() - start) / 1000));
  const [minutes, hours, days] = [Math.floor(seconds / 60), Math.floor(seconds / 3600), Math.floor(seconds / 86_400)];
  const rest = (small: number, unit: string): string => (small === 0 ? '' : `${small}${unit}`);
  if (seconds < 120) return `${seconds}s`;
  if (minutes < 10) return `${minutes}m${rest(seconds % 60, 's')}`;
  if (hours < 3) return `${minutes}m`;
  if (hours < 8) return `${hours}h${rest(minutes % 60, 'm')}`;
  if (hours < 48) return `${hours}h`;
  if (days < 8) return `${days}d${rest(hours % 24, 'h')}`;
  return days < 730 ? `${days}d` : `${Math.floor(days / 365)}y`;
}

function plain(name: string, description: string, value: Column['value'], priority = 0): Column {
  return { name, type: 'string', description, priority, value };
}

const name: Column = {
  name: 'Name',
  type: 'string',
  format: 'name',
  description: 'unique within a namespace',
  value: (object) => object.metadata.name,
};

const age = plain('Age', 'time since it was made', (object, now) => ageOf(object.metadata.creationTimestamp, now));

/** Custom kinds call the age a date. */
const createdDate: Column = { ...age, type: 'date' };

const accessModeLetters: Readonly<Record<string, string>> = {
  ReadWriteOnce: 'RWO',
  ReadOnlyMany: 'ROX',
  ReadWriteMany: 'RWX',
  ReadWriteOncePod: 'RWOP',
};

function modesOf(object: KubeObject): string {
  const modes = member(object, 'status', 'accessModes');
  return Array.isArray(modes) ? modes.map((mode) => accessModeLetters[string(mode)] ?? string(mode)).join(',') : '';
}

function claimPhase(object: KubeObject): string {
  if (object.metadata.deletionTimestamp !== undefined) return 'Terminating';
  return string(member(object, 'status', 'phase') ?? 'Pending');
}

function countOf(object: KubeObject, ...maps: string[]): number {
  return maps.reduce((sum, map) => {
    const held = member(object, map);
    return sum + (typeof held === 'object' && held !== null ? Object.keys(held).length : 0);
  }, 0);
}

function customColumn({ name, type, description, jsonPath }: PrinterColumn): Column {
  const path = jsonPath.split('.').slice(1);
  // Custom kinds call it a date; the server writes it as an age nevertheless, as kubectl expects.
  if (type === 'date') return { name, type, description, value: (object, now) => ageOf(member(object, ...path), now) };
  if (type === 'integer') return { name, type, description, value: (object) => member(object, ...path) ?? null };
  return plain(name, description, (object) => string(member(object, ...path)));
}

/** Columns of a custom resource: its own, or the age where it has none, as Kubernetes shows it. */
export function customColumns(columns: readonly PrinterColumn[] = []): readonly Column[] {
  return columns.length === 0 ? [name, createdDate] : [name, ...columns.map(customColumn)];
}

export const claimColumns: readonly Column[] = [
  name,
  plain('Status', 'Pending, Bound or Lost', claimPhase),
  plain('Volume', 'volume that the claim is bound to', (object) => string(member(object, 'spec', 'volumeName'))),
  plain('Capacity', 'size of the volume', (object) => string(member(object, 'status', 'capacity', 'storage'))),
  plain('Access Modes', 'how the volume may be used', modesOf),
  plain('StorageClass', 'how the volume is made', (object) => string(member(object, 'spec', 'storageClassName'))),
  plain('VolumeAttributesClass', 'attributes of the volume', (object) =>
    string(member(object, 'spec', 'volumeAttributesClassName') ?? '<unset>'),
  ),
  age,
  plain('VolumeMode', 'Filesystem or Block', (object) => string(member(object, 'spec', 'volumeMode') ?? '<unset>'), 1),
];

function eventObject(object: KubeObject): string {
  const [kind, named] = [member(object, 'involvedObject', 'kind'), member(object, 'involvedObject', 'name')];
  return `${string(kind).toLowerCase()}/${string(named)}`;
}

export const eventColumns: readonly Column[] = [
  plain('Last Seen', 'when it was last seen', (object, now) =>
    ageOf(member(object, 'lastTimestamp') ?? member(object, 'eventTime') ?? object.metadata.creationTimestamp, now),
  ),
  plain('Type', 'Normal or Warning', (object) => string(member(object, 'type'))),
  plain('Reason', 'machine understandable reason', (object) => string(member(object, 'reason'))),
  plain('Object', 'what it is about', eventObject),
  plain('Subobject', 'part of what it is about', (object) => string(member(object, 'involvedObject', 'fieldPath')), 1),
  plain('Source', 'who reports it', (object) => string(member(object, 'source', 'component')), 1),
  plain('Message', 'for a person', (object) => string(member(object, 'message')).trim()),
  plain(
    'First Seen',
    'when it was first seen',
    (object, now) => ageOf(member(object, 'firstTimestamp') ?? object.metadata.creationTimestamp, now),
    1,
  ),
  plain('Count', 'how often it was seen', (object) => string(member(object, 'count') ?? 1), 1),
  { ...name, priority: 1 },
];

export const namespaceColumns: readonly Column[] = [
  name,
  plain('Status', 'Active or Terminating', (object) => string(member(object, 'status', 'phase') ?? 'Active')),
  age,
];

export const secretColumns: readonly Column[] = [
  name,
  plain('Type', 'what the values are for', (object) => string(member(object, 'type') ?? 'Opaque')),
  { name: 'Data', type: 'string', description: 'how many values', value: (object) => countOf(object, 'data') },
  age,
];

export const configMapColumns: readonly Column[] = [
  name,
  {
    name: 'Data',
    type: 'string',
    description: 'how many values',
    value: (object) => countOf(object, 'data', 'binaryData'),
  },
  age,
];

function storageClassName(object: KubeObject): string {
  const isDefault = object.metadata.annotations?.[annotations.defaultStorageClass] === 'true';
  return isDefault ? `${object.metadata.name} (default)` : object.metadata.name;
}

export const storageClassColumns: readonly Column[] = [
  { ...name, value: storageClassName },
  plain('Provisioner', 'who makes the volumes', (object) => string(member(object, 'provisioner'))),
  plain('ReclaimPolicy', 'Delete or Retain', (object) => string(member(object, 'reclaimPolicy') ?? 'Delete')),
  plain('VolumeBindingMode', 'when the volume is made', (object) =>
    string(member(object, 'volumeBindingMode') ?? 'Immediate'),
  ),
  plain('AllowVolumeExpansion', 'claims may grow', (object) => String(member(object, 'allowVolumeExpansion') === true)),
  age,
];

export const userColumns: readonly Column[] = [
  name,
  plain('Role', 'admin, edit or view', (object) => string(member(object, 'spec', 'role'))),
  plain('Namespaces', 'where the role holds', (object) => {
    const namespaces = member(object, 'spec', 'namespaces');
    return Array.isArray(namespaces) && namespaces.length > 0 ? namespaces.join(',') : '<all>';
  }),
  createdDate,
];
