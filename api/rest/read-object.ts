// A request's body as an object of the asked kind: the envelope must agree with the path, unknown members are dropped, refused or warned of as
// `fieldValidation` says, and wrong types are refused.
import type { KubeObject } from '../../domain/object-store.ts';
import { apiVersionOf } from '../../domain/resources.ts';
import { badRequest, refusedShape } from './kube-status.ts';
import type { WriteOptions } from './request-context.ts';
import type { ServedKind } from './served-kinds.ts';
import { structuralCheck } from './structural-check.ts';

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function requireEnvelope(kind: ServedKind, body: Record<string, unknown>): void {
  const [wanted, { apiVersion, kind: given }] = [apiVersionOf(kind.ref), body];
  if (apiVersion !== undefined && apiVersion !== wanted) {
    throw badRequest(
      `the API version in the data (${String(apiVersion)}) does not match the expected API version (${wanted})`,
    );
  }
  if (given !== undefined && given !== kind.ref.kind) {
    throw badRequest(`the kind in the data (${String(given)}) does not match the expected kind (${kind.ref.kind})`);
  }
}

function requireSamePlace(
  metadata: Record<string, unknown>,
  key: { namespace?: string | undefined; name?: string },
): void {
  const { namespace, name } = metadata;
  if (namespace !== undefined && namespace !== '' && namespace !== key.namespace) {
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
  }
  if (key.name !== undefined && name !== undefined && name !== key.name) {
    throw badRequest(`the name of the object (${String(name)}) does not match the name on the URL (${key.name})`);
  }
}

function tellUnknown(kind: ServedKind, unknown: readonly string[], options: WriteOptions): void {
  if (unknown.length === 0 || options.fieldValidation === 'Ignore') return;
  const told = unknown.map((path) => `unknown field "${path}"`);
  if (options.fieldValidation === 'Warn') {
    options.warnings.push(...told);
    return;
  }
  const { kind: name, version } = kind.ref;
  throw badRequest(
    `${name} in version "${version}" cannot be handled as a ${name}: strict decoding error: ${told.join(', ')}`,
  );
}

/**
 * @param partial true for what is applied: members that the kind requires may come from elsewhere
 * @throws Fault MalformedRequest, InvalidRequest
 */
export function readObject(
  kind: ServedKind,
  key: { namespace?: string | undefined; name?: string },
  body: unknown,
  options: WriteOptions,
  partial = false,
): KubeObject {
  if (!isRecord(body)) throw badRequest('the body of the request must be an object');
  requireEnvelope(kind, body);
  const metadata = isRecord(body['metadata']) ? body['metadata'] : {};
  requireSamePlace(metadata, key);
  const checked = structuralCheck(kind.schema, { ...body, metadata });
  const name = key.name ?? (typeof metadata['name'] === 'string' ? metadata['name'] : '');
  const causes = checked.causes.filter(({ type }) => !(partial && type === 'FieldValueRequired'));
  // First, as Kubernetes does: what is missing may be what was misspelt.
  tellUnknown(kind, checked.unknown, options);
  if (causes.length > 0) throw refusedShape(kind.ref, name, causes);
  // Safe: checked against the kind's schema just now; apiVersion, kind and place are set here.
  const object = checked.value as KubeObject;
  const place = {
    ...(key.name === undefined ? {} : { name: key.name }),
    ...(key.namespace ? { namespace: key.namespace } : {}),
  };
  return {
    ...object,
    apiVersion: apiVersionOf(kind.ref),
    kind: kind.ref.kind,
    metadata: { ...withoutEmpty(object.metadata), ...place },
  };
}

/** Kubernetes keeps no empty lists and maps of these, so clients that compare expect none. */
function withoutEmpty(metadata: KubeObject['metadata']): KubeObject['metadata'] {
  const { labels = {}, annotations = {}, finalizers = [], ownerReferences = [], ...rest } = metadata;
  return {
    ...rest,
    ...(Object.keys(labels).length === 0 ? {} : { labels }),
    ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
    ...(finalizers.length === 0 ? {} : { finalizers }),
    ...(ownerReferences.length === 0 ? {} : { ownerReferences }),
  };
}
