// What the values of the chart become, as helm renders it: no cluster is asked. That a kube-apiserver takes it is tried by chart-objects.test.ts.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadConfig, settings } from '../../runtime/config.ts';
import { metricDefinitions } from '../../runtime/metrics.ts';
import { chartValues } from '../../scripts/chart-readme.ts';
import {
  type Container,
  chartDirectory,
  everythingOn,
  examples,
  find,
  helm,
  type Manifest,
  podsOf,
  renderChart,
  withValues,
} from './chart.ts';

function ofProcesses(manifests: readonly Manifest[]): Map<string, Container> {
  const containers = [...podsOf(manifests).values()].flatMap(({ spec }) => spec.containers);
  return new Map(
    containers.filter(({ args = [] }) => args[0] === 'cluster').map((each) => [each.args?.[1] ?? '', each]),
  );
}

function namesOfEnvironment({ env = [] }: Container): string[] {
  return env.map(({ name }) => name).sort();
}

describe('helm', () => {
  test.for(Object.entries(examples))('takes the chart with %s', async ([, values]) => {
    const { code, out } = await withValues(['lint', '--strict', chartDirectory], values);
    expect([code, out]).toEqual([0, expect.stringContaining('0 chart(s) failed')]);
    expect((await renderChart(values)).length).toBeGreaterThan(40);
  });

  test.for<[string, object, string]>([
    ['a value that is none', { workers: {} }, 'workers'],
    ['a value of a group that is none', { redis: { sentinel: true } }, 'sentinel'],
    ['a setting that is none', { settings: { LONGSHORE_TYPO: '1' } }, 'LONGSHORE_TYPO'],
    ['a setting that the chart sets itself', { settings: { LONGSHORE_POOL: '/' } }, 'LONGSHORE_POOL'],
    ['an Ingress without a host', { uploadProxy: { ingress: { enabled: true } } }, 'host'],
    ['two ways to a Redis', { redis: { url: 'redis://r', existingSecret: 's' } }, 'redis'],
    ['a URL that is none of a Redis', { redis: { url: 'https://r' } }, 'url'],
    ['a pool at a path that is not absolute', { pool: { path: 'pools' } }, 'path'],
    ['no replica', { api: { replicas: 0 } }, 'replicas'],
    ['a name that no driver can have', { csi: { driver: 'My Driver' } }, 'driver'],
  ])('refuses %s', async ([, values, word]) => {
    const { code, err } = await withValues(['template', 'longshore', chartDirectory], values);
    expect([code, err]).toEqual([1, expect.stringContaining(word)]);
  });

  test('refuses a Kubernetes whose tokens do not name the node', async () => {
    const { code, err } = await helm(['template', 'longshore', chartDirectory, '--kube-version', '1.29.9']);
    expect([code, err]).toEqual([1, expect.stringContaining('requires kubeVersion')]);
  });
});

interface Schema {
  $ref?: string;
  properties?: Record<string, Schema>;
}

test('every value that the schema knows stands in values.yaml, with its default', () => {
  const read = (name: string) => readFileSync(join(chartDirectory, name), 'utf8');
  const schema = JSON.parse(read('values.schema.json'));
  const pathsOf = (part: Schema, above: string): string[] => {
    const whole: Schema = part.$ref === '#/definitions/image' ? schema.definitions.image : part;
    const members = Object.entries(whole.properties ?? {});
    return members.length === 0 ? [above] : members.flatMap(([name, member]) => pathsOf(member, `${above}.${name}`));
  };
  // Helm itself adds `global`.
  const known = pathsOf(schema, '')
    .map((path) => path.slice(1))
    .filter((path) => path !== 'global');
  const written = chartValues(read('values.yaml')).map(({ path }) => path);
  expect(written.filter((path) => !path.endsWith('.*')).sort()).toEqual(known.sort());
});

