// What a pod has of its claim on a real node: a file or a device with the very disk, which grows while it is used. The kubelet, the external-resizer and the
// rights of the chart take part as they are.
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startWebServer, type WebServer } from '../../scripts/demo-web-server.ts';
import { askedRights } from './audit-log.ts';
import { leaveNothing } from './data-volume-views.ts';
import { dataVolumeOf } from './data-volumes.ts';
import { InstalledService } from './installed-service.ts';
import type { Kubectl } from './kubectl.ts';
import { answerOf } from './run-program.ts';
import { testCluster } from './test-cluster.ts';
import { until } from './until.ts';

const mebibyte = 1_048_576;
const diskBytes = 24 * mebibyte;
const grownBytes = 40 * mebibyte;
const namespace = 'claims-in-use';
const here = ['--namespace', namespace];
const patienceMs = 120_000;

let service: InstalledService;
let kubectl: Kubectl;
let web: WebServer;
let begun: Date;
let directory = '';
/** sha256 of the disk that the image holds. */
let expected = '';

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'longshore-claims-'));
  expected = await makeImage(directory);
  const cluster = await testCluster();
  kubectl = cluster.kubectl;
  web = await startWebServer(directory, 2 ** 30, cluster.hostAddress());
  begun = new Date();
  service = await InstalledService.install(cluster);
  await service.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
});

afterAll(async () => {
  web?.close();
  await rm(directory, { recursive: true, force: true });
  await leaveNothing(service, namespace);
});

/** disk.qcow2: data, then a hole, then data. @returns the sha256 of its disk */
async function makeImage(into: string): Promise<string> {
  const bytes = Buffer.concat([randomBytes(3 * mebibyte), Buffer.alloc(20 * mebibyte), randomBytes(mebibyte)]);
  const raw = join(into, 'disk.raw');
  await writeFile(raw, bytes);
  const { code, err } = await answerOf('qemu-img', ['convert', '-O', 'qcow2', raw, join(into, 'disk.qcow2')]);
  expect([code, err]).toEqual([0, '']);
  return createHash('sha256').update(bytes).digest('hex');
}

interface Wish {
  name: string;
  source?: object;
  volumeMode: 'Filesystem' | 'Block';
}

async function fill({ name, source = { http: { url: web.urlOf('disk.qcow2') } }, volumeMode }: Wish): Promise<void> {
  await service.create(dataVolumeOf({ namespace, name, source, volumeMode, size: String(diskBytes) }));
  await service.untilPhase(namespace, name, 'Succeeded');
}

/** A pod of that name that has the disk open as long as it is there. */
async function openIn(claimName: string, mode: 'Filesystem' | 'Block'): Promise<void> {
  const path = pathIn(mode);
  const command = ['sh', '-c', `exec 3<>${path} && sleep 3600`];
  const securityContext = mode === 'Filesystem' ? { runAsUser: 107, runAsGroup: 107 } : {};
  await service.createPod(namespace, claimName, { claimName, command, securityContext, mode });
  await kubectl.out(['wait', ...here, `pod/${claimName}`, '--for=condition=Ready', '--timeout=120s']);
}

/** A device is where the claim would be mounted. */
function pathIn(mode: 'Filesystem' | 'Block'): string {
  return mode === 'Block' ? '/disk' : '/disk/disk.img';
}

/** What a shell in the pod prints. */
async function inPod(name: string, script: string): Promise<string> {
  const { code, out, err } = await kubectl.answer(['exec', ...here, name, '--', 'sh', '-c', script]);
  expect([script, code, err]).toEqual([script, 0, expect.anything()]);
  return out.trim();
}

async function askFor(claim: string, storage: string): Promise<void> {
  const patch = JSON.stringify({ spec: { resources: { requests: { storage } } } });
  await kubectl.out(['patch', 'pvc', claim, ...here, '--type', 'merge', '--patch', patch]);
}

interface ClaimStatus {
  capacity?: { storage: string };
  conditions?: { type: string }[];
}

async function statusOf(claim: string): Promise<ClaimStatus> {
  // Safe: the shape of a claim.
  return (await kubectl.get('pvc', claim, ...here))['status'] as ClaimStatus;
}

const eventsOf = (claim: string) =>
  kubectl.out([
    ...['get', 'events', ...here, '--field-selector', `involvedObject.name=${claim}`],
    ...['--output', 'jsonpath={range .items[*]}{.reason}: {.message}{"\\n"}{end}'],
  ]);

