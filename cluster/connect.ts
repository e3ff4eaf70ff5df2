// A process's way to kube-apiserver, from its settings: as a pod, or by a kubeconfig.
import { Fault } from '../domain/fault.ts';
import type { Config } from '../runtime/config.ts';
import { KubeClient } from './kube-client.ts';
import { kubeconfigCredentials, podCredentials } from './kube-credentials.ts';
import { KubeObjectStore } from './kube-object-store.ts';

export interface ClusterConnection {
  client: KubeClient;
  store: KubeObjectStore;
}

/** @throws Fault InvalidSetting */
export async function connectToCluster(
  config: Pick<Config, 'kubeconfig' | 'kubeHost' | 'kubePort'>,
): Promise<ClusterConnection> {
  if (config.kubeconfig === '' && config.kubeHost === '') {
    throw new Fault('InvalidSetting', 'this is no pod, and LONGSHORE_KUBECONFIG names no kubeconfig');
  }
  const credentials =
    config.kubeconfig === ''
      ? await podCredentials(config.kubeHost, config.kubePort)
      : await kubeconfigCredentials(config.kubeconfig);
  const client = new KubeClient(credentials);
  return { client, store: new KubeObjectStore(client) };
}
