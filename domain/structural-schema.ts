// TypeBox schemas in Kubernetes' dialect of JSON Schema, as CRDs and its OpenAPI pages take it ("structural schema"): one type a member, maps as
// `additionalProperties`, null as `nullable`, number or text as a mark.
import type { TSchema } from 'typebox';
import { Fault } from './fault.ts';

export interface StructuralSchema {
  type?: 'object' | 'array' | 'string' | 'integer' | 'number' | 'boolean';
  description?: string;
  properties?: Record<string, StructuralSchema>;
  additionalProperties?: StructuralSchema;
  required?: string[];
  items?: StructuralSchema;
  anyOf?: StructuralSchema[];
  [keyword: string]: unknown;
}

type Json = Readonly<Record<string, unknown>>;

/** Keywords that have another form in the dialect; all others go through as they are. */
const translated = new Set(['type', 'properties', 'patternProperties', 'required', 'items', 'anyOf', 'const']);

function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function otherKeywords(schema: Json): Json {
  return Object.fromEntries(Object.entries(schema).filter(([keyword]) => !translated.has(keyword)));
}

/** Keywords that a place adds to its list, by the members that lead there, joined by dots. */
export type ListMarks = (path: string) => Json;

class Translation {
  readonly #marksOf: ListMarks;

  constructor(marksOf: ListMarks) {
    this.#marksOf = marksOf;
  }

  translate(schema: unknown, path: string): StructuralSchema {
    if (!isJson(schema)) return {};
    const rest = otherKeywords(schema);
    const { type, properties, patternProperties, required, items, anyOf } = schema;
    if (Array.isArray(anyOf)) return this.#choice(anyOf, rest, path);
    if (schema['const'] !== undefined) return { ...rest, type: 'string', enum: [schema['const']] };
    if (type === 'array') return { ...rest, type, items: this.translate(items, path), ...this.#marksOf(path) };
    if (isJson(patternProperties)) {
      const [value] = Object.values(patternProperties);
      return { ...rest, type: 'object', additionalProperties: this.translate(value, path) };
    }
    if (isJson(properties)) return { ...rest, ...this.#members(properties, required, path) };
    if (type === undefined) return { ...rest, type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
    if (type === 'integer') return { type, format: 'int64', ...rest };
    // Safe: TypeBox makes no other types than those of StructuralSchema, and null only within a choice.
    return { ...rest, type: type as 'string' };
  }

  #members(properties: Json, required: unknown, path: string): StructuralSchema {
    const members = Object.entries(properties).map(([name, member]) => {
      return [name, this.translate(member, path === '' ? name : `${path}.${name}`)] as const;
    });
    return {
      type: 'object',
      ...(members.length === 0 ? {} : { properties: Object.fromEntries(members) }),
      ...(Array.isArray(required) && required.length > 0 ? { required } : {}),
    };
  }

  #choice(choices: readonly unknown[], rest: Json, path: string): StructuralSchema {
    if (rest['x-kubernetes-int-or-string'] === true) {
      return { ...rest, anyOf: [{ type: 'integer' }, { type: 'string' }] };
    }
    const nullable = choices.some((choice) => isJson(choice) && choice['type'] === 'null');
    const kept = choices.filter((choice) => !isJson(choice) || choice['type'] !== 'null');
    const literals = kept.flatMap((choice) => (isJson(choice) && 'const' in choice ? [choice['const']] : []));
    const mark = nullable ? { nullable: true } : {};
    if (literals.length > 0 && literals.length === kept.length) {
      return { ...rest, ...mark, type: 'string', enum: literals };
    }
    if (kept.length !== 1) throw new Fault('Internal', `${path}: a structural schema has no choice of types`);
    return { ...this.translate(kept[0], path), ...rest, ...mark };
  }
}

/** @throws Fault Internal where a member may have one of several types; only number or text may, as `x-kubernetes-int-or-string` */
export function structuralSchema(schema: TSchema, marksOf: ListMarks = () => ({})): StructuralSchema {
  return new Translation(marksOf).translate(schema, '');
}
