// With what right an image is pulled: CDI's secret with accessKeyId and secretKey, or one as `kubectl create secret docker-registry` makes it. Pure.
import { type Static, Type } from 'typebox';
import { Compile } from 'typebox/compile';
import type { CdiConfig } from '../../domain/custom-resources/cdi-config.ts';
import { Fault } from '../../domain/fault.ts';
import { parseImageReference } from '../../domain/image-reference.ts';
import type { Secret } from '../../domain/kube-shapes.ts';

export interface RegistryUser {
  username: string;
  password: string;
}

const DockerAuth = Type.Object({
  username: Type.Optional(Type.String()),
  password: Type.Optional(Type.String()),
  /** `user:password` in base64. */
  auth: Type.Optional(Type.String()),
});
type DockerAuth = Static<typeof DockerAuth>;
const DockerAuths = Type.Record(Type.String(), DockerAuth);
const check = Compile(DockerAuths);

/** As `docker login` writes the hub's. */
const hubKey = 'index.docker.io/v1/';

/** Whether CDIConfig lists the host of a `docker://` URL, literally, among the insecure registries. */
export function insecureRegistry(cdiConfig: CdiConfig | undefined, url: string): boolean {
  const host = parseImageReference(url)?.host;
  return host !== undefined && (cdiConfig?.spec.insecureRegistries ?? []).includes(host);
}

/** @throws Fault SecretMissing where the secret tells no user, or none for that registry */
export function registryUser(secret: Secret, url: string): RegistryUser {
  const { namespace = '', name } = secret.metadata;
  const [username, password] = [textOf(secret, 'accessKeyId'), textOf(secret, 'secretKey')];
  if (username !== undefined && password !== undefined) return { username, password };
  const auths = dockerAuths(secret);
  if (auths === undefined) {
    const wanted = 'neither accessKeyId and secretKey nor a .dockerconfigjson that can be read';
    throw new Fault('SecretMissing', `secret ${namespace}/${name} has ${wanted}`);
  }
  const reference = parseImageReference(url);
  const place = `${reference?.host ?? ''}/${reference?.repository ?? ''}`;
  const user = userOf(nearest(auths, place));
  if (user !== undefined) return user;
  throw new Fault('SecretMissing', `secret ${namespace}/${name} has no user for ${reference?.host ?? url}`);
}

function dockerAuths(secret: Secret): Record<string, DockerAuth> | undefined {
  const text = textOf(secret, '.dockerconfigjson') ?? textOf(secret, '.dockercfg');
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    const auths = typeof value === 'object' && value !== null ? (Reflect.get(value, 'auths') ?? value) : undefined;
    return check.Check(auths) ? auths : undefined;
  } catch {
    // Not JSON: the caller says that it cannot be read.
    return undefined;
  }
}

/** The entry whose key is the longest beginning of `host/repository`, whole parts only. */
function nearest(auths: Readonly<Record<string, DockerAuth>>, place: string): DockerAuth | undefined {
  const found = Object.entries(auths).map(([key, auth]) => ({ key: plainKey(key), auth }));
  const fitting = found.filter(({ key }) => place === key || place.startsWith(`${key}/`));
  return fitting.toSorted((one, other) => other.key.length - one.key.length)[0]?.auth;
}

/** A key may be a URL, as older clients wrote it. */
function plainKey(key: string): string {
  const bare = key.replace(/^https?:\/\//, '');
  if (bare === hubKey || bare === 'index.docker.io') return 'docker.io';
  return bare.replace(/\/(v1\/?|v2\/?)?$/, '');
}

function userOf(auth: DockerAuth | undefined): RegistryUser | undefined {
  if (auth === undefined) return undefined;
  const { username = '', password = '' } = auth;
  if (username !== '') return { username, password };
  const text = Buffer.from(auth.auth ?? '', 'base64').toString();
  const colon = text.indexOf(':');
  return colon < 1 ? undefined : { username: text.slice(0, colon), password: text.slice(colon + 1) };
}

function textOf(secret: Secret, key: string): string | undefined {
  const value = secret.data?.[key];
  return value === undefined ? undefined : Buffer.from(value, 'base64').toString();
}
