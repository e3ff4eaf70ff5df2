// What makes the machine a node of the cluster: kubelet and kube-proxy, with what each is started with and when it counts as ready.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { answers } from '../answers.ts';
import { type Credentials, nodeName } from '../credentials.ts';
import type { Launch } from '../processes.ts';
import { cgroupOf } from './cgroups.ts';
import { containerdSocket } from './containerd.ts';
import { dnsServiceAddress, podRange } from './network.ts';

export interface NodeSettings {
  /** Where the cluster keeps its state. */
  directory: string;
  /** Where the programs lie. */
  programs: string;
  credentials: Credentials;
  /** Of the node. */
  address: string;
}

const kubeletHealthPort = 10_248;
const proxyHealthPort = 10_256;

export async function launchKubelet({ directory, programs, credentials, address }: NodeSettings): Promise<Launch> {
  const pki = (name: string) => join(credentials.directory, name);
  const resolverSettings = join(directory, 'resolv.conf');
  await writeFile(resolverSettings, '');
  const settings = join(directory, 'kubelet.yaml');
  await writeSettings(settings, {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    address,
    healthzBindAddress: address,
    healthzPort: kubeletHealthPort,
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: pki('ca.crt') },
    },
    authorization: { mode: 'Webhook' },
    tlsCertFile: pki('kubelet.crt'),
    tlsPrivateKeyFile: pki('kubelet.key'),
    containerRuntimeEndpoint: `unix://${containerdSocket}`,
    cgroupDriver: 'cgroupfs',
    cgroupRoot: `/${cgroupOf(directory)}`,
    clusterDNS: [dnsServiceAddress],
    clusterDomain: 'cluster.local',
    resolvConf: resolverSettings,
    failSwapOn: false,
    oomScoreAdj: 0,
    // The disk is the host's: how full that is, is none of the cluster's business until it is full.
    evictionHard: { 'memory.available': '50Mi', 'nodefs.available': '1%', 'imagefs.available': '1%' },
    imageGCHighThresholdPercent: 100,
    imageGCLowThresholdPercent: 99,
  });
  const argv = [
    join(programs, 'kubelet'),
    ...[`--config=${settings}`, `--kubeconfig=${credentials.kubeconfigOf('kubelet')}`],
    ...[`--hostname-override=${nodeName}`, `--node-ip=${address}`],
  ];
  return { argv, isReady: () => answers({ host: address, port: kubeletHealthPort, path: '/healthz' }) };
}

export async function launchProxy({ directory, programs, credentials, address }: NodeSettings): Promise<Launch> {
  const settings = join(directory, 'kube-proxy.yaml');
  await writeSettings(settings, {
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    mode: 'iptables',
    clusterCIDR: podRange,
    hostnameOverride: nodeName,
    clientConnection: { kubeconfig: credentials.kubeconfigOf('proxy') },
    oomScoreAdj: 0,
    // Sizes and timeouts of connection tracking are the host's, partly for all name spaces.
    conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: '0s', tcpCloseWaitTimeout: '0s' },
    healthzBindAddress: `${address}:${proxyHealthPort}`,
    metricsBindAddress: '127.0.0.1:10249',
    iptables: { minSyncPeriod: '0s' },
  });
  const argv = [join(programs, 'kube-proxy'), `--config=${settings}`];
  return { argv, isReady: () => answers({ host: address, port: proxyHealthPort, path: '/healthz' }) };
}

/** JSON is YAML. */
async function writeSettings(path: string, content: object): Promise<void> {
  await writeFile(path, JSON.stringify(content, null, 2));
}
