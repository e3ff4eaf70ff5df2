// The network policies of the chart in force, in a namespace that denies everything else: the service comes up and does its work, and a stranger is refused
// where it was let in before. Which connections there are, and that the policies name no other, is in chart-network.test.ts.
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startWebServer, type WebServer } from '../../scripts/demo-web-server.ts';
import { lastStep, takeStep, tokenFor, uploadSteps } from '../virtctl/upload-steps.ts';
import { releaseNamespace } from './chart.ts';
import { leaveNothing } from './data-volume-views.ts';
import { dataVolumeOf } from './data-volumes.ts';
import { InstalledService } from './installed-service.ts';
import { busyboxImage } from './node/images.ts';
import { startPolicyAgent } from './policy-agent.ts';
import { type TestCluster, testCluster } from './test-cluster.ts';
import { until } from './until.ts';

const namespace = 'policies-user';
const disk = randomBytes(1_048_576);
const expected = createHash('sha256').update(disk).digest('hex');
const patienceMs = 60_000;

let cluster: TestCluster;
let service: InstalledService | undefined;
let web: WebServer;
let directory = '';
let stopAgent: (() => Promise<void>) | undefined;

beforeAll(async () => {
  cluster = await testCluster();
  if (cluster.node === undefined) return;
  directory = await mkdtemp(join(tmpdir(), 'longshore-policies-'));
  await writeFile(join(directory, 'disk.raw'), disk);
  web = await startWebServer(directory, 2 ** 30, cluster.hostAddress());
  service = await InstalledService.install(cluster);
  await service.renewPods();
  const metadata = { namespace, name: 'stranger' };
  const containers = [{ name: 'main', image: busyboxImage, command: ['sleep', 'infinity'] }];
  await service.create(
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } },
    { apiVersion: 'v1', kind: 'Pod', metadata, spec: { terminationGracePeriodSeconds: 1, containers } },
  );
  await cluster.kubectl.out(['wait', '-n', namespace, 'pod/stranger', '--for=condition=Ready', '--timeout=120s']);
});

afterAll(async () => {
  await stopAgent?.();
  web?.close();
  if (directory !== '') await rm(directory, { recursive: true, force: true });
  if (service === undefined) return;
  await cluster.kubectl.out(['delete', 'networkpolicy', '-n', releaseNamespace, 'deny-all', '--ignore-not-found']);
  await leaveNothing(service, namespace);
});

/** Whether a pod of another namespace gets a connection. */
async function isLetIn(host: string, port: number): Promise<boolean> {
  const dial = `nc -w 3 ${host} ${port} </dev/null >/dev/null`;
  return (await cluster.kubectl.answer(['exec', '-n', namespace, 'stranger', '--', 'sh', '-c', dial])).code === 0;
}

async function addressOf(component: string): Promise<string> {
  const selector = `app.kubernetes.io/component=${component}`;
  return cluster.kubectl.out([
    ...['get', 'pods', '-n', releaseNamespace, '--selector', selector],
    ...['--output', 'jsonpath={.items[0].status.podIP}'],
  ]);
}

async function strangersConnections(): Promise<Record<string, boolean>> {
  const [worker, api] = [await addressOf('worker'), await addressOf('api')];
  return {
    redis: await isLetIn(`longshore-redis.${releaseNamespace}`, 6379),
    'uploads of a worker': await isLetIn(worker, 8444),
    'metrics of a worker': await isLetIn(worker, 8080),
    'metrics of the API': await isLetIn(api, 8080),
    webhooks: await isLetIn(`cdi-api.${releaseNamespace}`, 443),
    'the upload proxy': await isLetIn(`cdi-uploadproxy.${releaseNamespace}`, 443),
  };
}

const dataVolume = (name: string, source: object) =>
  dataVolumeOf({ namespace, name, source, size: String(disk.length) });

const notOurs = 'the network of another cluster is not ours to close';

describe('network policies in force', () => {
  test('refuse a stranger what it has no business with', async ({ skip }) => {
    if (service === undefined || cluster.node === undefined) return skip(notOurs);
    expect(Object.values(await strangersConnections())).not.toContain(false);
    const spec = { podSelector: {}, policyTypes: ['Ingress', 'Egress'] };
    const metadata = { namespace: releaseNamespace, name: 'deny-all' };
    await service.create({ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata, spec });
    stopAgent = await startPolicyAgent(cluster.node, (line) => process.stderr.write(`cluster: ${line}\n`));
    const expectedNow = {
      ...{ redis: false, 'uploads of a worker': false, 'metrics of a worker': false, 'metrics of the API': false },
      ...{ webhooks: true, 'the upload proxy': true },
    };
    await until('the policies to be in force', patienceMs, async () => {
      return JSON.stringify(await strangersConnections()) === JSON.stringify(expectedNow);
    });
  });

  test('let the service begin anew and do its work', async ({ skip }) => {
    if (service === undefined) return skip(notOurs);
    await cluster.kubectl.out(['delete', 'pods', '-n', releaseNamespace, '--all']);
    await service.renewPods();
    await service.create(dataVolume('imported', { http: { url: web.urlOf('disk.raw') } }));
    await service.untilPhase(namespace, 'imported', 'Succeeded');
    const upload = { kind: 'dv', namespace, name: 'uploaded', size: '1Mi', storageClassName: 'longshore' } as const;
    for (const step of uploadSteps({ ...upload, forcesBinding: true })) await takeStep(service, step);
    const token = await tokenFor(service, upload);
    const headers = { authorization: `Bearer ${token}`, 'content-length': String(disk.byteLength) };
    const answer = await service.upload('POST', '/v1beta1/upload', { headers, body: disk });
    expect(answer.status, answer.text).toBe(200);
    await takeStep(service, lastStep(upload));
    await service.create(dataVolume('cloned', { pvc: { namespace, name: 'imported' } }));
    await service.untilPhase(namespace, 'cloned', 'Succeeded');
    for (const name of ['imported', 'uploaded', 'cloned']) {
      expect([name, await service.readDigest(namespace, name)]).toEqual([name, expected]);
    }
  });
});
