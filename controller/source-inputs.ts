// Where the bytes of an image come from, with the credentials, certificates and proxy that the DataVolume or claim names.
// Secrets are read when a worker asks and kept nowhere. What is missing is `SecretMissing`, which waits for somebody to create it.
import type { CdiConfig } from '../domain/custom-resources/cdi-config.ts';
import { Fault } from '../domain/fault.ts';
import type { ConfigMap, Secret } from '../domain/kube-shapes.ts';
import type { ObjectReader } from '../domain/object-store.ts';
import { resources } from '../domain/resources.ts';
import type { HttpInputs, SourceInputs } from '../jobs/source-inputs.ts';
import type { HttpContent, SourceContent } from './source-content.ts';

export interface SourceContext {
  reader: ObjectReader;
  /** Where the secrets and config maps are looked for. */
  namespace: string;
  cdiConfig: CdiConfig | undefined;
  /** The attempt before found that the server does not prove parts to be of the same content. */
  onePass: boolean;
}

/** Names of a source, by which a waiting claim is found again when they appear. */
export function namesOf(content: SourceContent): { secrets: string[]; configMaps: string[] } {
  const { secretRef, certConfigMap, secretExtraHeaders } = content;
  return {
    secrets: [...(secretRef === undefined ? [] : [secretRef]), ...secretExtraHeaders],
    configMaps: certConfigMap === undefined ? [] : [certConfigMap],
  };
}

/** @throws Fault SecretMissing, InvalidRequest (a header line without a colon) */
export function sourceInputs(content: SourceContent, context: SourceContext): Promise<SourceInputs> {
  switch (content.kind) {
    case 'http':
      return httpInputs(content, context);
  }
}

async function httpInputs(content: HttpContent, context: SourceContext): Promise<HttpInputs> {
  const { reader, namespace, cdiConfig } = context;
  const secret = content.secretRef === undefined ? undefined : await secretOf(reader, namespace, content.secretRef);
  const secretHeaders = await Promise.all(
    content.secretExtraHeaders.map(async (name) => textsOf(await secretOf(reader, namespace, name))),
  );
  const certificates =
    content.certConfigMap === undefined ? [] : await certificatesOf(reader, namespace, content.certConfigMap);
  const credentials = secret === undefined ? undefined : credentialsOf(secret);
  const proxy = proxyOf(cdiConfig);
  return {
    kind: 'http',
    url: content.url,
    headers: [...content.extraHeaders, ...secretHeaders.flat()].map(headerOf),
    certificates,
    insecureSkipVerify: content.insecureSkipVerify,
    ...(credentials === undefined ? {} : { credentials }),
    ...(proxy === undefined ? {} : { proxy }),
    ...(context.onePass ? { onePass: true } : {}),
  };
}

async function secretOf(reader: ObjectReader, namespace: string, name: string): Promise<Secret> {
  const secret = await reader.get(resources.secrets, { namespace, name });
  if (secret === undefined) throw new Fault('SecretMissing', `secret ${namespace}/${name}`);
  return secret;
}

async function certificatesOf(reader: ObjectReader, namespace: string, name: string): Promise<string[]> {
  const configMap = await reader.get(resources.configMaps, { namespace, name });
  if (configMap === undefined) throw new Fault('SecretMissing', `config map ${namespace}/${name}`);
  return pemsOf(configMap);
}

function pemsOf(configMap: ConfigMap): string[] {
  const binary = Object.values(configMap.binaryData ?? {}).map((value) => Buffer.from(value, 'base64').toString());
  return [...Object.values(configMap.data ?? {}), ...binary].filter((text) =>
    text.includes('-----BEGIN CERTIFICATE-----'),
  );
}

function textsOf(secret: Secret): string[] {
  return Object.values(secret.data ?? {}).map((value) => Buffer.from(value, 'base64').toString());
}

function textOf(secret: Secret, key: string): string | undefined {
  const value = secret.data?.[key];
  return value === undefined ? undefined : Buffer.from(value, 'base64').toString();
}

/** @throws Fault SecretMissing where the secret lacks one of the two */
function credentialsOf(secret: Secret): { username: string; password: string } {
  const [username, password] = [textOf(secret, 'accessKeyId'), textOf(secret, 'secretKey')];
  if (username === undefined || password === undefined) {
    const { namespace = '', name } = secret.metadata;
    throw new Fault('SecretMissing', `secret ${namespace}/${name} has no accessKeyId and secretKey`);
  }
  return { username, password };
}

/** Split at the first colon, as CDI does. The value stays out of the fault: it may be a secret. */
function headerOf(line: string): [string, string] {
  const colon = line.indexOf(':');
  const name = line.slice(0, colon).trim();
  if (colon < 0 || name === '') throw new Fault('InvalidRequest', 'an extra header is not `Name: value`');
  return [name, line.slice(colon + 1).trim()];
}

/** The proxy of CDIConfig, if any. */
export function proxyOf(cdiConfig: CdiConfig | undefined): HttpInputs['proxy'] {
  const given = cdiConfig?.status?.importProxy ?? cdiConfig?.spec.importProxy;
  if (given === undefined) return undefined;
  return {
    ...(given.HTTPProxy ? { http: given.HTTPProxy } : {}),
    ...(given.HTTPSProxy ? { https: given.HTTPSProxy } : {}),
    ...(given.noProxy ? { no: given.noProxy } : {}),
  };
}

/** What of the source's secrets and config maps is missing now; undefined where all are there. */
export async function missingOf(
  reader: ObjectReader,
  namespace: string,
  content: SourceContent,
): Promise<Fault | undefined> {
  const { secrets, configMaps } = namesOf(content);
  for (const name of secrets) {
    if ((await reader.get(resources.secrets, { namespace, name })) !== undefined) continue;
    return new Fault('SecretMissing', `secret ${namespace}/${name}`);
  }
  for (const name of configMaps) {
    if ((await reader.get(resources.configMaps, { namespace, name })) !== undefined) continue;
    return new Fault('SecretMissing', `config map ${namespace}/${name}`);
  }
  return undefined;
}