const everywhere = [
  ...['LONGSHORE_NAMESPACE', 'LONGSHORE_DATA', 'LONGSHORE_LOG_LEVEL'],
  ...['LONGSHORE_METRICS_HOST', 'LONGSHORE_METRICS_PORT'],
];
/** What each process reads that has no default which could do on a cluster. */
const needed: Readonly<Record<string, readonly string[]>> = {
  api: [...everywhere, 'LONGSHORE_LISTEN', 'LONGSHORE_API_PORT', 'LONGSHORE_CSI_DRIVER'],
  controller: [
    ...[...everywhere, 'LONGSHORE_REDIS_URL', 'LONGSHORE_CHANNEL', 'LONGSHORE_ENROLMENT', 'LONGSHORE_WORKER_ACCOUNT'],
    ...['LONGSHORE_CSI_DRIVER', 'LONGSHORE_API_HOSTS', 'LONGSHORE_UPLOADPROXY_HOSTS'],
  ],
  uploadproxy: [...everywhere, 'LONGSHORE_REDIS_URL', 'LONGSHORE_LISTEN', 'LONGSHORE_UPLOADPROXY_PORT'],
  worker: [
    ...[...everywhere, 'LONGSHORE_REDIS_URL', 'LONGSHORE_NODE', 'LONGSHORE_LISTEN', 'LONGSHORE_UPLOAD_PORT'],
    ...['LONGSHORE_CHANNEL', 'LONGSHORE_ENROLMENT', 'LONGSHORE_WORKER_TOKEN', 'LONGSHORE_POOL', 'LONGSHORE_OVERCOMMIT'],
    ...['LONGSHORE_DRAIN_S', 'LONGSHORE_CSI_DRIVER', 'LONGSHORE_CSI_SOCKET', 'LONGSHORE_KUBELET'],
    ...['LONGSHORE_SOURCE_ALLOW', 'LONGSHORE_SOURCE_REFUSE'],
  ],
};
/** Set by Kubernetes in every pod, of no use in one, or right by default. */
const leftAlone = [
  ...['HOSTNAME', 'KUBERNETES_SERVICE_HOST', 'KUBERNETES_SERVICE_PORT', 'LONGSHORE_KUBECONFIG'],
  ...['LONGSHORE_API', 'LONGSHORE_STORE_BUDGET_MIB', 'LONGSHORE_UPLOADPROXY_SERVICE'],
];

describe('the environment of a process', () => {
  test.for(Object.keys(needed))('of %s is what it needs, and nothing else', async (name) => {
    const container = ofProcesses(await renderChart()).get(name);
    expect(container && namesOfEnvironment(container)).toEqual([...(needed[name] ?? [])].sort());
  });

  test('holds settings that can be used', async () => {
    for (const { env = [] } of ofProcesses(await renderChart(everythingOn)).values()) {
      const given = env.flatMap(({ name, value }) => (value === undefined ? [] : [[name, value] as const]));
      loadConfig(Object.fromEntries(given));
      const known = Object.values(settings).map(({ variable }) => variable);
      for (const { name } of env) expect(known).toContain(name);
    }
  });

  test('can have every other setting, and whole numbers stay as they are', async () => {
    const schema = JSON.parse(readFileSync(join(chartDirectory, 'values.schema.json'), 'utf8'));
    const further: string[] = schema.properties.settings.propertyNames.enum;
    const all = [...new Set(Object.values(needed).flat()), 'LONGSHORE_REDIS_MAY_EVICT', ...leftAlone, ...further];
    expect(all.sort()).toEqual(
      Object.values(settings)
        .map(({ variable }) => variable)
        .sort(),
    );
    const { env = [] } = ofProcesses(await renderChart(everythingOn)).get('api') ?? {};
    expect(env).toContainEqual({ name: 'LONGSHORE_TOTAL_TIMEOUT_MS', value: '86400000' });
    expect(env).toContainEqual({ name: 'LONGSHORE_BYTE_BUDGET', value: '2.5' });
  });
});

