// How a process of ours reaches kube-apiserver: as a pod, by the files of its service account; elsewhere, by a kubeconfig with a token or a client
// certificate. Kubeconfigs that run programs for credentials are refused: processes are pods. See docs/decisions/011-kube-client.md.
import { readFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { parse } from 'yaml';
import { Fault } from '../domain/fault.ts';

export interface KubeCredentials {
  /** https URL without a path. */
  readonly server: string;
  /** PEM of the CAs that may vouch for the server; undefined: the system's. */
  readonly ca: string | undefined;
  /** PEM, where the process shows a certificate. */
  readonly client: { readonly cert: string; readonly key: string } | undefined;
  /** The bearer token to send now; undefined where the certificate says who we are. */
  token(): Promise<string | undefined>;
}

/** Where the kubelet puts a pod's service account. */
const serviceAccountDirectory = '/var/run/secrets/kubernetes.io/serviceaccount';
/** The kubelet renews the token in its file well before its end; the file is read again this often. */
const tokenAgeMs = 60_000;

/**
 * Credentials of a pod.
 * @param host KUBERNETES_SERVICE_HOST
 * @param port KUBERNETES_SERVICE_PORT
 * @throws Fault InvalidSetting where the files are not there
 */
export async function podCredentials(
  host: string,
  port: number,
  directory = serviceAccountDirectory,
): Promise<KubeCredentials> {
  const ca = await readText(join(directory, 'ca.crt'));
  const token = renewedText(join(directory, 'token'));
  await token();
  return { server: `https://${host.includes(':') ? `[${host}]` : host}:${port}`, ca, client: undefined, token };
}

const Cluster = Type.Object({
  server: Type.String(),
  'certificate-authority': Type.Optional(Type.String()),
  'certificate-authority-data': Type.Optional(Type.String()),
});
const Context = Type.Object({ cluster: Type.String(), user: Type.String() });
const User = Type.Object({
  token: Type.Optional(Type.String()),
  tokenFile: Type.Optional(Type.String()),
  'client-certificate': Type.Optional(Type.String()),
  'client-certificate-data': Type.Optional(Type.String()),
  'client-key': Type.Optional(Type.String()),
  'client-key-data': Type.Optional(Type.String()),
});
const Kubeconfig = Compile(
  Type.Object({
    'current-context': Type.String(),
    clusters: Type.Array(Type.Object({ name: Type.String(), cluster: Cluster })),
    contexts: Type.Array(Type.Object({ name: Type.String(), context: Context })),
    users: Type.Array(Type.Object({ name: Type.String(), user: User })),
  }),
);

/**
 * Credentials of the current context of a kubeconfig.
 * @throws Fault InvalidSetting naming what is missing
 */
export async function kubeconfigCredentials(path: string): Promise<KubeCredentials> {
  const config: unknown = parse(await readText(path));
  if (!Kubeconfig.Check(config)) throw new Fault('InvalidSetting', `${path} is not a kubeconfig that can be used`);
  const wanted = config['current-context'];
  const context = config.contexts.find(({ name }) => name === wanted)?.context;
  const cluster = config.clusters.find(({ name }) => name === context?.cluster)?.cluster;
  const user = config.users.find(({ name }) => name === context?.user)?.user;
  if (cluster === undefined || user === undefined) {
    throw new Fault('InvalidSetting', `${path} has no context, cluster or user for ${wanted}`);
  }
  const pem = (data: string | undefined, file: string | undefined) => pemOf(data, file, dirname(path));
  const ca = await pem(cluster['certificate-authority-data'], cluster['certificate-authority']);
  const cert = await pem(user['client-certificate-data'], user['client-certificate']);
  const key = await pem(user['client-key-data'], user['client-key']);
  const { token, tokenFile } = user;
  const tokenOf = tokenFile === undefined ? async () => token : renewedText(resolve(dirname(path), tokenFile));
  if (cert === undefined && (await tokenOf()) === undefined) {
    throw new Fault('InvalidSetting', `${path} names neither a token nor a client certificate for ${wanted}`);
  }
  return {
    server: new URL(cluster.server).origin,
    ca,
    client: cert === undefined || key === undefined ? undefined : { cert, key },
    token: tokenOf,
  };
}

async function pemOf(data: string | undefined, file: string | undefined, base: string): Promise<string | undefined> {
  if (data !== undefined) return Buffer.from(data, 'base64').toString('utf8');
  return file === undefined ? undefined : readText(resolve(base, file));
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new Fault('InvalidSetting', `${path} cannot be read`, { cause: error });
  }
}

/** The content of a file that somebody else renews. */
function renewedText(path: string): () => Promise<string> {
  let known: { text: string; readAt: number } | undefined;
  return async () => {
    if (known === undefined || performance.now() - known.readAt > tokenAgeMs) {
      known = { text: (await readText(path)).trim(), readAt: performance.now() };
    }
    return known.text;
  };
}
