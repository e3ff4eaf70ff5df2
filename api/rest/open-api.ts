// OpenAPI pages of the served kinds, made from the very schemas that validate them: version 3 per group, and version 2 for older clients.
// kubectl reads them for `explain`, and to learn which parameters a patch takes.
import { apiVersionOf } from '../../domain/resources.ts';
import { type StructuralSchema, structuralSchema } from '../../domain/structural-schema.ts';
import { listStyle } from './list-keys.ts';
import { type ServedKind, servedKinds } from './served-kinds.ts';

type JsonObject = Record<string, unknown>;

const quantityName = 'io.k8s.apimachinery.pkg.api.resource.Quantity';

function gvk(kind: ServedKind): JsonObject {
  return { group: kind.ref.group, kind: kind.ref.kind, version: kind.ref.version };
}

/** Version 2 of OpenAPI has no choices and no null; as Kubernetes does, it says less there. */
function forVersion2(schema: StructuralSchema): StructuralSchema {
  const { anyOf: _choices, nullable: _null, properties, items, additionalProperties, ...rest } = schema;
  const members = Object.entries(properties ?? {}).map(([name, member]) => [name, forVersion2(member)] as const);
  return {
    ...rest,
    ...(properties === undefined ? {} : { properties: Object.fromEntries(members) }),
    ...(items === undefined ? {} : { items: forVersion2(items) }),
    ...(additionalProperties === undefined ? {} : { additionalProperties: forVersion2(additionalProperties) }),
  };
}

function listMarks(kind: ServedKind, path: string): JsonObject {
  const style = listStyle(kind, path);
  if (style.style === 'atomic') return { 'x-kubernetes-list-type': 'atomic' };
  if (style.style === 'set') return { 'x-kubernetes-list-type': 'set', 'x-kubernetes-patch-strategy': 'merge' };
  return {
    'x-kubernetes-list-type': 'map',
    'x-kubernetes-list-map-keys': style.keys,
    'x-kubernetes-patch-strategy': 'merge',
    'x-kubernetes-patch-merge-key': style.keys[0],
  };
}

function schemaOf(kind: ServedKind): StructuralSchema {
  const schema = structuralSchema(kind.schema, (path) => listMarks(kind, path));
  return { ...schema, 'x-kubernetes-group-version-kind': [gvk(kind)] };
}

function listSchemaOf(kind: ServedKind, reference: string): JsonObject {
  const text = { type: 'string' };
  return {
    type: 'object',
    description: `${kind.ref.kind}List is a list of ${kind.ref.kind}`,
    properties: {
      apiVersion: text,
      kind: text,
      metadata: { type: 'object' },
      items: { type: 'array', items: { $ref: reference } },
    },
    'x-kubernetes-group-version-kind': [{ ...gvk(kind), kind: `${kind.ref.kind}List` }],
  };
}

const patchTypes = ['application/apply-patch+yaml', 'application/json-patch+json', 'application/merge-patch+json'];

function patchTypesOf(kind: ServedKind): string[] {
  return kind.custom ? patchTypes : [...patchTypes, 'application/strategic-merge-patch+json'];
}

function pathsOf(kind: ServedKind): { collection: string; item: string } {
  const { group, version, plural, namespaced } = kind.ref;
  const base = group === '' ? `/api/${version}` : `/apis/${group}/${version}`;
  const collection = namespaced ? `${base}/namespaces/{namespace}/${plural}` : `${base}/${plural}`;
  return { collection, item: `${collection}/{name}` };
}

/** An operation that a client may look for; the parameters are those it may want to send. */
function operation(kind: ServedKind, action: string, parameters: readonly string[], version3: boolean): JsonObject {
  const typed = (name: string): JsonObject =>
    version3
      ? { name, in: 'query', schema: { type: 'string', uniqueItems: true } }
      : { name, in: 'query', type: 'string' };
  return {
    operationId: `${action}${kind.ref.kind}${kind.ref.group.replaceAll('.', '')}`,
    parameters: parameters.map(typed),
    responses: { 200: { description: 'OK' } },
    'x-kubernetes-action': action,
    'x-kubernetes-group-version-kind': gvk(kind),
  };
}

const writeParameters = ['dryRun', 'fieldManager', 'fieldValidation', 'pretty'];
const listParameters = [
  'labelSelector',
  'fieldSelector',
  'limit',
  'continue',
  'resourceVersion',
  'watch',
  'timeoutSeconds',
];

function operationsOf(kind: ServedKind, version3: boolean): JsonObject {
  const { collection, item } = pathsOf(kind);
  const make = (action: string, parameters: readonly string[]) => operation(kind, action, parameters, version3);
  const content = Object.fromEntries(patchTypesOf(kind).map((type) => [type, { schema: { type: 'object' } }]));
  const body = version3 ? { requestBody: { content } } : { consumes: patchTypesOf(kind) };
  return {
    [collection]: { get: make('list', listParameters), post: make('post', writeParameters) },
    [item]: {
      get: make('get', []),
      put: make('put', writeParameters),
      patch: { ...make('patch', [...writeParameters, 'force']), ...body },
      delete: make('delete', ['dryRun', 'propagationPolicy']),
    },
  };
}

function info(): JsonObject {
  return { title: 'Longshore', version: 'v1.34.0+longshore' };
}

/** @returns undefined where the group has no stored kinds */
export function openApiV3(apiVersion: string): JsonObject | undefined {
  const kinds = servedKinds.filter(({ ref }) => apiVersionOf(ref) === apiVersion);
  if (kinds.length === 0) return undefined;
  const schemas = kinds.flatMap((kind) => [
    [kind.schemaName, schemaOf(kind)] as const,
    [`${kind.schemaName}List`, listSchemaOf(kind, `#/components/schemas/${kind.schemaName}`)] as const,
  ]);
  return {
    openapi: '3.0.0',
    info: info(),
    paths: Object.assign({}, ...kinds.map((kind) => operationsOf(kind, true))) as JsonObject,
    components: { schemas: Object.fromEntries(schemas) },
  };
}

export function openApiV2(): JsonObject {
  const definitions = servedKinds.flatMap((kind) => [
    [kind.schemaName, forVersion2(schemaOf(kind))] as const,
    [`${kind.schemaName}List`, listSchemaOf(kind, `#/definitions/${kind.schemaName}`)] as const,
  ]);
  return {
    swagger: '2.0',
    info: info(),
    paths: Object.assign({}, ...servedKinds.map((kind) => operationsOf(kind, false))) as JsonObject,
    definitions: { ...Object.fromEntries(definitions), [quantityName]: { type: 'string', description: 'a quantity' } },
  };
}
