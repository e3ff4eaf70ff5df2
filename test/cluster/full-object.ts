// An object with every member that the schema of its kind has, each with a value that fits: what an API server must take and keep whole.
import type { StructuralSchema } from '../../domain/structural-schema.ts';

/** Texts whose place has a rule that the schema tells in other words than `enum`. */
const texts: readonly [place: RegExp, value: string][] = [
  [/accessModes\[\]$/, 'ReadWriteOnce'],
  [/filesystemOverhead\.(global|storageClass\{\})$/, '0.055'],
];

function textFor(schema: StructuralSchema, path: string): string {
  const [choice] = Array.isArray(schema['enum']) ? schema['enum'] : [];
  if (typeof choice === 'string') return choice;
  if (schema['format'] === 'date-time') return '2026-01-02T03:04:05Z';
  return texts.find(([place]) => place.test(path))?.[1] ?? 'text';
}

function valueFor(schema: StructuralSchema, path: string): unknown {
  if (schema['x-kubernetes-int-or-string'] === true) return '10Gi';
  switch (schema.type) {
    case 'string':
      return textFor(schema, path);
    case 'integer':
      return 7;
    case 'number':
      return 1.5;
    case 'boolean':
      return true;
    case 'array':
      return [valueFor(schema.items ?? {}, `${path}[]`)];
    default:
      return membersFor(schema, path);
  }
}

function membersFor({ properties, additionalProperties }: StructuralSchema, path: string): object {
  if (additionalProperties !== undefined) return { key: valueFor(additionalProperties, `${path}{}`) };
  const members = Object.entries(properties ?? {}).map(([name, schema]) => [name, valueFor(schema, `${path}.${name}`)]);
  return Object.fromEntries(members);
}

/** @param root schema of the kind */
export function fullObject(apiVersion: string, kind: string, root: StructuralSchema): Record<string, unknown> {
  const { metadata: _metadata, ...members } = root.properties ?? {};
  const filled = membersFor({ ...root, properties: members }, '');
  return { ...filled, apiVersion, kind, metadata: { name: 'full' } };
}
