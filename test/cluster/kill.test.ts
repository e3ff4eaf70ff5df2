// Parts of a service on a cluster, and of the cluster itself, are killed in the middle of an import, an upload and a clone. All end well, and no pod ever
// sees a disk that is not whole: the pod that reads it is there from the beginning.
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startWebServer, type WebServer } from '../../scripts/demo-web-server.ts';
import { lastStep, takeStep, tokenFor, uploadSteps } from '../virtctl/upload-steps.ts';
import { releaseNamespace } from './chart.ts';
import { killContainer } from './container-processes.ts';
import { leaveNothing } from './data-volume-views.ts';
import { dataVolumeOf } from './data-volumes.ts';
import { InstalledService } from './installed-service.ts';
import { testCluster } from './test-cluster.ts';
import { until } from './until.ts';

const mebibyte = 1_048_576;
const disk = randomBytes(48 * mebibyte);
const expected = createHash('sha256').update(disk).digest('hex');
/** So that an import takes some seconds, also after the half that may be fetched again. */
const bytesPerSecond = 12 * mebibyte;
const namespace = 'kill-source';
const patienceMs = 120_000;

let service: InstalledService;
let web: WebServer;
let directory = '';

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'longshore-kill-'));
  await writeFile(join(directory, 'disk.raw'), disk);
  const cluster = await testCluster();
  web = await startWebServer(directory, bytesPerSecond, cluster.hostAddress());
  service = await InstalledService.install(cluster);
  await service.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  await service.create(dataVolume('origin', { http: { url: web.urlOf('disk.raw') } }));
  await service.untilPhase(namespace, 'origin', 'Succeeded');
});

afterAll(async () => {
  web?.close();
  await rm(directory, { recursive: true, force: true });
  if (service !== undefined) await leaveNothing(service, namespace);
});

beforeEach(() => service.renewPods());

const dataVolume = (name: string, source: object) =>
  dataVolumeOf({ namespace, name, source, size: String(disk.length) });

async function podOf(component: string): Promise<string> {
  const selector = `app.kubernetes.io/component=${component}`;
  const names = await service.cluster.kubectl.out([
    ...['get', 'pods', '--namespace', releaseNamespace, '--selector', selector],
    ...['--output', 'jsonpath={.items[*].metadata.name}'],
  ]);
  if (component !== 'controller') return names.split(' ')[0] ?? '';
  const lease = await service.cluster.kubectl.get('lease', 'longshore-controller', '--namespace', releaseNamespace);
  // Safe: the shape of a Lease.
  const { holderIdentity } = lease['spec'] as { holderIdentity: string };
  return holderIdentity.split('_')[0] ?? '';
}

const killPod = (component: string) => async () => {
  const name = await podOf(component);
  await killContainer(service.cluster, { namespace: releaseNamespace, name, container: component });
};

const killNodePart = (component: 'kubelet' | 'apiserver') => async () => {
  const { node } = service.cluster;
  if (node === undefined) throw new Error('only the components of a cluster of our own can be killed');
  await node.kill(component);
  await node.start(component);
};

const victims = [
  { victim: 'the controller', kill: killPod('controller') },
  { victim: 'the worker', kill: killPod('worker') },
  { victim: 'Redis', kill: killPod('redis') },
  { victim: 'an upload proxy', kill: killPod('uploadproxy') },
  { victim: 'the kubelet', kill: killNodePart('kubelet') },
  { victim: 'kube-apiserver', kill: killNodePart('apiserver') },
];

describe.each(victims)('SIGKILL to $victim in the middle of', ({ victim, kill }) => {
  const suffix = victim.toLowerCase().replaceAll(/[^a-z]+/g, '-');

  test('an import', async () => {
    const name = `import-${suffix}`;
    // A file of its own: what an import of the same brought a moment ago would be taken from there.
    await writeFile(join(directory, `${name}.raw`), disk);
    await service.create(dataVolume(name, { http: { url: web.urlOf(`${name}.raw`) } }));
    await service.createReader(namespace, name);
    await untilMoving(name);
    await kill();
    await service.untilPhase(namespace, name, 'Succeeded');
    expect(await service.digestOfReader(namespace, name)).toBe(expected);
  });

  test('a clone', async () => {
    const name = `clone-${suffix}`;
    await service.create(dataVolume(name, { pvc: { namespace, name: 'origin' } }));
    await service.createReader(namespace, name);
    await kill();
    await service.untilPhase(namespace, name, 'Succeeded');
    expect(await service.digestOfReader(namespace, name)).toBe(expected);
  });

  test('an upload, which the client sends again', async () => {
    const upload = { kind: 'dv' as const, namespace, name: `upload-${suffix}`, size: String(disk.length) };
    const target = { ...upload, storageClassName: 'longshore', forcesBinding: true };
    for (const step of uploadSteps(target)) await takeStep(service, step);
    await service.createReader(namespace, upload.name);
    const first = sendOnce(target);
    await kill();
    if (!(await first)) await until('an upload is taken', patienceMs, () => sendOnce(target));
    await takeStep(service, lastStep(target));
    expect(await service.digestOfReader(namespace, upload.name)).toBe(expected);
  });
});

/** Some bytes have come, and not all. */
async function untilMoving(name: string): Promise<void> {
  const path = `/apis/cdi.kubevirt.io/v1beta1/namespaces/${namespace}/datavolumes/${name}`;
  await until(`${name} moves`, patienceMs, async () => {
    const { body } = await service.call<{ status?: { phase?: string; progress?: string } }>('GET', path);
    expect(body.status?.phase).not.toBe('Succeeded');
    return body.status?.phase === 'ImportInProgress' && Number.parseFloat(body.status.progress ?? '') > 0;
  });
}

/** @returns whether it was taken; a connection that breaks and a refusal that may pass are what the client tries again after */
async function sendOnce(target: { kind: 'dv'; namespace: string; name: string; size: string }): Promise<boolean> {
  try {
    const token = await tokenFor(service, target);
    const headers = { authorization: `Bearer ${token}`, 'content-length': String(disk.length) };
    return (await service.upload('POST', '/v1beta1/upload', { headers, body: disk })).status === 200;
  } catch {
    return false;
  }
}
