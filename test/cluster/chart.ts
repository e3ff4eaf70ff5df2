// The chart as helm renders it, for tests that look at what would be installed.
import { join } from 'node:path';
import { expect } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { programsOf } from './build-programs.ts';
import { type Answer, answerOf } from './run-program.ts';

export const chartDirectory = join(import.meta.dirname, '../../charts/longshore');
export const releaseNamespace = 'longshore';

export interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string; labels?: Record<string, string>; annotations?: Record<string, string> };
  [member: string]: unknown;
}

export interface Container {
  name: string;
  image: string;
  command?: string[];
  args?: string[];
  env?: { name: string; value?: string; valueFrom?: object }[];
  ports?: { name: string; containerPort: number }[];
  [member: string]: unknown;
}

export interface PodSpec {
  serviceAccountName?: string;
  terminationGracePeriodSeconds?: number;
  containers: Container[];
  [member: string]: unknown;
}

export interface PodTemplate {
  metadata: { labels: Record<string, string>; annotations?: Record<string, string> };
  spec: PodSpec;
}

/** Runs helm. Its own idea of the version of Kubernetes, where no cluster is asked, is older than what the chart takes. */
export async function helm(args: readonly string[], input?: string): Promise<Answer> {
  const say = (line: string) => process.stderr.write(`${line}\n`);
  return answerOf(join(await programsOf('companions', say), 'helm'), args, input);
}

/** `helm lint --strict` or `helm template` with these values. */
export function withValues(command: readonly string[], values: object): Promise<Answer> {
  const args = [...command, '--namespace', releaseNamespace, '--kube-version', '1.34.0', '--values', '-'];
  return helm(args, JSON.stringify(values));
}

/** Everything that an installation with these values would bring. */
export async function renderChart(values: object = {}): Promise<Manifest[]> {
  const { code, out, err } = await withValues(['template', 'longshore', chartDirectory], values);
  expect([code, err]).toEqual([0, '']);
  // Safe as far as Kubernetes' own shape goes; chart-objects.test.ts asks a real kube-apiserver about each.
  return parseAllDocuments(out).flatMap((document) =>
    document.contents === null ? [] : [document.toJS() as Manifest],
  );
}

/** The pods that the objects bring, by the name of the object. */
export function podsOf(manifests: readonly Manifest[]): Map<string, PodTemplate> {
  const pods = new Map<string, PodTemplate>();
  for (const { kind, metadata, spec } of manifests) {
    // Safe: the spec of these kinds holds one.
    const { template } = (spec ?? {}) as { template?: PodTemplate };
    if (template?.spec?.containers !== undefined) pods.set(metadata.name, template);
    if (kind === 'Pod') pods.set(metadata.name, { metadata: { labels: {}, ...metadata }, spec: spec as PodSpec });
  }
  return pods;
}

export function find(manifests: readonly Manifest[], kind: string, name: string): Manifest {
  const found = manifests.find((manifest) => manifest.kind === kind && manifest.metadata.name === name);
  if (found === undefined) throw new Error(`the chart brings no ${kind} ${name}`);
  return found;
}

/** Every switch turned away from its default, but for those that exclude one another. */
export const everythingOn = {
  imageRegistry: 'registry.example/mirror',
  imagePullSecrets: ['pull'],
  image: { digest: `sha256:${'0'.repeat(64)}` },
  logLevel: 'debug',
  settings: { LONGSHORE_TOTAL_TIMEOUT_MS: 86_400_000, LONGSHORE_BYTE_BUDGET: 2.5, LONGSHORE_ATTEMPT_LIMIT: '3' },
  listenAddress: '::',
  priorityClassName: 'system-cluster-critical',
  infra: {
    tolerations: [{ key: 'infra', operator: 'Exists' }],
    affinity: { nodeAffinity: {} },
  },
  uploadProxy: {
    service: { type: 'NodePort', nodePort: 31_001, annotations: { a: 'b' } },
    ingress: { enabled: true, className: 'nginx', host: 'upload.example', tlsSecret: 'certificate' },
  },
  worker: {
    tolerations: [{ operator: 'Exists' }],
    affinity: { podAffinity: {} },
    drainSeconds: 600,
    maxUnavailable: 2,
  },
  pool: { path: '/mnt/disks', type: 'Directory', overcommit: 1.5 },
  csi: { driver: 'kubevirt.io.hostpath-provisioner', kubeletDirectory: '/var/snap/kubelet' },
  storageClass: { default: true, virtDefault: true, reclaimPolicy: 'Retain', annotations: { a: 'b' } },
  redis: { persistence: { enabled: true, storageClassName: 'fast', size: '2Gi' } },
  networkPolicies: { metricsFrom: [{ namespaceSelector: { matchLabels: { a: 'b' } } }], apiServerPorts: [16_443] },
  monitoring: {
    serviceMonitor: { enabled: true, labels: { release: 'prometheus' } },
    prometheusRule: { enabled: true, labels: { release: 'prometheus' } },
  },
};

/** Sets of values that a chart is tried with. */
export const examples: Readonly<Record<string, object>> = {
  'no values': {},
  'everything on': everythingOn,
  'one replica of each': { api: { replicas: 1 }, controller: { replicas: 1 }, uploadProxy: { replicas: 1 } },
  'a Redis of your own by URL': { redis: { url: 'rediss://user:topsecret@redis.example:6380/2', mayEvict: true } },
  'a Redis of your own by Secret': { redis: { existingSecret: 'queue', existingSecretKey: 'address' } },
  'no class and no network policies': { storageClass: { create: false }, networkPolicies: { enabled: false } },
};