describe('a claim in use', () => {
  test('of mode Block is a device with the very disk: imported, cloned from it, and from a file', async () => {
    await fill({ name: 'device', volumeMode: 'Block' });
    await fill({ name: 'file', volumeMode: 'Filesystem' });
    await fill({ name: 'again', source: { pvc: { namespace, name: 'device' } }, volumeMode: 'Block' });
    for (const claimName of ['device', 'again']) {
      const command = ['sh', '-c', 'test -b /disk && blockdev --getsize64 /disk && sha256sum </disk'];
      const name = `reader-of-${claimName}`;
      await service.createPod(namespace, name, { claimName, command, mode: 'Block' });
      const [size, digest] = (await service.outputOf(namespace, name)).split('\n');
      expect([claimName, size, digest]).toEqual([claimName, String(diskBytes), `${expected}  -`]);
    }
    await kubectl.out(['delete', 'pod', ...here, '--all', '--wait']);
  });

  test('that nobody fills is an empty device at once, and keeps what a pod writes', async () => {
    const spec = { accessModes: ['ReadWriteOnce'], volumeMode: 'Block', storageClassName: 'longshore' };
    const resources = { requests: { storage: '8Mi' } };
    const metadata = { namespace, name: 'own' };
    await service.create({
      ...{ apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata },
      spec: { ...spec, resources },
    });
    const first = ['sh', '-c', 'sha256sum </disk && echo kept | dd of=/disk bs=512 conv=notrunc,fsync 2>/dev/null'];
    await service.createPod(namespace, 'first', { claimName: 'own', command: first, mode: 'Block' });
    const zeros = createHash('sha256')
      .update(Buffer.alloc(8 * mebibyte))
      .digest('hex');
    expect(await service.outputOf(namespace, 'first')).toBe(`${zeros}  -\n`);
    const second = ['head', '-c', '4', '/disk'];
    await service.createPod(namespace, 'second', { claimName: 'own', command: second, mode: 'Block' });
    expect(await service.outputOf(namespace, 'second')).toBe('kept');
  });

  test.each([
    { name: 'file', volumeMode: 'Filesystem' },
    { name: 'device', volumeMode: 'Block' },
  ] as const)('of mode $volumeMode grows under the pod that has it open', async ({ name, volumeMode }) => {
    await openIn(name, volumeMode);
    const path = pathIn(volumeMode);
    const size = volumeMode === 'Block' ? `blockdev --getsize64 ${path}` : `stat -c %s ${path}`;
    expect(await inPod(name, size)).toBe(String(diskBytes));
    await askFor(name, String(grownBytes));
    const grown = await until(`${name} has grown`, patienceMs, async () => {
      const status = await statusOf(name);
      return status.capacity?.storage === '40Mi' && (status.conditions ?? []).length === 0 ? status : undefined;
    }).catch(async (error: unknown) => {
      throw new Error(`${JSON.stringify(await statusOf(name))}\n${await eventsOf(name)}`, { cause: error });
    });
    expect(grown.capacity?.storage).toBe('40Mi');
    expect(await inPod(name, size)).toBe(String(grownBytes));
    expect(await inPod(name, `head -c ${diskBytes} ${path} | sha256sum`)).toBe(`${expected}  -`);
    const end = `seek=${grownBytes / 512 - 1} bs=512 count=1 conv=notrunc,fsync`;
    expect(await inPod(name, `echo end | dd of=${path} ${end} 2>/dev/null; tail -c 512 ${path} | head -c 3`)).toBe(
      'end',
    );
    expect(await eventsOf(name)).toContain('VolumeResizeSuccessful');
  });

  test('that asks for more than there is says so and stays as it is; it grows when it asks for less', async () => {
    await openIn('again', 'Block');
    await askFor('again', '2Pi');
    const isTold = async () => /VolumeResizeFailed: .*the largest volume has \d+/.test(await eventsOf('again'));
    await until('it is told', patienceMs, isTold);
    expect((await statusOf('again')).capacity).toEqual({ storage: '24Mi' });
    expect(await inPod('again', 'blockdev --getsize64 /disk; sha256sum </disk')).toBe(`${diskBytes}\n${expected}  -`);
    await askFor('again', String(grownBytes));
    const hasGrown = async () => (await statusOf('again')).capacity?.storage === '40Mi';
    await until('it has grown', patienceMs, hasGrown).catch(async (error: unknown) => {
      throw new Error(`${JSON.stringify(await statusOf('again'))}\n${await eventsOf('again')}`, { cause: error });
    });
    expect(await inPod('again', 'blockdev --getsize64 /disk')).toBe(String(grownBytes));
  });

  test('needed no right that the chart does not give', async ({ skip }) => {
    const { node } = service.cluster;
    if (node === undefined) return skip('the audit log of another cluster is not ours to read');
    const asked = (await askedRights(node.directory)).filter(({ atMs }) => atMs >= begun.getTime());
    expect(asked.filter(({ isAllowed }) => !isAllowed)).toEqual([]);
    const patched = asked.filter(({ right }) => right.resource === 'persistentvolumeclaims/status');
    expect(new Set(patched.map(({ process, right }) => `${process} ${right.verb}`))).toEqual(new Set(['worker patch']));
  });
});
