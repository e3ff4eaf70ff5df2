// Compares a JSON value with a schema as the Kubernetes API server does: members that the schema does not know are dropped and told,
// null members are dropped, and wrong types and missing members are told in its words.
import type { TSchema } from 'typebox';
import type { Cause } from '../../domain/cause.ts';

export interface Checked {
  value: unknown;
  /** Paths such as `spec.foo`. */
  unknown: string[];
  causes: Cause[];
}

/** The part of JSON Schema that our schemas use. */
interface JsonSchema {
  type?: string;
  properties?: Record<string, JsonSchema>;
  patternProperties?: Record<string, JsonSchema>;
  required?: string[];
  items?: JsonSchema;
  anyOf?: JsonSchema[];
  const?: unknown;
}

function typeOf(value: unknown): string {
  if (Array.isArray(value)) return 'array';
  if (value === null) return 'null';
  return typeof value === 'number' && Number.isInteger(value) ? 'integer' : typeof value;
}

function fits(schema: JsonSchema, value: unknown): boolean {
  if (schema.anyOf !== undefined) return schema.anyOf.some((choice) => fits(choice, value));
  if (schema.const !== undefined) return schema.const === value;
  if (schema.type === undefined) return true;
  const type = typeOf(value);
  return type === schema.type || (schema.type === 'number' && type === 'integer');
}

function wantedType(schema: JsonSchema): string {
  if (schema.anyOf === undefined) return schema.type ?? 'any';
  return [...new Set(schema.anyOf.map(wantedType))].join(',');
}

function typeCause(schema: JsonSchema, value: unknown, path: string): Cause {
  const literals = schema.anyOf?.flatMap((choice) => (typeof choice.const === 'string' ? [choice.const] : [])) ?? [];
  if (literals.length > 0 && typeof value === 'string') {
    const choices = literals.map((literal) => `"${literal}"`).join(', ');
    const message = `Unsupported value: "${value}": supported values: ${choices}`;
    return { type: 'FieldValueNotSupported', field: path, message };
  }
  const [found, wanted] = [typeOf(value), wantedType(schema)];
  const message = `Invalid value: "${found}": ${path} in body must be of type ${wanted}: "${found}"`;
  return { type: 'FieldValueTypeInvalid', field: path, message };
}

class Walk {
  readonly unknown: string[] = [];
  readonly causes: Cause[] = [];

  check(schema: JsonSchema, value: unknown, path: string): unknown {
    if (!fits(schema, value)) {
      this.causes.push(typeCause(schema, value, path));
      return value;
    }
    if (schema.anyOf !== undefined) {
      const choice = schema.anyOf.find((candidate) => fits(candidate, value));
      return choice === undefined ? value : this.check(choice, value, path);
    }
    if (Array.isArray(value)) return this.#items(schema, value, path);
    if (typeof value === 'object' && value !== null) return this.#members(schema, Object.entries(value), path);
    return value;
  }

  #items(schema: JsonSchema, items: readonly unknown[], path: string): unknown[] {
    const { items: itemSchema } = schema;
    return itemSchema === undefined
      ? [...items]
      : items.map((item, index) => this.check(itemSchema, item, `${path}[${index}]`));
  }

  #members(schema: JsonSchema, members: [string, unknown][], path: string): Record<string, unknown> {
    if (schema.properties === undefined && schema.patternProperties === undefined) return Object.fromEntries(members);
    const anyMember = Object.values(schema.patternProperties ?? {})[0];
    const kept: [string, unknown][] = [];
    for (const [name, value] of members) {
      const below = path === '' ? name : `${path}.${name}`;
      const memberSchema = Object.hasOwn(schema.properties ?? {}, name) ? schema.properties?.[name] : anyMember;
      if (memberSchema === undefined) this.unknown.push(below);
      else if (value !== null) kept.push([name, this.check(memberSchema, value, below)]);
    }
    const present = new Set(kept.map(([name]) => name));
    for (const name of schema.required ?? []) {
      if (present.has(name)) continue;
      const field = path === '' ? name : `${path}.${name}`;
      this.causes.push({ type: 'FieldValueRequired', field, message: 'Required value' });
    }
    return Object.fromEntries(kept);
  }
}

export function structuralCheck(schema: TSchema, value: unknown): Checked {
  const walk = new Walk();
  // Safe: TypeBox schemas are JSON Schema; only the members named above are read, and each may be absent.
  const checked = walk.check(schema as JsonSchema, value, '');
  return { value: checked, unknown: walk.unknown, causes: walk.causes };
}
