// Everything that the chart would install, asked of a real kube-apiserver: it takes each object as it is, with no field that it does not know, and lets the
// pods into a namespace of the level `restricted`, but for the worker's. No node is needed.
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { programsOf } from './build-programs.ts';
import { examples, type Manifest, type PodTemplate, podsOf, releaseNamespace, renderChart } from './chart.ts';
import { type ControlPlane, startControlPlane } from './control-plane.ts';
import { Kubectl } from './kubectl.ts';
import type { Answer } from './run-program.ts';
import { until } from './until.ts';

let cluster: ControlPlane;
let kubectl: Kubectl;

beforeAll(async () => {
  const say = (line: string) => process.stderr.write(`${line}\n`);
  cluster = await startControlPlane({ components: ['etcd', 'apiserver'], say });
  kubectl = new Kubectl(join(await programsOf('kubernetes', say), 'kubectl'), cluster.kubeconfig);
  await kubectl.out(['create', 'namespace', releaseNamespace]);
  await kubectl.out(['create', 'serviceaccount', 'default', '-n', releaseNamespace]);
});

afterAll(() => cluster?.stop());

function asText(manifests: readonly object[]): string {
  return manifests.map((manifest) => JSON.stringify(manifest)).join('\n');
}

/** Those of the Prometheus operator are not known to a cluster without it. */
function isOfOperator({ apiVersion }: Manifest): boolean {
  return apiVersion.startsWith('monitoring.coreos.com/');
}

function tryOut(manifests: readonly object[]): Promise<Answer> {
  const args = ['apply', '--dry-run=server', '--validate=strict', '-f', '-'];
  return kubectl.answer(args, asText(manifests));
}

describe('kube-apiserver takes everything that the chart brings', () => {
  test.for(Object.entries(examples))('with %s', async ([, values]) => {
    const manifests = (await renderChart(values)).filter((manifest) => !isOfOperator(manifest));
    const { code, out, err } = await tryOut(manifests);
    expect([code, err]).toEqual([0, '']);
    expect(out.trim().split('\n')).toHaveLength(manifests.length);
  });

  test('and would say so of a field that it does not know', async () => {
    const manifests = await renderChart();
    const service = manifests.find(({ kind }) => kind === 'Service');
    const { code, err } = await tryOut([{ ...service, spec: { ...(service?.['spec'] as object), portz: [] } }]);
    expect([code, err]).toEqual([1, expect.stringContaining('unknown field "spec.portz"')]);
  });
});

test('a cluster with the Prometheus operator takes what is for that, and would say so of a field that it does not know', async () => {
  const crds = join(await programsOf('operator-crds', () => undefined), 'crds');
  for (const kinds of ['servicemonitors', 'prometheusrules']) {
    await kubectl.out(['create', '-f', join(crds, `monitoring.coreos.com_${kinds}.yaml`)]);
    await kubectl.out(['wait', `crd/${kinds}.monitoring.coreos.com`, '--for=condition=Established']);
  }
  const manifests = (await renderChart(examples['everything on'])).filter(isOfOperator);
  expect(manifests.map(({ kind }) => kind).sort()).toEqual(['PrometheusRule', 'ServiceMonitor']);
  await until('the kinds are served', 30_000, async () => (await tryOut(manifests)).code === 0);
  for (const { spec, ...rest } of manifests) {
    const { code, err } = await tryOut([{ ...rest, spec: { ...(spec as object), group: [] } }]);
    expect([code, err]).toEqual([1, expect.stringContaining('unknown field "spec.group"')]);
  }
});

describe('the level restricted', () => {
  const restricted = 'restricted';

  beforeAll(async () => {
    await kubectl.out(['create', 'namespace', restricted]);
    await kubectl.out(['label', 'namespace', restricted, 'pod-security.kubernetes.io/enforce=restricted']);
    const accounts = (await renderChart()).filter(({ kind }) => kind === 'ServiceAccount');
    const there = accounts.map(({ metadata, ...rest }) => ({
      ...rest,
      metadata: { ...metadata, namespace: restricted },
    }));
    await kubectl.out(['create', '-f', '-'], asText(there));
    await kubectl.out(['create', 'serviceaccount', 'default', '-n', restricted]);
  });

  function tryPod({ metadata, spec }: PodTemplate): Promise<Answer> {
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { ...metadata, namespace: restricted, name: 'tried' },
      spec,
    };
    return kubectl.answer(['create', '--dry-run=server', '-f', '-'], JSON.stringify(pod));
  }

  test.for(['no values', 'everything on'])('is met by every pod but the worker’s, with %s', async (example) => {
    const refused: string[] = [];
    const pods = podsOf(await renderChart(examples[example]));
    for (const [name, template] of pods) {
      const { code, err } = await tryPod(template);
      if (code !== 0) refused.push(`${name}: ${err}`);
    }
    expect(pods.size).toBe(6);
    expect(refused).toEqual([expect.stringMatching(/^longshore-worker: .*violates PodSecurity "restricted:latest"/)]);
  });

  test('is missed by the worker by no more than is written in the chart', async () => {
    const worker = podsOf(await renderChart()).get('longshore-worker');
    const { err } = worker === undefined ? { err: '' } : await tryPod(worker);
    const reasons = [...err.matchAll(/[:,] ([A-Za-z !=0]+) \(/g)].map(([, reason]) => reason);
    expect(reasons).toEqual([
      ...['privileged', 'allowPrivilegeEscalation != false', 'unrestricted capabilities', 'restricted volume types'],
      ...['runAsNonRoot != true', 'runAsUser=0'],
    ]);
  });
});
