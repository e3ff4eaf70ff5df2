// CDIConfig and StorageProfiles over a real kube-apiserver: the suite that one machine passes too, and what only a cluster has: Ingresses, CDI objects,
// snapshot classes, volumes made by hand.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { keepCdiStatuses } from '../../cluster/cdi-statuses.ts';
import { ClusterConfiguration } from '../../cluster/cluster-configuration.ts';
import { KubeClient } from '../../cluster/kube-client.ts';
import { kubeconfigCredentials } from '../../cluster/kube-credentials.ts';
import { KubeObjectStore } from '../../cluster/kube-object-store.ts';
import { type Controller, startController } from '../../controller/start-controller.ts';
import { annotations, provisionerName } from '../../domain/annotations.ts';
import { resources } from '../../domain/resources.ts';
import { openRedis, type RedisConnection } from '../../jobs/connection.ts';
import { JobQueues } from '../../jobs/job-queues.ts';
import { CertificateAuthority } from '../../runtime/certificates.ts';
import { loadConfig } from '../../runtime/config.ts';
import { createLogger } from '../../runtime/logger.ts';
import { configurationContract } from '../contract/configuration.ts';
import { RedisFixture } from '../redis-fixture.ts';
import { programsOf } from './build-programs.ts';
import { type ControlPlane, startControlPlane } from './control-plane.ts';
import { Kubectl } from './kubectl.ts';

const crds = join(import.meta.dirname, '../../charts/longshore/files/crds');
const namespace = 'longshore';
const waiting = { timeout: 30_000, interval: 50 };

let plane: ControlPlane;
let kubectl: Kubectl;
let client: KubeClient;
let store: KubeObjectStore;
let redis: RedisFixture;
let connection: RedisConnection;
let queues: JobQueues;
let controller: Controller | undefined;
let directory: string;

/** As `longshore cluster controller` starts it. */
async function startOne(): Promise<Controller> {
  const config = loadConfig({ LONGSHORE_LOG_LEVEL: 'silent', LONGSHORE_REDIS_URL: redis.url });
  const logger = createLogger(config, 'test');
  const authority = await CertificateAuthority.openOrCreate(directory);
  const channelTls = await authority.issue({
    ...{ name: 'controller', cn: 'system:longshore:controller', hosts: ['127.0.0.1'], usages: ['server'] },
  });
  return startController({
    ...{ store, queues, channelTls, config, logger },
    provisioning: { by: 'csi', driver: provisionerName },
    configurationSources: new ClusterConfiguration({
      ...{ store, namespace, uploadProxyService: 'cdi-uploadproxy', logger },
    }),
  });
}

async function apply(...objects: object[]): Promise<void> {
  for (const object of objects) await kubectl.out(['apply', '-f', '-'], JSON.stringify(object));
}

beforeAll(async () => {
  plane = await startControlPlane({ components: ['etcd', 'apiserver'], audit: true });
  kubectl = new Kubectl(join(await programsOf('kubernetes', () => undefined), 'kubectl'), plane.kubeconfig);
  await kubectl.out(['apply', '--server-side', '-f', crds]);
  await kubectl.out(['wait', '--for=condition=Established', '--timeout=60s', '-f', crds]);
  await kubectl.out(['create', 'namespace', namespace]);
  client = new KubeClient(await kubeconfigCredentials(plane.kubeconfig));
  store = new KubeObjectStore(client);
  directory = await mkdtemp(join(tmpdir(), 'longshore-configuration-'));
  redis = await RedisFixture.start();
  connection = await openRedis(redis.url);
  queues = new JobQueues(connection);
  controller = await startOne();
});

afterAll(async () => {
  await controller?.stop();
  await queues?.close();
  connection?.disconnect();
  await redis?.close();
  await client?.close();
  await plane?.stop();
  await rm(directory, { recursive: true, force: true });
});

configurationContract('kube-apiserver', async () => ({ store, namespace, dispose: async () => undefined }));

const statusOfConfig = async () => (await store.get(resources.cdiConfigs, { name: 'config' }))?.status;
const profileStatus = async (name: string) => (await store.get(resources.storageProfiles, { name }))?.status;
const storageClass = (name: string, provisioner: string) => ({
  ...{ apiVersion: 'storage.k8s.io/v1', kind: 'StorageClass', metadata: { name }, provisioner },
});

/** Writes that kube-apiserver was asked for, also those that changed nothing, as `update storageprofiles/fast/status`. */
async function writesAsked(): Promise<string[]> {
  const lines = (await readFile(plane.auditLog, 'utf8')).trim().split('\n');
  // Safe: the shape of audit.k8s.io/v1.
  const asked = lines.map((line) => JSON.parse(line) as { verb: string; objectRef?: Record<string, string> });
  const writes = asked.filter(({ verb }) => ['create', 'update', 'patch', 'delete'].includes(verb));
  return writes.map(({ verb, objectRef = {} }) => {
    const { resource, name, subresource } = objectRef;
    return `${verb} ${[resource, name, subresource].filter(Boolean).join('/')}`;
  });
}

