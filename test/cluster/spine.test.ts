// The main job on a real cluster, from `helm install` to an empty pool: import, blank, upload, clone, each claim mounted by a pod that reads its disk.
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, open, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startWebServer, type WebServer } from '../../scripts/demo-web-server.ts';
import { lastStep, takeStep, tokenFor, uploadSteps } from '../virtctl/upload-steps.ts';
import { askedRights } from './audit-log.ts';
import { chartDirectory, releaseNamespace } from './chart.ts';
import { processes, unusedRights } from './chart-rights.ts';
import { dataVolumeOf } from './data-volumes.ts';
import { InstalledService } from './installed-service.ts';
import { answerOf } from './run-program.ts';
import { testCluster } from './test-cluster.ts';
import { until } from './until.ts';

const mebibyte = 1_048_576;
const diskBytes = 64 * mebibyte;
const source = 'spine-source';
const target = 'spine-target';

let service: InstalledService;
let web: WebServer;
let begun: Date;
let directory = '';
/** sha256 of the disk that the images hold. */
let expected = '';

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'longshore-spine-'));
  expected = await makeImages(directory);
  const cluster = await testCluster();
  web = await startWebServer(directory, 2 ** 30, cluster.hostAddress());
  begun = new Date();
  service = await InstalledService.install(cluster);
  for (const name of [source, target]) {
    await service.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
  }
});

afterAll(async () => {
  web?.close();
  await rm(directory, { recursive: true, force: true });
});

/** disk.raw, data beside holes, and the same as disk.qcow2. @returns its sha256 */
async function makeImages(into: string): Promise<string> {
  const raw = join(into, 'disk.raw');
  const file = await open(raw, 'w');
  const bytes = Buffer.alloc(diskBytes);
  for (const at of [0, 5, 23, 63]) randomBytes(mebibyte).copy(bytes, at * mebibyte);
  await file.writeFile(bytes);
  await file.close();
  const { code, err } = await answerOf('qemu-img', ['convert', '-O', 'qcow2', raw, join(into, 'disk.qcow2')]);
  expect([code, err]).toEqual([0, '']);
  return createHash('sha256').update(bytes).digest('hex');
}

function dataVolume(name: string, from: object, options: { namespace?: string; annotations?: object } = {}): object {
  return dataVolumeOf({ namespace: source, name, source: from, size: String(diskBytes), ...options });
}

