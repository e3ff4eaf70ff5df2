// Where the bytes of an image come from, with the credentials, certificates and proxy that the DataVolume or claim names.
// Secrets are read when a worker asks and kept nowhere. What is missing is `SecretMissing`, which waits for somebody to create it.
import { Fault } from '../../domain/fault.ts';
import type { Secret } from '../../domain/kube-shapes.ts';
import type { ObjectReader } from '../../domain/object-store.ts';
import { resources } from '../../domain/resources.ts';
import type { GcsInputs, HttpInputs, RegistryInputs, S3Inputs, SourceInputs } from '../../jobs/source-inputs.ts';
import { certificatesOf, importWay, proxyAuthoritiesOf, type WayContext } from './import-way.ts';
import { insecureRegistry, registryUser } from './registry-rights.ts';
import type { HttpContent, ObjectContent, RegistryContent, SourceContent } from './source-content.ts';

export interface SourceContext extends WayContext {
  /** Where the secrets and config maps are looked for. */
  namespace: string;
  /** The attempt before found that the server does not prove parts to be of the same content. */
  onePass: boolean;
}

/** Names of a source, by which a waiting claim is found again when they appear. */
export function namesOf(content: SourceContent): { secrets: string[]; configMaps: string[] } {
  const { secretRef, certConfigMap } = content;
  const ofHeaders = content.kind === 'http' ? content.secretExtraHeaders : [];
  return {
    secrets: [...(secretRef === undefined ? [] : [secretRef]), ...ofHeaders],
    configMaps: certConfigMap === undefined ? [] : [certConfigMap],
  };
}

/** @throws Fault SecretMissing, InvalidRequest (a header line without a colon) */
export function sourceInputs(content: SourceContent, context: SourceContext): Promise<SourceInputs> {
  switch (content.kind) {
    case 'http':
      return httpInputs(content, context);
    case 's3':
      return s3Inputs(content, context);
    case 'gcs':
      return gcsInputs(content, context);
    case 'registry':
      return registryInputs(content, context);
  }
}

async function httpInputs(content: HttpContent, context: SourceContext): Promise<HttpInputs> {
  const { reader, namespace } = context;
  const secret = await namedSecret(content, context);
  const secretHeaders = await Promise.all(
    content.secretExtraHeaders.map(async (name) => textsOf(await secretOf(reader, namespace, name))),
  );
  const [username, password] = secret === undefined ? [] : keysOf(secret, 'accessKeyId', 'secretKey');
  return {
    kind: 'http',
    url: content.url,
    headers: [...content.extraHeaders, ...secretHeaders.flat()].map(headerOf),
    ...(await wayOf(content, context)),
    insecureSkipVerify: content.insecureSkipVerify,
    ...(username === undefined || password === undefined ? {} : { credentials: { username, password } }),
  };
}

/** Besides CDI's two keys the secret may have `sessionToken` and `region`. */
async function s3Inputs(content: ObjectContent, context: SourceContext): Promise<S3Inputs> {
  const inputs = { kind: 's3' as const, url: content.url, ...(await wayOf(content, context)) };
  const secret = await namedSecret(content, context);
  if (secret === undefined) return inputs;
  const [accessKeyId = '', secretAccessKey = ''] = keysOf(secret, 'accessKeyId', 'secretKey');
  const [sessionToken, region] = [textOf(secret, 'sessionToken')?.trim(), textOf(secret, 'region')?.trim()];
  const keys = { accessKeyId: accessKeyId.trim(), secretAccessKey: secretAccessKey.trim() };
  const credentials = { ...keys, ...(sessionToken === undefined ? {} : { sessionToken }) };
  return { ...inputs, credentials, ...(region === undefined ? {} : { region }) };
}

async function gcsInputs(content: ObjectContent, context: SourceContext): Promise<GcsInputs> {
  const secret = await namedSecret(content, context);
  const [serviceAccount] = secret === undefined ? [] : keysOf(secret, 'credentials.json');
  return {
    kind: 'gcs',
    url: content.url,
    ...(await wayOf(content, context)),
    ...(serviceAccount === undefined ? {} : { serviceAccount }),
  };
}