test('Where nothing changes, nothing is written', async () => {
  await apply(storageClass('quiet', 'nfs.csi.k8s.io'));
  const quiet = { filesystemOverhead: { storageClass: { quiet: '0.06' } } };
  await vi.waitFor(async () => expect(await statusOfConfig()).toMatchObject(quiet), waiting);
  await vi.waitFor(async () => expect(await profileStatus('quiet')).toBeDefined(), waiting);
  const before = await writesAsked();
  await kubectl.out(['label', 'storageclass', 'quiet', 'touched=yes']);
  // Looked at after the other one, and by the same rounds.
  await apply(storageClass('later', 'nfs.csi.k8s.io'));
  const later = { filesystemOverhead: { storageClass: { later: '0.06' } } };
  await vi.waitFor(async () => expect(await statusOfConfig()).toMatchObject(later), waiting);
  await vi.waitFor(async () => expect(await profileStatus('later')).toBeDefined(), waiting);
  expect((await writesAsked()).slice(before.length).sort()).toEqual([
    ...['create storageclasses/later', 'create storageprofiles/later', 'patch storageclasses/quiet'],
    ...['update cdiconfigs/config', 'update storageprofiles/later/status'],
  ]);
});

describe('the address of the upload proxy', () => {
  const ingress = (name: string, spec: object) => ({
    ...{ apiVersion: 'networking.k8s.io/v1', kind: 'Ingress', metadata: { namespace, name }, spec },
  });
  const service = { service: { name: 'cdi-uploadproxy', port: { number: 443 } } };
  const rule = (host: string, backend: object = service) => ({
    ...{ host, http: { paths: [{ path: '/', pathType: 'Prefix', backend }] } },
  });
  const told = (expected: object) =>
    vi.waitFor(async () => expect(await statusOfConfig()).toMatchObject(expected), waiting);
  const forget = (name: string) => kubectl.out(['delete', 'ingress', '-n', namespace, name]);

  test('is the host of the Ingress that leads to its Service, with the certificate that is shown there', async () => {
    expect(await statusOfConfig()).not.toHaveProperty('uploadProxyURL');
    const authority = await CertificateAuthority.openOrCreate(directory);
    const hosts = ['upload.example.org'];
    const { cert, key } = await authority.issue({ name: 'ingress', cn: 'ingress', hosts, usages: ['server'] });
    const inBase64 = (text: string | Buffer) => Buffer.from(text).toString('base64');
    const data = { 'tls.crt': inBase64(cert), 'tls.key': inBase64(key) };
    await apply(
      { apiVersion: 'v1', kind: 'Secret', type: 'kubernetes.io/tls', metadata: { namespace, name: 'shown' }, data },
      ingress('a-other', { rules: [rule('other.example.org', { service: { name: 'web', port: { number: 80 } } })] }),
      ingress('b-resource', {
        defaultBackend: { resource: { apiGroup: 'example.org', kind: 'Bucket', name: 'cdi-uploadproxy' } },
      }),
      ingress('c-without-http', { rules: [{ host: 'nothing.example.org' }] }),
      ingress('upload', {
        rules: [rule('upload.example.org')],
        tls: [{ hosts: ['upload.example.org'], secretName: 'shown' }],
      }),
    );
    await told({ uploadProxyURL: 'upload.example.org', uploadProxyCA: cert.toString() });
  });

  test('stays what it is while another controller begins', async () => {
    await controller?.stop();
    const before = await store.get(resources.cdiConfigs, { name: 'config' });
    controller = await startOne();
    await apply(storageClass('after-restart', 'nfs.csi.k8s.io'));
    await vi.waitFor(async () => expect(await profileStatus('after-restart')).toBeDefined(), waiting);
    await told({ filesystemOverhead: { storageClass: { 'after-restart': '0.06' } } });
    const after = await store.get(resources.cdiConfigs, { name: 'config' });
    // One write, for the class: the address was not lost in between.
    expect(after?.metadata.generation).toBe((before?.metadata.generation ?? 0) + 1);
    expect(after?.status?.uploadProxyURL).toBe('upload.example.org');
  });

  test('is that of a rule with a host where the Service gets what no rule takes', async () => {
    await forget('upload');
    await vi.waitFor(async () => expect(await statusOfConfig()).not.toHaveProperty('uploadProxyURL'), waiting);
    await apply(ingress('default', { defaultBackend: service, rules: [{ host: 'default.example.org' }] }));
    await told({ uploadProxyURL: 'default.example.org' });
    await forget('default');
  });
});