describe('what is rendered', () => {
  test('tells the password of Redis in a Secret only', async () => {
    for (const values of [{}, { redis: { url: 'redis://:topsecret@redis.example' } }]) {
      const manifests = await renderChart(values);
      const { stringData } = find(manifests, 'Secret', 'longshore-redis');
      // Safe: so the template has it.
      const { url, password = 'topsecret' } = stringData as Record<string, string>;
      expect(url).toContain(`:${password}@`);
      const others = manifests.filter(({ kind }) => kind !== 'Secret');
      expect(JSON.stringify(others)).not.toContain(password);
    }
  });

  test('begins Redis and all who use it anew with its password, and only then', async () => {
    const checksumsOf = async (values: object): Promise<(string | undefined)[]> => {
      const pods = podsOf(await renderChart(values));
      const users = ['longshore-redis', 'longshore-controller', 'longshore-uploadproxy', 'longshore-worker'];
      const there = users.flatMap((name) => pods.get(name) ?? []);
      return there.map(({ metadata }) => metadata.annotations?.['checksum/redis']);
    };
    // Without a cluster there is no Secret yet, so each rendering makes a password.
    const [once, again] = [await checksumsOf({}), await checksumsOf({})];
    expect(once).toEqual(Array(4).fill(expect.stringMatching(/^[0-9a-f]{64}$/)));
    expect(new Set([...once, ...again]).size).toBe(2);
    const named = { redis: { url: 'redis://:topsecret@redis.example' } };
    expect(new Set([...(await checksumsOf(named)), ...(await checksumsOf(named))]).size).toBe(1);
  });

  test('brings no Redis where another is named', async () => {
    for (const name of ['a Redis of your own by URL', 'a Redis of your own by Secret']) {
      const manifests = await renderChart(examples[name]);
      expect(manifests.map(({ kind }) => kind)).not.toContain('StatefulSet');
      const { env = [] } = ofProcesses(manifests).get('worker') ?? {};
      const [secret, key] = name.endsWith('Secret') ? ['queue', 'address'] : ['longshore-redis', 'url'];
      const valueFrom = { secretKeyRef: { name: secret, key } };
      expect(env).toContainEqual({ name: 'LONGSHORE_REDIS_URL', valueFrom });
    }
  });

  test('takes every image from one registry, by its digest where that is given', async () => {
    const imagesOf = (manifests: Manifest[]) => [
      ...new Set([...podsOf(manifests).values()].flatMap(({ spec }) => spec.containers.map(({ image }) => image))),
    ];
    expect(imagesOf(await renderChart()).sort()).toEqual([
      'localhost/longshore:0.1.0',
      'registry.k8s.io/sig-storage/csi-provisioner:v5.3.0',
      'registry.k8s.io/sig-storage/csi-resizer:v1.14.0',
    ]);
    expect(imagesOf(await renderChart(everythingOn)).sort()).toEqual([
      `registry.example/mirror/longshore@sha256:${'0'.repeat(64)}`,
      'registry.example/mirror/sig-storage/csi-provisioner:v5.3.0',
      'registry.example/mirror/sig-storage/csi-resizer:v1.14.0',
    ]);
  });

  test('gives a worker more time to end than it takes', async () => {
    for (const values of [{}, everythingOn]) {
      const worker = podsOf(await renderChart(values)).get('longshore-worker');
      const drain = worker?.spec.containers[0]?.env?.find(({ name }) => name === 'LONGSHORE_DRAIN_S')?.value;
      expect(worker?.spec.terminationGracePeriodSeconds).toBeGreaterThan(Number(drain) + 15);
    }
  });

  test('has the names by which clients look for CDI', async () => {
    const manifests = await renderChart();
    for (const [kind, name] of [
      ['Service', 'cdi-api'],
      ['Service', 'cdi-uploadproxy'],
      ['APIService', 'v1beta1.upload.cdi.kubevirt.io'],
      ['ValidatingWebhookConfiguration', 'cdi-api-datavolume-validate'],
      ['MutatingWebhookConfiguration', 'cdi-api-datavolume-mutate'],
      ['ValidatingWebhookConfiguration', 'cdi-api-dataimportcron-validate'],
      ['MutatingWebhookConfiguration', 'cdi-api-dataimportcron-mutate'],
      ['MutatingWebhookConfiguration', 'cdi-api-pvc-mutate'],
    ] as const) {
      find(manifests, kind, name);
    }
    expect(podsOf(manifests).get('longshore-uploadproxy')?.metadata.labels).toMatchObject({
      'cdi.kubevirt.io': 'cdi-uploadproxy',
    });
  });

  test('sends us no claim but those that ask for it', async () => {
    const [webhook] = find(await renderChart(), 'MutatingWebhookConfiguration', 'cdi-api-pvc-mutate')[
      'webhooks'
    ] as object[]; // Safe: its shape.
    expect(webhook).toMatchObject({
      ...{ objectSelector: { matchLabels: { 'cdi.kubevirt.io/applyStorageProfile': 'true' } } },
      ...{ failurePolicy: 'Fail', timeoutSeconds: 10, reinvocationPolicy: 'Never' },
      rules: [{ apiGroups: [''], resources: ['persistentvolumeclaims'], operations: ['CREATE'] }],
    });
  });

  test('alerts by metrics that there are, with their labels', async () => {
    const rule = JSON.stringify(find(await renderChart(everythingOn), 'PrometheusRule', 'longshore')['spec']);
    const known = new Map<string, readonly string[]>(metricDefinitions.map(({ name, labels }) => [name, labels]));
    const named = [...rule.matchAll(/((?:longshore|kubevirt_cdi)_[a-z_]+)(?:\{([a-z]+)=)?/g)];
    expect(named.length).toBeGreaterThan(4);
    for (const [, name = '', label] of named) {
      expect(known.has(name), name).toBe(true);
      if (label !== undefined) expect(known.get(name)).toContain(label);
    }
  });

  test('names the host of the Ingress in the certificate of the upload proxy', async () => {
    const { env = [] } = ofProcesses(await renderChart(everythingOn)).get('controller') ?? {};
    const hosts = env.find(({ name }) => name === 'LONGSHORE_UPLOADPROXY_HOSTS')?.value?.split(',');
    expect(hosts).toEqual(expect.arrayContaining(['upload.example', 'localhost', 'cdi-uploadproxy.longshore.svc']));
  });
});
