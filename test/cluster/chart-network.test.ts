// The network policies of the chart against the list of connections that there are: each is let through at both ends, and no other is.
import { describe, expect, test } from 'vitest';
import { find, type Manifest, podsOf, renderChart } from './chart.ts';

interface Peer {
  podSelector?: { matchLabels: Record<string, string> };
  namespaceSelector?: object;
}
interface Rule {
  from?: Peer[];
  to?: Peer[];
  ports?: { port: number; protocol?: string }[];
}
interface PolicySpec {
  podSelector: { matchLabels: Record<string, string> };
  policyTypes: string[];
  ingress: Rule[];
  egress: Rule[];
}

const processes = ['api', 'controller', 'uploadproxy', 'worker', 'redis', 'test'] as const;
type Process = (typeof processes)[number];

function policyOf(manifests: readonly Manifest[], process: Process): PolicySpec {
  // Safe: the shape of a NetworkPolicy, which chart-objects.test.ts has kube-apiserver look at.
  return find(manifests, 'NetworkPolicy', `longshore-${process}`)['spec'] as PolicySpec;
}

function isMeant(peers: Peer[] | undefined, labels: Record<string, string>): boolean {
  if (peers === undefined) return true;
  return peers.some(({ podSelector, namespaceSelector }) => {
    if (podSelector === undefined || namespaceSelector !== undefined) return false;
    return Object.entries(podSelector.matchLabels).every(([name, value]) => labels[name] === value);
  });
}

function lets(rules: Rule[], end: 'from' | 'to', labels: Record<string, string>, port: number): boolean {
  return rules.some(
    (rule) => isMeant(rule[end], labels) && (rule.ports === undefined || rule.ports.some((each) => each.port === port)),
  );
}

function labelsOf(manifests: readonly Manifest[], process: Process): Record<string, string> {
  const pods = [...podsOf(manifests).values()];
  const labels = pods.map(({ metadata }) => metadata.labels);
  const own = labels.find((each) => each['app.kubernetes.io/component'] === process);
  if (own === undefined) throw new Error(`the chart brings no pod of ${process}`);
  return own;
}

/** Ports on which any of the pods listens. */
function portsOf(manifests: readonly Manifest[]): number[] {
  const containers = [...podsOf(manifests).values()].flatMap(({ spec }) => spec.containers);
  return [...new Set(containers.flatMap(({ ports = [] }) => ports.map(({ containerPort }) => containerPort)))];
}

async function connections(values: object = {}): Promise<string[]> {
  const manifests = await renderChart(values);
  return processes.flatMap((from) =>
    processes.flatMap((to) =>
      portsOf(manifests).flatMap((port) => {
        const leaves = lets(policyOf(manifests, from).egress, 'to', labelsOf(manifests, to), port);
        const comesIn = lets(policyOf(manifests, to).ingress, 'from', labelsOf(manifests, from), port);
        return from !== to && leaves && comesIn ? [`${from} → ${to}:${port}`] : [];
      }),
    ),
  );
}

describe('the network policies', () => {
  test('let pods of ours connect where they do, and nowhere else', async () => {
    expect((await connections()).sort()).toEqual(
      [
        ...['controller → redis:6379', 'uploadproxy → redis:6379', 'worker → redis:6379'],
        ...['worker → controller:7442', 'worker → controller:7443', 'uploadproxy → worker:8444'],
        // Open to all, for kube-apiserver and clients; a worker may go anywhere, since images come from anywhere.
        ...['worker → api:8443', 'worker → uploadproxy:8443', 'test → api:8443', 'test → uploadproxy:8443'],
      ].sort(),
    );
  });

  test('choose every pod, in both directions', async () => {
    const manifests = await renderChart();
    const policies = processes.map((process) => policyOf(manifests, process));
    for (const { metadata } of podsOf(manifests).values()) {
      const mine = policies.filter(({ podSelector }) => isMeant([{ podSelector }], metadata.labels));
      expect(mine.map(({ policyTypes }) => policyTypes)).toEqual([['Ingress', 'Egress']]);
    }
  });

  test('let only those read metrics who are named', async () => {
    const monitoring = { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'monitoring' } } };
    const [closed, open] = [await renderChart(), await renderChart({ networkPolicies: { metricsFrom: [monitoring] } })];
    for (const process of ['api', 'controller', 'uploadproxy', 'worker'] as const) {
      const isMetrics = ({ ports = [] }: Rule) => ports.some(({ port }) => port === 8080);
      expect(policyOf(closed, process).ingress.filter(isMetrics)).toEqual([]);
      expect(policyOf(open, process).ingress.filter(isMetrics)).toEqual([
        { from: [monitoring], ports: [{ port: 8080 }] },
      ]);
    }
  });

  test('let nobody into Redis from elsewhere, and Redis nowhere', async () => {
    const { ingress, egress } = policyOf(await renderChart(), 'redis');
    expect([lets(ingress, 'from', { 'app.kubernetes.io/name': 'other' }, 6379), egress]).toEqual([false, []]);
  });
});
