// A TypeBox schema in one line, as a reader of the documentation wants it: `{ volumeId: string, attempt: integer ≥ 1 }`.

type Json = Readonly<Record<string, unknown>>;

function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function membersOf(schema: Json, names: ReadonlyMap<unknown, string>): string {
  const properties = isJson(schema['properties']) ? schema['properties'] : {};
  const required = Array.isArray(schema['required']) ? schema['required'] : [];
  const members = Object.entries(properties).map(
    ([name, member]) => `${name}${required.includes(name) ? '' : '?'}: ${describeSchema(member, names)}`,
  );
  return members.length === 0 ? '{}' : `{ ${members.join(', ')} }`;
}

function describeAlternatives(alternatives: readonly unknown[], names: ReadonlyMap<unknown, string>): string {
  return alternatives.map((alternative) => describeSchema(alternative, names)).join(' | ');
}

function describeArray(schema: Json, names: ReadonlyMap<unknown, string>): string {
  const { items } = schema;
  if (Array.isArray(items)) return `[${items.map((item) => describeSchema(item, names)).join(', ')}]`;
  const element = describeSchema(items, names);
  return element.includes(' | ') ? `(${element})[]` : `${element}[]`;
}

/** A schema that was made optional is a copy: the same text is the same schema. */
function nameOf(schema: unknown, names: ReadonlyMap<unknown, string>): string | undefined {
  const text = JSON.stringify(schema);
  return [...names].find(([named]) => named === schema || JSON.stringify(named) === text)?.[1];
}

/**
 * @param names schemas that are described elsewhere, and how they are called there
 * @param skip true to describe a schema although it has a name
 */
export function describeSchema(schema: unknown, names: ReadonlyMap<unknown, string>, skip = false): string {
  const name = skip ? undefined : nameOf(schema, names);
  if (name !== undefined) return name;
  if (!isJson(schema)) return 'any';
  if (Array.isArray(schema['anyOf'])) return describeAlternatives(schema['anyOf'], names);
  if (schema['const'] !== undefined) return JSON.stringify(schema['const']);
  if (schema['type'] === 'array') return describeArray(schema, names);
  if (schema['type'] === 'object') return membersOf(schema, names);
  const least = typeof schema['minimum'] === 'number' ? ` ≥ ${schema['minimum']}` : '';
  return typeof schema['type'] === 'string' ? `${schema['type']}${least}` : 'any';
}