describe('on a cluster', () => {
  test('an import waits for its first consumer, which reads the very disk', async () => {
    const image = { http: { url: web.urlOf('disk.qcow2') } };
    await service.create(dataVolume('waits', image, { annotations: {} }));
    await service.untilPhase(source, 'waits', 'WaitForFirstConsumer');
    await service.createReader(source, 'waits');
    await service.untilPhase(source, 'waits', 'Succeeded');
    expect(await service.digestOfReader(source, 'waits')).toBe(expected);
  });

  test('an import that asks for immediate binding waits for nobody', async () => {
    await service.create(dataVolume('imported', { http: { url: web.urlOf('disk.raw') } }));
    await service.untilPhase(source, 'imported', 'Succeeded');
    expect(await service.readDigest(source, 'imported')).toBe(expected);
  });

  test('a blank disk is all zeros', async () => {
    await service.create(dataVolume('blank', { blank: {} }));
    await service.untilPhase(source, 'blank', 'Succeeded');
    const zeros = createHash('sha256').update(Buffer.alloc(diskBytes)).digest('hex');
    expect(await service.readDigest(source, 'blank')).toBe(zeros);
  });

  test.each(['dv', 'pvc'] as const)('an upload as virtctl does it, of a %s', async (kind) => {
    const disk = randomBytes(3 * mebibyte);
    const upload = { kind, namespace: source, name: `uploaded-${kind}`, size: '3Mi', storageClassName: 'longshore' };
    for (const step of uploadSteps({ ...upload, forcesBinding: true })) await takeStep(service, step);
    const token = await tokenFor(service, upload);
    const headers = { authorization: `Bearer ${token}`, 'content-length': String(disk.byteLength) };
    const answer = await service.upload('POST', '/v1beta1/upload-async', { headers, body: disk });
    expect(answer.status, answer.text).toBe(200);
    await takeStep(service, lastStep(upload));
    expect(await service.readDigest(source, upload.name)).toBe(createHash('sha256').update(disk).digest('hex'));
  });

  test('a clone into another namespace is the same disk', async () => {
    const from = { pvc: { namespace: source, name: 'imported' } };
    await service.create(dataVolume('cloned', from, { namespace: target }));
    await service.untilPhase(target, 'cloned', 'Succeeded');
    expect(await service.readDigest(target, 'cloned')).toBe(expected);
  });

  test('a claim that nobody fills is there at once, for the user of machines and for a group of its own', async () => {
    const spec = { accessModes: ['ReadWriteOnce'], storageClassName: 'longshore' };
    const resources = { requests: { storage: '8Mi' } };
    const metadata = { namespace: source, name: 'plain' };
    const claim = { apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata, spec: { ...spec, resources } };
    await service.create(claim);
    const printed: string[] = [];
    for (const securityContext of [{ runAsUser: 107 }, { runAsUser: 1000, fsGroup: 1000 }]) {
      const name = `user-${securityContext.runAsUser}`;
      const command = ['sh', '-c', `echo ${name} >> /disk/file && cat /disk/file`];
      await service.createPod(source, name, { claimName: 'plain', command, securityContext });
      printed.push(await service.outputOf(source, name));
    }
    expect(printed).toEqual(['user-107\n', 'user-107\nuser-1000\n']);
  });

  test('a claim that asks for more has more', async () => {
    const { kubectl } = service.cluster;
    const patch = JSON.stringify({ spec: { resources: { requests: { storage: '12Mi' } } } });
    await kubectl.out(['patch', 'pvc', 'plain', '--namespace', source, '--type', 'merge', '--patch', patch]);
    const capacity = ['get', 'pvc', 'plain', '--namespace', source, '--output', 'jsonpath={.status.capacity.storage}'];
    await until('it has grown', 60_000, async () => (await kubectl.out(capacity)) === '12Mi');
  });

  test('a bad source is told on the object, in conditions and events', async () => {
    await service.create(dataVolume('missing', { http: { url: web.urlOf('nothing.img') } }));
    const path = `/apis/cdi.kubevirt.io/v1beta1/namespaces/${source}/datavolumes/missing`;
    await until('the condition tells it', 60_000, async () => {
      const { body } = await service.call<{ status?: { conditions?: { message?: string }[] } }>('GET', path);
      return body.status?.conditions?.some(({ message = '' }) => message.includes('404'));
    });
    const described = await service.cluster.kubectl.out(['describe', 'datavolume', '-n', source, 'missing']);
    expect(described).toContain('404');
  });

  test('an upgrade and a rollback lose nothing', async () => {
    await service.helm('upgrade', 'longshore', chartDirectory, ...service.values(), '--set', 'logLevel=debug');
    await service.helm('rollback', 'longshore', '1', '--wait', '--timeout', '180s');
    await service.create(dataVolume('after', { http: { url: web.urlOf('disk.qcow2') } }));
    await service.untilPhase(source, 'after', 'Succeeded');
    expect(await service.readDigest(source, 'after')).toBe(expected);
  });

  test('deleting everything leaves nothing in the cluster, on disk and in Redis', async () => {
    const { kubectl } = service.cluster;
    await kubectl.out(['delete', 'namespace', source, target, '--timeout=120s']);
    const volumes = () => kubectl.out(['get', 'persistentvolumes', '--output', 'name']);
    await until('no PersistentVolume is left', 60_000, async () => (await volumes()) === '');
    const jobs = async () => (await service.redisKeys()).filter((key) => key.includes('pvc-'));
    await until('no job is left', 60_000, async () => (await jobs()).length === 0);
    const { node } = service.cluster;
    if (node === undefined) return;
    const pool = join(node.directory, 'own/var-lib-longshore/pools/default');
    const files = async () => [...(await readdir(join(pool, 'volumes'))), ...(await readdir(join(pool, 'staging')))];
    await until('the pool is empty', 60_000, async () => (await files()).length === 0);
  });

  test('every process asked for nothing that it may not, and has no right that it does not use', async ({ skip }) => {
    const { node } = service.cluster;
    if (node === undefined) return skip('the audit log of another cluster is not ours to read');
    const asked = await askedRights(node.directory);
    // A release before this one may have been refused what it asked while its rights were taken away with it, and has made what is made once.
    expect(asked.filter(({ isAllowed, atMs }) => !isAllowed && atMs >= begun.getTime())).toEqual([]);
    for (const process of processes) {
      const own = asked.filter((each) => each.process === process).map(({ right }) => right);
      expect([process, unusedRights(process, own)]).toEqual([process, []]);
    }
  });

  test('uninstalling leaves volumes as they are', async () => {
    await service.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: source } });
    await service.create(dataVolume('kept', { blank: {} }));
    await service.untilPhase(source, 'kept', 'Succeeded');
    await service.helm('uninstall', 'longshore', '--wait', '--timeout', '120s');
    const { kubectl } = service.cluster;
    expect(await kubectl.out(['get', 'datavolumes,pvc', '-n', source, '--output', 'name'])).toBe(
      'datavolume.cdi.kubevirt.io/kept\npersistentvolumeclaim/kept\n',
    );
    const rest = () => kubectl.out(['get', 'all', '-n', releaseNamespace, '--output', 'name']);
    await until('nothing of it runs', 60_000, async () => (await rest()) === '');
    await service.helm('install', 'longshore', chartDirectory, ...service.values());
    await service.untilPhase(source, 'kept', 'Succeeded');
    await kubectl.out(['delete', 'namespace', source, '--timeout=120s']);
    await service.helm('uninstall', 'longshore', '--wait', '--timeout', '120s');
  });
});
