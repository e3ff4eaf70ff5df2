// Finds the running service by its data directory: DIR/kubeconfig names the API, the CA to trust and the token.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Static, Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { Fault, toFault } from '../domain/fault.ts';

export interface ServiceAccess {
  /** https URL of the API. */
  server: string;
  /** PEM of the CA that signed the certificates of API and upload proxy. */
  ca: string;
  token: string;
  kubeconfigPath: string;
}

const Kubeconfig = Type.Object({
  'current-context': Type.Optional(Type.String()),
  clusters: Type.Array(
    Type.Object({
      name: Type.String(),
      cluster: Type.Object({
        server: Type.String(),
        'certificate-authority-data': Type.Optional(Type.String()),
        'certificate-authority': Type.Optional(Type.String()),
      }),
    }),
  ),
  contexts: Type.Optional(
    Type.Array(
      Type.Object({ name: Type.String(), context: Type.Object({ cluster: Type.String(), user: Type.String() }) }),
    ),
  ),
  users: Type.Array(Type.Object({ name: Type.String(), user: Type.Object({ token: Type.Optional(Type.String()) }) })),
});

/** @throws Fault ServiceUnreachable where no service ever ran there, PermissionDenied, InvalidSetting where the file is damaged */
export async function readServiceAccess(dataDirectory: string): Promise<ServiceAccess> {
  const kubeconfigPath = join(dataDirectory, 'kubeconfig');
  const { parse } = await import('yaml');
  const parsed: unknown = parse(await readKubeconfig(kubeconfigPath));
  const validator = Compile(Kubeconfig);
  if (!validator.Check(parsed)) throw new Fault('InvalidSetting', `${kubeconfigPath} is no kubeconfig`);
  return accessOf(parsed, kubeconfigPath);
}

export async function readKubeconfig(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    if (missing) throw new Fault('ServiceUnreachable', `there is no ${path}`, { cause: error });
    throw toFault(error);
  }
}

async function accessOf(config: Static<typeof Kubeconfig>, kubeconfigPath: string): Promise<ServiceAccess> {
  const context = config.contexts?.find(({ name }) => name === config['current-context'])?.context;
  const cluster = config.clusters.find(({ name }) => context === undefined || name === context.cluster)?.cluster;
  const user = config.users.find(({ name }) => context === undefined || name === context.user)?.user;
  const token = user?.token;
  if (cluster === undefined || token === undefined) {
    throw new Fault('InvalidSetting', `${kubeconfigPath} names no server with a token`);
  }
  const inline = cluster['certificate-authority-data'];
  const file = cluster['certificate-authority'];
  const ca = inline !== undefined ? Buffer.from(inline, 'base64').toString('utf8') : await readFile(file ?? '', 'utf8');
  return { server: cluster.server.replace(/\/$/, ''), ca, token, kubeconfigPath };
}
