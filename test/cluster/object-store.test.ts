// The object store over a real kube-apiserver: the suite that the embedded store passes too, and what only a server that goes away can show.
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { KubeClient } from '../../cluster/kube-client.ts';
import { kubeconfigCredentials } from '../../cluster/kube-credentials.ts';
import { KubeObjectStore } from '../../cluster/kube-object-store.ts';
import type { ConfigMap } from '../../domain/kube-shapes.ts';
import { resources } from '../../domain/resources.ts';
import { objectStoreContract } from '../contract/object-store.ts';
import { programsOf } from './build-programs.ts';
import { type ControlPlane, startControlPlane } from './control-plane.ts';
import { Kubectl } from './kubectl.ts';

const folder = join(import.meta.dirname, '../../charts/longshore/files/crds');
let plane: ControlPlane;
let client: KubeClient;

beforeAll(async () => {
  plane = await startControlPlane({ components: ['etcd', 'apiserver'] });
  const kubectl = new Kubectl(join(await programsOf('kubernetes', () => undefined), 'kubectl'), plane.kubeconfig);
  await kubectl.out(['apply', '--server-side', '-f', folder]);
  await kubectl.out(['wait', '--for=condition=Established', '--timeout=60s', '-f', folder]);
  client = new KubeClient(await kubeconfigCredentials(plane.kubeconfig));
});

afterAll(async () => {
  await client.close();
  await plane.stop();
});

let namespaces = 0;

async function freshNamespace(store: KubeObjectStore): Promise<string> {
  namespaces += 1;
  const name = `contract-${namespaces}`;
  await store.create(resources.namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
  return name;
}

objectStoreContract('kube-apiserver', async () => {
  const store = new KubeObjectStore(client);
  return { store, namespace: await freshNamespace(store), dispose: async () => undefined };
});

describe('an API server that goes away', () => {
  test('is told of as a service that is not reachable, and a watch goes on when it is back', async () => {
    const store = new KubeObjectStore(client);
    const namespace = await freshNamespace(store);
    const configMap = (name: string): ConfigMap => ({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { namespace, name },
    });
    const ending = new AbortController();
    const told: string[] = [];
    const watching = (async () => {
      for await (const event of store.watch(resources.configMaps, { namespace, signal: ending.signal })) {
        told.push(event.type === 'BOOKMARK' ? 'BOOKMARK' : `${event.type} ${event.object.metadata.name}`);
      }
    })();
    await vi.waitFor(() => expect(told).toContain('BOOKMARK'));
    await plane.kill('apiserver');
    await expect(store.list(resources.configMaps, { namespace })).rejects.toMatchObject({ code: 'ServiceUnreachable' });
    await plane.start('apiserver');
    await store.create(resources.configMaps, configMap('after'));
    await vi.waitFor(() => expect(told).toContain('ADDED after'), { timeout: 30_000 });
    expect(told.filter((line) => line === 'ADDED after')).toHaveLength(1);
    ending.abort();
    await watching;
  });
});