test('A CDI object that has authority decides the spec of CDIConfig', async () => {
  const spec = { config: { preallocation: true, featureGates: ['HonorWaitForFirstConsumer'] } };
  const cdi = { apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'CDI', metadata: { name: 'cdi' }, spec };
  await apply(cdi);
  await apply(storageClass('looked-at', 'nfs.csi.k8s.io'));
  await vi.waitFor(async () => expect(await profileStatus('looked-at')).toBeDefined(), waiting);
  expect((await store.get(resources.cdiConfigs, { name: 'config' }))?.spec).toEqual({});
  await apply({ ...cdi, metadata: { name: 'cdi', annotations: { [annotations.configAuthority]: '' } } });
  await vi.waitFor(async () => {
    const config = await store.get(resources.cdiConfigs, { name: 'config' });
    expect([config?.spec, config?.status?.preallocation]).toEqual([spec.config, true]);
  }, waiting);
  await kubectl.out(['delete', 'cdi', 'cdi']);
});

test('The first CDI object is told to be deployed, and any other that it counts for nothing', async () => {
  await using undo = new AsyncDisposableStack();
  const ending = new AbortController();
  const logger = createLogger({ logLevel: 'silent' }, 'test');
  const kept = keepCdiStatuses({ store, version: '1.2.3', logger }, ending.signal);
  undo.defer(() => kept);
  undo.defer(() => ending.abort());
  const cdi = (name: string) => ({ apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'CDI', metadata: { name }, spec: {} });
  const columns = 'jsonpath={.status.phase} {.status.observedVersion} {.status.conditions[*].status}';
  const untilShown = (name: string, expected: string) =>
    vi.waitFor(async () => expect(await kubectl.out(['get', 'cdi', name, '-o', columns])).toBe(expected), waiting);
  await apply(cdi('first'));
  await untilShown('first', 'Deployed 1.2.3 True False False');
  await new Promise((resolve) => setTimeout(resolve, 1_100)); // times of creation are whole seconds
  await apply(cdi('another'));
  await untilShown('another', 'Error 1.2.3 False False True');
  await kubectl.out(['delete', 'cdi', 'first']);
  await untilShown('another', 'Deployed 1.2.3 True False False');
  const before = (await writesAsked()).length;
  await kubectl.out(['label', 'cdi', 'another', 'touched=yes']);
  await apply(cdi('third'));
  await untilShown('third', 'Error 1.2.3 False False True');
  const asked = (await writesAsked()).slice(before).filter((write) => write.includes('cdis/'));
  expect(asked).toEqual(['patch cdis/another', 'create cdis/third', 'update cdis/third']);
  await kubectl.out(['delete', 'cdi', 'another', 'third']);
});

test('A class without a provisioner offers what the volumes offer that were made for it', async () => {
  const volume = (name: string, accessModes: string[], volumeMode: string) => ({
    ...{ apiVersion: 'v1', kind: 'PersistentVolume', metadata: { name } },
    spec: {
      ...{ storageClassName: 'by-hand', accessModes, volumeMode, capacity: { storage: '1Gi' } },
      hostPath: { path: '/volumes' },
    },
  });
  await apply(storageClass('by-hand', 'kubernetes.io/no-provisioner'));
  await vi.waitFor(async () => {
    expect(await profileStatus('by-hand')).toMatchObject({ conditions: [{ type: 'Recognized', status: 'False' }] });
  }, waiting);
  await apply(volume('one', ['ReadWriteMany'], 'Block'), volume('two', ['ReadWriteOnce'], 'Filesystem'));
  await vi.waitFor(async () => {
    expect(await profileStatus('by-hand')).toMatchObject({
      claimPropertySets: [
        { accessModes: ['ReadWriteMany'], volumeMode: 'Block' },
        { accessModes: ['ReadWriteOnce'], volumeMode: 'Filesystem' },
      ],
      conditions: [{ type: 'Recognized', status: 'True' }],
    });
  }, waiting);
});

test('A class whose provisioner makes snapshots is cloned by them', async () => {
  const folder = join(await programsOf('companions', () => undefined), 'snapshot-crds');
  const kind = 'crd/volumesnapshotclasses.snapshot.storage.k8s.io';
  await kubectl.out(['create', '-f', join(folder, 'snapshot.storage.k8s.io_volumesnapshotclasses.yaml')]);
  await kubectl.out(['wait', '--for=condition=Established', '--timeout=60s', kind]);
  await apply({
    ...{ apiVersion: 'snapshot.storage.k8s.io/v1', kind: 'VolumeSnapshotClass', metadata: { name: 'snapshots' } },
    ...{ driver: 'filler.example', deletionPolicy: 'Delete' },
  });
  await apply(storageClass('with-snapshots', 'filler.example'));
  await vi.waitFor(async () => {
    expect(await profileStatus('with-snapshots')).toMatchObject({
      ...{ cloneStrategy: 'snapshot', snapshotClass: 'snapshots' },
    });
  }, waiting);
});

test('kubectl shows the words of CDI', async () => {
  const status = await kubectl.out(['get', 'storageprofile', 'with-snapshots', '-o', 'jsonpath={.status.provisioner}']);
  expect(status).toBe('filler.example');
  expect(await kubectl.out(['get', 'cdiconfig', 'config', '-o', 'jsonpath={.status.filesystemOverhead.global}'])).toBe(
    '0.06',
  );
});
