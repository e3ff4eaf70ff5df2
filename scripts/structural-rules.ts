// Kubernetes' rules for the schema of a CRD, as its documentation tells them ("Specifying a structural schema", "Merge strategy") and its
// API server enforces them, so that a violation is found without a cluster. What our schemas never use is refused altogether.
import type { StructuralSchema } from '../domain/structural-schema.ts';

/** Keywords that we use. Those that Kubernetes forbids ($ref, definitions, patternProperties, const, …) are not among them. */
const known = new Set([
  ...['type', 'description', 'properties', 'additionalProperties', 'required', 'items', 'anyOf', 'enum', 'format'],
  ...['pattern', 'minLength', 'minimum', 'maxItems', 'nullable', 'x-kubernetes-validations'],
  ...['x-kubernetes-int-or-string', 'x-kubernetes-map-type', 'x-kubernetes-list-type', 'x-kubernetes-list-map-keys'],
]);

const types = ['object', 'array', 'string', 'integer', 'number', 'boolean'];

/** Keywords that make sense for one type only. */
const typeOfKeyword: Readonly<Record<string, string>> = {
  properties: 'object',
  additionalProperties: 'object',
  required: 'object',
  'x-kubernetes-map-type': 'object',
  items: 'array',
  maxItems: 'array',
  'x-kubernetes-list-type': 'array',
  'x-kubernetes-list-map-keys': 'array',
  pattern: 'string',
  minLength: 'string',
};

type Tell = (problem: string) => void;

function isIntOrString(schema: StructuralSchema): boolean {
  return schema['x-kubernetes-int-or-string'] === true;
}

function checkType(schema: StructuralSchema, tell: Tell): void {
  if (isIntOrString(schema)) {
    if (schema.type !== undefined) tell('is int-or-string and has a type');
    const choices = JSON.stringify(schema.anyOf);
    if (choices !== '[{"type":"integer"},{"type":"string"}]') tell('is int-or-string with another choice of types');
    return;
  }
  if (schema.anyOf !== undefined) tell('has a choice of types');
  if (schema.type === undefined || !types.includes(schema.type)) tell(`has the type ${schema.type}`);
}

function checkKeywords(schema: StructuralSchema, tell: Tell): void {
  for (const keyword of Object.keys(schema)) {
    const type = typeOfKeyword[keyword];
    if (!known.has(keyword)) tell(`has ${keyword}`);
    else if (type !== undefined && schema.type !== type && !isIntOrString(schema))
      tell(`has ${keyword} and is no ${type}`);
  }
}

function checkObject(schema: StructuralSchema, tell: Tell): void {
  const { properties, additionalProperties, required = [] } = schema;
  if (properties !== undefined && additionalProperties !== undefined)
    tell('has additionalProperties beside properties');
  for (const name of required) {
    if (!Object.hasOwn(properties ?? {}, name)) tell(`requires ${name}, which it does not have`);
  }
}

function checkList({ items, ...schema }: StructuralSchema, tell: Tell): void {
  if (schema.type !== 'array') return;
  if (items === undefined || Array.isArray(items)) {
    tell('is a list without one schema of its items');
    return;
  }
  const keys = schema['x-kubernetes-list-map-keys'];
  const isMap = schema['x-kubernetes-list-type'] === 'map';
  if (isMap !== Array.isArray(keys)) tell('is a map with no keys, or has keys and is no map');
  for (const key of Array.isArray(keys) ? keys : []) {
    if (!items.required?.includes(String(key))) tell(`has the key ${key}, which its items need not have`);
  }
}

function checkRoot(schema: StructuralSchema, tell: Tell): void {
  if (schema.type !== 'object') tell('is no object');
  if (schema.additionalProperties !== undefined) tell('has additionalProperties');
  const { type, ...more } = schema.properties?.['metadata'] ?? {};
  if (type !== 'object' || Object.keys(more).length > 0) tell('has metadata that is not a bare object');
}

/** Each schema within, and the members that lead to it: `spec.names[]` the items of a list, `spec.labels{}` the values of a map. */
export function* schemasWithin(
  schema: StructuralSchema,
  path = '',
): Generator<[path: string, schema: StructuralSchema]> {
  yield [path, schema];
  for (const [name, member] of Object.entries(schema.properties ?? {})) {
    yield* schemasWithin(member, path === '' ? name : `${path}.${name}`);
  }
  if (schema.items !== undefined && !Array.isArray(schema.items)) yield* schemasWithin(schema.items, `${path}[]`);
  if (schema.additionalProperties !== undefined) yield* schemasWithin(schema.additionalProperties, `${path}{}`);
}

/** @returns a sentence for each rule that the schema of an object breaks */
export function structuralProblems(root: StructuralSchema): string[] {
  const problems: string[] = [];
  checkRoot(root, (problem) => problems.push(`the object ${problem}`));
  for (const [path, schema] of schemasWithin(root)) {
    const tell: Tell = (problem) => problems.push(`${path === '' ? 'the object' : path} ${problem}`);
    for (const check of [checkType, checkKeywords, checkObject, checkList]) check(schema, tell);
  }
  return problems;
}

/** Members that `kubectl explain` would show without a word. The items of a list and the values of a map are told where they stand. */
export function undescribedMembers(root: StructuralSchema): string[] {
  const ofKubernetes = ['metadata'];
  return [...schemasWithin(root)]
    .filter(([path, { description }]) => !/[\]}]$/.test(path) && !ofKubernetes.includes(path) && !description?.trim())
    .map(([path]) => path);
}
