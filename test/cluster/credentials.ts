// Who is who in a test cluster: a certificate authority for the servers, a token a client, one kubeconfig each.
// Certificates stand only where Kubernetes takes nothing else: its servers, and kube-apiserver when it dials a kubelet or an aggregated API.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CertificateAuthority } from '../../runtime/certificates.ts';
import { readKubeconfigToken, writeKubeconfig } from '../../runtime/kubeconfig.ts';
import { firstServiceAddress } from './addresses.ts';

export const nodeName = 'longshore-node';
/** CN with which kube-apiserver dials the kubelet. */
const kubeletClientName = 'kube-apiserver-kubelet-client';
/** CN with which kube-apiserver dials aggregated APIs. */
export const frontProxyName = 'front-proxy-client';

const clients = {
  admin: { user: 'kubernetes-admin', group: 'system:masters' },
  'controller-manager': { user: 'system:kube-controller-manager' },
  scheduler: { user: 'system:kube-scheduler' },
  proxy: { user: 'system:kube-proxy' },
  kubelet: { user: `system:node:${nodeName}`, group: 'system:nodes' },
} as const satisfies Record<string, { user: string; group?: string }>;

export type ClientName = keyof typeof clients;

export interface Credentials {
  directory: string;
  /** PEM of the authority that signed the servers' certificates. */
  ca: string;
  adminToken: string;
  /** https URL of kube-apiserver. */
  server: string;
  kubeconfigOf(client: ClientName): string;
}

/** Those of a cluster that was started before. */
export async function readCredentials(directory: string, server: string): Promise<Credentials> {
  const kubeconfigOf = kubeconfigs(directory);
  const ca = await readFile(join(directory, 'ca.crt'), 'utf8');
  const adminToken = (await readKubeconfigToken(kubeconfigOf('admin'))) ?? '';
  return { directory, ca, adminToken, server, kubeconfigOf };
}

/** @param serverAddress where clients find kube-apiserver */
export async function makeCredentials(
  directory: string,
  { serverAddress, port }: { serverAddress: string; port: number },
): Promise<Credentials> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const authority = await CertificateAuthority.openOrCreate(directory);
  await issueServerPairs(authority, serverAddress);
  const frontProxy = await CertificateAuthority.openOrCreate(join(directory, 'front-proxy'));
  await frontProxy.issue({ name: 'client', cn: frontProxyName, hosts: [], usages: ['client'] });
  await writeServiceAccountKey(directory);
  const server = `https://${serverAddress}:${port}`;
  const tokens = await writeClients(directory, { server, ca: authority.certificate });
  return {
    directory,
    ca: authority.certificate,
    adminToken: tokens.admin,
    server,
    kubeconfigOf: kubeconfigs(directory),
  };
}

function kubeconfigs(directory: string): Credentials['kubeconfigOf'] {
  return (client) => join(directory, `${client}.kubeconfig`);
}

async function issueServerPairs(authority: CertificateAuthority, address: string): Promise<void> {
  const serviceNames = ['kubernetes', 'kubernetes.default', 'kubernetes.default.svc'];
  const names = [...serviceNames, 'kubernetes.default.svc.cluster.local', 'localhost'];
  const hosts = [...names, '127.0.0.1', address, firstServiceAddress];
  await authority.issue({ name: 'apiserver', cn: 'kube-apiserver', hosts, usages: ['server'] });
  await authority.issue({ name: 'kubelet', cn: nodeName, hosts: [nodeName, address], usages: ['server'] });
  await authority.issue({ name: 'kubelet-client', cn: kubeletClientName, hosts: [], usages: ['client'] });
}

/** Signs and checks the tokens of service accounts. */
async function writeServiceAccountKey(directory: string): Promise<void> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' });
  await writeFile(join(directory, 'service-account.key'), key, { mode: 0o600 });
  await writeFile(join(directory, 'service-account.pub'), publicKey.export({ type: 'spki', format: 'pem' }));
}

/** tokens.csv is what kube-apiserver reads: token, user, uid, groups. */
async function writeClients(directory: string, { server, ca }: { server: string; ca: string }) {
  const tokens: Partial<Record<ClientName, string>> = {};
  const lines: string[] = [];
  for (const [name, client] of Object.entries(clients)) {
    const token = randomBytes(24).toString('base64url');
    // Safe: the keys of the very table that ClientName is derived from.
    tokens[name as ClientName] = token;
    lines.push([token, client.user, client.user, ...('group' in client ? [client.group] : [])].join(','));
    await writeKubeconfig(join(directory, `${name}.kubeconfig`), { server, ca, user: client.user, token });
  }
  await writeFile(join(directory, 'tokens.csv'), `${lines.join('\n')}\n`, { mode: 0o600 });
  return { admin: tokens.admin ?? '' };
}
