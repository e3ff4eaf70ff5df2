// What users of a cluster see where a node has no pool, its disk is not mounted, or a newer version has written it; and that all goes on when it is put right.
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { chartDirectory, releaseNamespace } from './chart.ts';
import { conditionOf, leaveNothing, untilCondition } from './data-volume-views.ts';
import { dataVolumeOf } from './data-volumes.ts';
import { InstalledService } from './installed-service.ts';
import type { SingleNode } from './single-node.ts';
import { testCluster } from './test-cluster.ts';
import { until } from './until.ts';

const namespace = 'pools-amiss';
const patienceMs = 180_000;

let service: InstalledService;
beforeAll(async () => {
  service = await InstalledService.install(await testCluster());
  await service.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
});
afterAll(() => leaveNothing(service, namespace));

/** Changes values, without waiting for pods that cannot begin. */
const upgrade = (...values: string[]) =>
  service.helm('upgrade', 'longshore', chartDirectory, ...service.values(), ...values, '--wait=false');

const selector = ['--namespace', releaseNamespace, '--selector', 'app.kubernetes.io/component=worker'];
const workers = async () => (await service.cluster.kubectl.out(['get', 'pods', ...selector, '-o', 'name'])).trim();

async function untilMessage(name: string, part: string): Promise<void> {
  await until(`the condition says ${part}`, patienceMs, async () => {
    return (await conditionOf(service, { namespace, name }, 'Bound'))?.message?.includes(part);
  });
}

function ownNode(): SingleNode | undefined {
  return service.cluster.node;
}

test('without a worker a DataVolume says so, and goes on when there is one', async () => {
  await upgrade('--set', 'worker.nodeSelector.longshore\\.dev/pool=yes');
  await until('the worker is gone', patienceMs, async () => (await workers()) === '');
  await service.create(
    dataVolumeOf({ namespace, name: 'planned' }),
    dataVolumeOf({ namespace, name: 'consumed', annotations: {} }),
  );
  await untilMessage('planned', 'no worker is connected');
  await service.createReader(namespace, 'consumed');
  await service.cluster.kubectl.out(['label', 'node', '--all', 'longshore.dev/pool=yes']);
  await service.untilPhase(namespace, 'planned', 'Succeeded');
  await service.untilPhase(namespace, 'consumed', 'Succeeded');
  await service.digestOfReader(namespace, 'consumed');
  await service.cluster.kubectl.out(['delete', 'pod', '-n', namespace, '--all', '--wait']);
  await upgrade();
  await service.cluster.kubectl.out(['label', 'node', '--all', 'longshore.dev/pool-']);
});

test('where the directory of the pool is not there the pod of the worker says so, and nothing is made in its place', async ({
  skip,
}) => {
  const node = ownNode();
  if (node === undefined) return skip('the files of another cluster are not ours to change');
  const path = '/var/lib/longshore/pools/absent';
  const here = join(node.directory, 'own/var-lib-longshore/pools/absent');
  await upgrade('--set', `pool.path=${path}`, '--set', 'pool.type=Directory');
  await until('the pod says what it waits for', patienceMs, async () => {
    const told = await service.cluster.kubectl.out(['describe', 'pods', ...selector]);
    return told.includes(`hostPath type check failed: ${path} is not a directory`);
  });
  await service.create(dataVolumeOf({ namespace, name: 'unmounted' }));
  await untilMessage('unmounted', 'no worker is connected');
  await expect(readFile(join(here, 'pool.json'))).rejects.toMatchObject({ code: 'ENOENT' });
  await mkdir(here);
  await service.untilPhase(namespace, 'unmounted', 'Succeeded');
  await service.cluster.kubectl.out(['delete', 'datavolume', '-n', namespace, 'unmounted']);
  await until('its volume is gone', patienceMs, async () => {
    const volumes = await service.cluster.kubectl.out(['get', 'pv', '-o', 'jsonpath={.items[*].spec.claimRef.name}']);
    return !volumes.includes('unmounted');
  });
  await upgrade();
  await rm(here, { recursive: true });
});

test('a pool that a newer version has written is only read, and a DataVolume says so', async ({ skip }) => {
  const node = ownNode();
  if (node === undefined) return skip('the files of another cluster are not ours to change');
  await service.untilPhase(namespace, 'planned', 'Succeeded');
  const { kubectl } = service.cluster;
  const { spec } = await kubectl.get('pvc', 'planned', '-n', namespace);
  // Safe: the shape of a claim.
  const { volumeName } = spec as { volumeName: string };
  const path = join(node.directory, 'own/var-lib-longshore/pools/default/volumes', volumeName, 'volume.json');
  const written = await readFile(path, 'utf8');
  const newer = written.replace(/"schemaVersion":\s*\d+/, '"schemaVersion":99');
  expect(newer).not.toBe(written);
  await writeFile(path, newer);
  await kubectl.out(['delete', 'pods', ...selector]);
  await service.create(dataVolumeOf({ namespace, name: 'refused' }));
  const bound = await untilCondition(service, { namespace, name: 'refused' }, 'Bound', 'PoolReadOnly');
  expect(bound.message).toContain(`${volumeName}/volume.json has version 99`);
  expect(await readFile(path, 'utf8')).toBe(newer);
  await writeFile(path, written);
  await kubectl.out(['delete', 'pods', ...selector]);
  await service.untilPhase(namespace, 'refused', 'Succeeded');
});
