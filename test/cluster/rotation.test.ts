// Certificates that live for seconds, and CAs for a minute, take each other's place again and again while somebody uploads slowly, others upload and make
// DataVolumes, and clients trust what the service tells them at that moment: no request fails, and no process begins anew.
import { createHash, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { certificatesIn } from '../../runtime/authority-files.ts';
import { lastStep, takeStep, tokenFor, type UploadTarget, uploadSteps } from '../virtctl/upload-steps.ts';
import { releaseNamespace } from './chart.ts';
import { leaveNothing } from './data-volume-views.ts';
import { dataVolumeOf } from './data-volumes.ts';
import { InstalledService } from './installed-service.ts';
import { type TestCluster, testCluster } from './test-cluster.ts';

const namespace = 'rotation';
const chunkBytes = 65_536;
/** One each two seconds: as long as three CAs sign. */
const chunks = Array.from({ length: 64 }, () => randomBytes(chunkBytes));
const quickDisk = randomBytes(1_048_576);
const lives = {
  LONGSHORE_CERTIFICATE_LIFETIME_S: '20',
  LONGSHORE_CA_LIFETIME_S: '60',
  LONGSHORE_CERTIFICATE_CHECK_S: '2',
};

let cluster: TestCluster;
let service: InstalledService;
beforeAll(async () => {
  cluster = await testCluster();
  await forgetCertificates();
  service = await InstalledService.install(cluster, ['--set-json', `settings=${JSON.stringify(lives)}`]);
  await service.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
});

afterAll(async () => {
  await leaveNothing(service, namespace);
  await forgetCertificates();
});

/** Those of a release before live too long for this test, and those of this one too short for the next. */
async function forgetCertificates(): Promise<void> {
  const kept = ['secret/longshore-pki', 'secret/longshore-api-pki', 'secret/longshore-uploadproxy-pki'];
  const all = [...kept, 'configmap/longshore-ca'];
  await cluster.kubectl.out(['delete', '-n', releaseNamespace, '--ignore-not-found', ...all]);
}

/** As virtctl does it. */
async function upload(name: string, sizeBytes: number, body: Buffer | Readable): Promise<void> {
  const target: UploadTarget = {
    ...{ kind: 'dv', namespace, name, size: String(sizeBytes), storageClassName: 'longshore', forcesBinding: true },
  };
  for (const step of uploadSteps(target)) await takeStep(service, step);
  const token = await tokenFor(service, target);
  const headers = { authorization: `Bearer ${token}`, 'content-length': String(sizeBytes) };
  const answer = await service.upload('POST', '/v1beta1/upload', { headers, body });
  expect([name, answer.status, answer.text]).toEqual([name, 200, '']);
  await takeStep(service, lastStep(target));
}

async function* slowly(): AsyncGenerator<Buffer> {
  for (const chunk of chunks) {
    yield chunk;
    await delay(2_000);
  }
}

/** How often each container began anew; one that waited too long for the worker at first may have. */
function restarts(): Promise<string> {
  const path = 'jsonpath={range .items[*]}{.metadata.name} {.status.containerStatuses[*].restartCount}{"\\n"}{end}';
  return service.cluster.kubectl.out(['get', 'pods', '-n', releaseNamespace, '-o', path]);
}

test('no request fails while CAs and certificates take the place of others', async () => {
  const before = await restarts();
  const signing = new Set<string | undefined>();
  let isUploading = true;
  const slow = upload('slow', chunks.length * chunkBytes, Readable.from(slowly())).finally(() => {
    isUploading = false;
  });
  const quick = async () => {
    for (let round = 0; isUploading; round++) {
      signing.add(certificatesIn(await service.takeCa())[0]);
      await upload(`quick-${round}`, quickDisk.length, quickDisk);
      await service.create(dataVolumeOf({ namespace, name: `blank-${round}` }));
      await service.untilPhase(namespace, `blank-${round}`, 'Succeeded');
      await delay(1_000);
    }
  };
  await Promise.all([slow, quick()]);
  expect(signing.size).toBeGreaterThanOrEqual(3);
  const expected = createHash('sha256').update(Buffer.concat(chunks)).digest('hex');
  expect(await service.readDigest(namespace, 'slow')).toBe(expected);
  expect(await restarts()).toBe(before);
});