async function registryInputs(content: RegistryContent, context: SourceContext): Promise<RegistryInputs> {
  const { url, architecture } = content;
  const secret = await namedSecret(content, context);
  const credentials = secret === undefined ? undefined : registryUser(secret, url);
  const { onePass: _, ...way } = await wayOf(content, context);
  return {
    ...{ kind: 'registry', url, ...way },
    insecureSkipVerify: insecureRegistry(context.cdiConfig, url),
    ...(credentials === undefined ? {} : { credentials }),
    ...(architecture === undefined ? {} : { architecture }),
  };
}

/** Whom to trust, which way to go, and whether in one pass. */
async function wayOf(
  { certConfigMap }: SourceContent,
  context: SourceContext,
): Promise<Pick<HttpInputs, 'certificates' | 'insecureSkipVerify' | 'proxy' | 'onePass'>> {
  const { reader, namespace, onePass } = context;
  const own = certConfigMap === undefined ? [] : await certificatesOf(reader, namespace, certConfigMap);
  const { certificates, ...way } = await importWay(context);
  return {
    certificates: [...own, ...certificates],
    insecureSkipVerify: false,
    ...way,
    ...(onePass ? { onePass: true } : {}),
  };
}

async function namedSecret(
  { secretRef }: SourceContent,
  { reader, namespace }: SourceContext,
): Promise<Secret | undefined> {
  return secretRef === undefined ? undefined : secretOf(reader, namespace, secretRef);
}

async function secretOf(reader: ObjectReader, namespace: string, name: string): Promise<Secret> {
  const secret = await reader.get(resources.secrets, { namespace, name });
  if (secret === undefined) throw new Fault('SecretMissing', `secret ${namespace}/${name}`);
  return secret;
}

function textsOf(secret: Secret): string[] {
  return Object.values(secret.data ?? {}).map((value) => Buffer.from(value, 'base64').toString());
}

function textOf(secret: Secret, key: string): string | undefined {
  const value = secret.data?.[key];
  return value === undefined ? undefined : Buffer.from(value, 'base64').toString();
}

/** @throws Fault SecretMissing where the secret lacks one of them */
function keysOf(secret: Secret, ...keys: string[]): string[] {
  const texts = keys.map((key) => textOf(secret, key));
  const found = texts.filter((text) => text !== undefined);
  if (found.length === keys.length) return found;
  const { namespace = '', name } = secret.metadata;
  throw new Fault('SecretMissing', `secret ${namespace}/${name} has no ${keys.join(' and ')}`);
}

/** Split at the first colon, as CDI does. The value stays out of the fault: it may be a secret. */
function headerOf(line: string): [string, string] {
  const colon = line.indexOf(':');
  const name = line.slice(0, colon).trim();
  if (colon < 0 || name === '') throw new Fault('InvalidRequest', 'an extra header is not `Name: value`');
  return [name, line.slice(colon + 1).trim()];
}

/** What of the source's secrets and config maps is missing now, and of those of the way to it; undefined where all are there. */
export async function missingOf(
  content: SourceContent,
  { reader, namespace, cdiConfig, serviceNamespace }: Omit<SourceContext, 'onePass'>,
): Promise<Fault | undefined> {
  const { secrets, configMaps } = namesOf(content);
  for (const name of secrets) {
    if ((await reader.get(resources.secrets, { namespace, name })) !== undefined) continue;
    return new Fault('SecretMissing', `secret ${namespace}/${name}`);
  }
  const authorities = proxyAuthoritiesOf(cdiConfig);
  const places = [
    ...configMaps.map((name) => ({ namespace, name })),
    ...(authorities === undefined ? [] : [{ namespace: serviceNamespace, name: authorities }]),
  ];
  for (const place of places) {
    if ((await reader.get(resources.configMaps, place)) !== undefined) continue;
    return new Fault('SecretMissing', `config map ${place.namespace}/${place.name}`);
  }
  return undefined;
}
