// What tests may rely on in a cluster: a node that runs pods, names of Services, ways in and out, and components that come back after a kill.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { closeServer, listenOn } from '../../runtime/listen.ts';
import { nodeName } from './credentials.ts';
import { busyboxImage } from './node/images.ts';
import { findMachine } from './node/machine.ts';
import { type TestCluster, testCluster } from './test-cluster.ts';
import { until } from './until.ts';

const namespace = `node-test-${process.pid}`;
const patienceMs = 60_000;

let cluster: TestCluster;

function pod(name: string, command: readonly string[]): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels: { app: name } },
    spec: { terminationGracePeriodSeconds: 1, containers: [{ name: 'main', image: busyboxImage, command }] },
  };
}

function kubectl(...args: string[]): Promise<string> {
  return cluster.kubectl.out(['--namespace', namespace, ...args]);
}

async function create(...objects: object[]): Promise<void> {
  const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects });
  await cluster.kubectl.out(['--namespace', namespace, 'create', '-f', '-'], list);
}

/** In the pod `client`, until it answers: rules for a new Service come a moment after it. */
async function fetchedByClient(url: string): Promise<string> {
  return until(`an answer from ${url}`, patienceMs, async () => {
    const { code, out } = await cluster.kubectl.answer([
      ...['--namespace', namespace, 'exec', 'client', '--'],
      ...['wget', '-q', '-O', '-', url],
    ]);
    return code === 0 && out;
  });
}

beforeAll(async () => {
  cluster = await testCluster();
  await cluster.kubectl.out(['create', 'namespace', namespace]);
  const serve = 'mkdir /tmp/www; echo from web >/tmp/www/index.html; echo serving; exec httpd -f -p 8080 -h /tmp/www';
  await create(pod('web', ['sh', '-c', serve]), pod('client', ['sleep', 'infinity']), {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'web' },
    spec: { type: 'NodePort', selector: { app: 'web' }, ports: [{ port: 80, targetPort: 8080 }] },
  });
  await kubectl('wait', '--for=condition=Ready', 'pod/web', 'pod/client', '--timeout=120s');
});

afterAll(() => cluster?.kubectl.out(['delete', 'namespace', namespace]));

describe('a cluster', () => {
  test('has a Ready node of Kubernetes 1.34', async () => {
    const nodes = await kubectl('get', 'nodes', '--no-headers');
    expect(nodes).toMatch(
      cluster.node === undefined ? / Ready / : new RegExp(`^${nodeName} +Ready .* v1\\.34\\.\\d+\n$`),
    );
  });

  test('keeps the log of a pod, and runs a command in it', async () => {
    expect(await kubectl('logs', 'web')).toBe('serving\n');
    expect(await kubectl('exec', 'client', '--', 'sh', '-c', 'echo $((6 * 7))')).toBe('42\n');
  });

  test('lets a pod reach the Service of another by its name', async () => {
    expect(await fetchedByClient(`http://web.${namespace}.svc.cluster.local`)).toBe('from web\n');
    expect(await fetchedByClient('http://web')).toBe('from web\n');
  });

  test('forwards a port of a pod to this host', async () => {
    const args = ['--kubeconfig', cluster.kubeconfig, '--namespace', namespace, 'port-forward', 'pod/web', ':8080'];
    const forwarding = spawn(cluster.programs.kubectl, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = once(forwarding, 'exit');
    try {
      const [said] = await once(forwarding.stdout, 'data');
      const port = /^Forwarding from 127\.0\.0\.1:(\d+) /.exec(String(said))?.[1];
      expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe('from web\n');
    } finally {
      forwarding.kill();
      await ended;
    }
  });

  test('lets a pod reach a server on this host', async () => {
    const server = createServer((_request, response) => response.end('from the host\n'));
    const { port } = await listenOn(server, { host: cluster.hostAddress(), port: 0 });
    expect(await fetchedByClient(`http://${cluster.hostAddress()}:${port}/`)).toBe('from the host\n');
    await closeServer(server);
  });
});

describe('the node', () => {
  test('is reached by this host at the ports of Services, and reaches Services as kube-apiserver must for webhooks', async ({
    skip,
  }) => {
    const { node } = cluster;
    if (node === undefined) return skip('where the node of another cluster is, is not ours to know');
    const [address, port] = (
      await kubectl('get', 'service', 'web', '-o', 'jsonpath={.spec.clusterIP} {.spec.ports[0].nodePort}')
    ).split(' ');
    expect(await (await fetch(`http://${node.nodeAddress}:${port}/`)).text()).toBe('from web\n');
    expect(await findMachine(node.directory)?.run(['curl', '--silent', '--max-time', '10', `http://${address}/`])).toBe(
      'from web\n',
    );
  });
});

describe('a component that was killed', () => {
  test.for(['kubelet', 'apiserver', 'containerd'] as const)(
    'comes back with what it held: %s',
    async (component, { skip }) => {
      const { node } = cluster;
      if (node === undefined) return skip('a component of another cluster is not ours to kill');
      const started = await kubectl('get', 'pod', 'web', '-o', 'jsonpath={.status.containerStatuses[0].containerID}');
      await node.kill(component);
      await node.start(component);
      await kubectl('wait', '--for=condition=Ready', `node/${nodeName}`, '--timeout=60s');
      const after = `after-${component}`;
      await create(pod(after, ['sleep', 'infinity']));
      await kubectl('wait', '--for=condition=Ready', `pod/${after}`, '--timeout=120s');
      expect(await kubectl('get', 'pod', 'web', '-o', 'jsonpath={.status.containerStatuses[0].containerID}')).toBe(
        started,
      );
      expect(await fetchedByClient('http://web')).toBe('from web\n');
    },
  );
});
