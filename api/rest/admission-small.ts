// Defaults and rules of the small kinds.
import { isDeepStrictEqual } from 'node:util';
import { type Cause, invalid } from '../../domain/cause.ts';
import { Fault } from '../../domain/fault.ts';
import type { KubeObject, ResourceRef } from '../../domain/object-store.ts';
import { resources } from '../../domain/resources.ts';
import { refusedShape } from './kube-status.ts';
import { isRecord } from './read-object.ts';

/** Keeps a namespace until the garbage collector has emptied it. */
export const namespaceFinalizer = 'longshore.dev/contents';

/** Namespaces that every service has. */
export const seededNamespaces: readonly string[] = ['default', 'longshore'];

export function admitNamespace(asked: KubeObject): KubeObject {
  const { labels = {}, finalizers = [], name } = asked.metadata;
  return {
    ...asked,
    metadata: {
      ...asked.metadata,
      labels: { ...labels, 'kubernetes.io/metadata.name': name },
      finalizers: [...new Set([...finalizers, namespaceFinalizer])],
    },
    spec: { finalizers: ['kubernetes'] },
    status: { phase: 'Active' },
  };
}

/** A namespace's state is the service's to tell. */
export function admitNamespaceUpdate(asked: KubeObject, stored: KubeObject): KubeObject {
  const admitted = admitNamespace(asked);
  const { finalizers = [] } = stored.metadata;
  return {
    ...admitted,
    metadata: { ...admitted.metadata, finalizers },
    spec: stored['spec'],
    status: stored['status'],
  };
}

/** @throws Fault Forbidden */
export function keepSeeded(stored: KubeObject): void {
  const { name } = stored.metadata;
  if (!seededNamespaces.includes(name)) return;
  throw new Fault('Forbidden', `namespaces "${name}" is forbidden: this namespace may not be deleted`);
}

const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
/** As in Kubernetes. */
const mostValuesBytes = 1_048_576;
const valueKey = /^[-._a-zA-Z0-9]+$/;

function keyCauses(field: string, values: unknown): Cause[] {
  if (!isRecord(values)) return [];
  return Object.keys(values)
    .filter((key) => !valueKey.test(key) || key.length > 253)
    .map((key) => {
      const rule = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'";
      return invalid(`${field}[${key}]`, `Invalid value: ${JSON.stringify(key)}: ${rule}`);
    });
}

function base64Causes(field: string, values: unknown): Cause[] {
  if (!isRecord(values)) return [];
  return Object.entries(values)
    .filter(([, value]) => typeof value === 'string' && !base64.test(value.replaceAll(/\s/g, '')))
    .map(([key]) => invalid(`${field}.${key}`, 'Invalid value: illegal base64 data'));
}

function refuseAny(resource: ResourceRef, object: KubeObject, causes: readonly Cause[]): void {
  if (causes.length > 0) throw refusedShape(resource, object.metadata.name, causes);
}

/** Values of a secret or config map as Kubernetes counts them: the bytes that are meant, without the keys. */
function valuesBytes(text: unknown, encoded: unknown): number {
  const plain = isRecord(text) ? Object.values(text).map((value) => Buffer.byteLength(String(value))) : [];
  const decoded = isRecord(encoded)
    ? Object.values(encoded).map((value) => Buffer.byteLength(String(value), 'base64'))
    : [];
  return [...plain, ...decoded].reduce((sum, bytes) => sum + bytes, 0);
}

function sizeCauses(bytes: number): Cause[] {
  if (bytes <= mostValuesBytes) return [];
  return [
    { type: 'FieldValueTooLong', field: 'data', message: `Too long: may not be more than ${mostValuesBytes} bytes` },
  ];
}

/** What `immutable` keeps as it is, itself with it. @throws Fault InvalidRequest */
function keepImmutable(resource: ResourceRef, asked: KubeObject, stored: KubeObject): void {
  if (stored['immutable'] !== true) return;
  const message = 'Forbidden: field is immutable when `immutable` is set';
  const changed = ['immutable', 'data', 'binaryData'].filter(
    (member) => !isDeepStrictEqual(asked[member] ?? {}, stored[member] ?? {}),
  );
  const causes = changed.map((field): Cause => ({ type: 'FieldValueForbidden', field, message }));
  refuseAny(resource, stored, causes);
}

/** @throws Fault InvalidRequest */
export function admitSecretUpdate(asked: KubeObject, stored: KubeObject): KubeObject {
  const admitted = admitSecret(asked);
  keepImmutable(resources.secrets, admitted, stored);
  return admitted;
}

/** @throws Fault InvalidRequest */
export function admitConfigMapUpdate(asked: KubeObject, stored: KubeObject): KubeObject {
  const admitted = admitConfigMap(asked);
  keepImmutable(resources.configMaps, admitted, stored);
  return admitted;
}

/** Values given as they are become base64, as Kubernetes does. @throws Fault InvalidRequest */
export function admitSecret(asked: KubeObject): KubeObject {
  const { stringData, ...rest } = asked;
  const given = isRecord(stringData) ? Object.entries(stringData) : [];
  const encoded = given.map(([key, value]) => [key, Buffer.from(String(value)).toString('base64')]);
  const data = { ...(isRecord(asked['data']) ? asked['data'] : {}), ...Object.fromEntries(encoded) };
  const causes = [...keyCauses('data', data), ...base64Causes('data', data), ...sizeCauses(valuesBytes({}, data))];
  refuseAny(resources.secrets, asked, causes);
  const { apiVersion, kind, metadata } = asked;
  const members = Object.keys(data).length === 0 ? {} : { data };
  return { ...rest, apiVersion, kind, metadata, ...members, type: asked['type'] ?? 'Opaque' };
}

/** @throws Fault InvalidRequest */
export function admitConfigMap(asked: KubeObject): KubeObject {
  const causes = [
    ...keyCauses('data', asked['data']),
    ...keyCauses('binaryData', asked['binaryData']),
    ...base64Causes('binaryData', asked['binaryData']),
    ...sizeCauses(valuesBytes(asked['data'], asked['binaryData'])),
  ];
  refuseAny(resources.configMaps, asked, causes);
  return asked;
}

export function admitStorageClass(asked: KubeObject): KubeObject {
  return {
    ...asked,
    reclaimPolicy: asked['reclaimPolicy'] ?? 'Delete',
    volumeBindingMode: asked['volumeBindingMode'] ?? 'Immediate',
  };
}

/** A token is made by the service and never kept. */
export function admitUser(asked: KubeObject): KubeObject {
  const { status: _status, ...rest } = asked;
  return { ...rest, apiVersion: asked.apiVersion, kind: asked.kind, metadata: asked.metadata };
}
