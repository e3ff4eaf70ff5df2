// The accounts of the chart's processes on a cluster without a node, with the rights that the chart gives them and no others; and clients that act as them.
import { KubeClient } from '../../cluster/kube-client.ts';
import { type Manifest, releaseNamespace, renderChart } from './chart.ts';
import type { ControlPlane } from './control-plane.ts';
import type { Kubectl } from './kubectl.ts';

const ofAccounts = ['ServiceAccount', 'ClusterRole', 'ClusterRoleBinding', 'Role', 'RoleBinding'];

/**
 * Makes the namespace of the release, and the chart's accounts and roles.
 * @returns everything else that the chart brings
 */
export async function installAccounts(kubectl: Kubectl): Promise<Manifest[]> {
  await kubectl.out(['create', 'namespace', releaseNamespace]);
  const manifests = await renderChart();
  const accounts = manifests.filter(({ kind }) => ofAccounts.includes(kind));
  await kubectl.out(['create', '-f', '-'], accounts.map((one) => JSON.stringify(one)).join('\n'));
  return manifests.filter(({ kind }) => !ofAccounts.includes(kind));
}

export interface TokenWishes {
  namespace?: string;
  audience?: string;
  /** That it ends with. */
  pod?: { name: string; uid: string };
}

/** A token of a service account, as kube-apiserver makes it by a TokenRequest. */
export async function tokenOf(kubectl: Kubectl, account: string, wishes: TokenWishes = {}): Promise<string> {
  const { namespace = releaseNamespace, audience, pod } = wishes;
  const bound = pod && ['--bound-object-kind=Pod', `--bound-object-name=${pod.name}`, `--bound-object-uid=${pod.uid}`];
  const audiences = audience === undefined ? [] : [`--audience=${audience}`];
  return (await kubectl.out(['create', 'token', account, '-n', namespace, ...audiences, ...(bound ?? [])])).trim();
}

/** Speaks to kube-apiserver as that account of the release. */
export async function clientOf(plane: ControlPlane, kubectl: Kubectl, account: string): Promise<KubeClient> {
  const token = await tokenOf(kubectl, account);
  return new KubeClient({ server: plane.server, ca: plane.ca, client: undefined, token: async () => token });
}
