// What goes on where the control plane of a service is disturbed: kube-apiserver that goes away during a wait, certificates that are made anew, and a controller
// that was stopped for so long that another leads.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ownRequests, processOf } from './audit-log.ts';
import { releaseNamespace } from './chart.ts';
import { freezeAtWork } from './container-processes.ts';
import { leaveNothing } from './data-volume-views.ts';
import { dataVolumeOf } from './data-volumes.ts';
import { InstalledService } from './installed-service.ts';
import type { Kubectl } from './kubectl.ts';
import { testCluster } from './test-cluster.ts';
import { until } from './until.ts';

const namespace = 'control-amiss';
const patienceMs = 120_000;
const here = ['--namespace', releaseNamespace];

let service: InstalledService;
let kubectl: Kubectl;
beforeAll(async () => {
  const cluster = await testCluster();
  kubectl = cluster.kubectl;
  service = await InstalledService.install(cluster);
  await service.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
});
afterAll(() => leaveNothing(service, namespace));

test('a DataVolume that waits while kube-apiserver goes away and comes back goes on', async ({ skip }) => {
  const { node } = service.cluster;
  if (node === undefined) return skip('components of another cluster are not ours to kill');
  await service.create(dataVolumeOf({ namespace, name: 'waits', annotations: {} }));
  await service.untilPhase(namespace, 'waits', 'WaitForFirstConsumer');
  await node.kill('apiserver');
  await node.start('apiserver');
  await service.createReader(namespace, 'waits');
  await service.untilPhase(namespace, 'waits', 'Succeeded');
  await service.digestOfReader(namespace, 'waits');
  await kubectl.out(['delete', 'pod', '-n', namespace, '--all', '--wait']);
});

const secretData = async (name: string) => {
  const { code, out } = await kubectl.answer(['get', 'secret', name, ...here, '-o', 'json']);
  // Safe: the shape of a Secret.
  return code === 0 ? (JSON.parse(out) as { data: Record<string, string> }).data : undefined;
};

test('certificates that somebody deletes are there again as they were, and admission never stops', async () => {
  const before = await secretData('longshore-api-pki');
  expect(before).toBeDefined();
  await kubectl.out(['delete', 'secret', ...here, 'longshore-pki', 'longshore-api-pki', 'longshore-uploadproxy-pki']);
  await service.create(dataVolumeOf({ namespace, name: 'after-deletion' }));
  await until('they are there again', patienceMs, async () => {
    const [whole, api, proxy] = await Promise.all(
      ['longshore-pki', 'longshore-api-pki', 'longshore-uploadproxy-pki'].map(secretData),
    );
    return whole !== undefined && proxy !== undefined && api !== undefined;
  });
  expect(await secretData('longshore-api-pki')).toEqual(before);
  await service.untilPhase(namespace, 'after-deletion', 'Succeeded');
});

test('all works again by itself where a new CA and new certificates take the place of the former', async () => {
  const before = await secretData('longshore-api-pki');
  const deployment = ['deployment/longshore-controller', ...here];
  await kubectl.out(['scale', ...deployment, '--replicas=0']);
  await kubectl.out(['wait', 'pods', ...here, '-l', 'app.kubernetes.io/component=controller', '--for=delete']);
  await kubectl.out(['delete', 'secret', ...here, 'longshore-pki', 'longshore-api-pki', 'longshore-uploadproxy-pki']);
  await kubectl.out(['scale', ...deployment, '--replicas=2']);
  await until('there are new ones', patienceMs, async () => {
    const now = await secretData('longshore-api-pki');
    return now !== undefined && now['ca.crt'] !== before?.['ca.crt'];
  });
  const caOf = async () => {
    const path = 'jsonpath={.webhooks[0].clientConfig.caBundle}';
    return kubectl.out(['get', 'validatingwebhookconfiguration', 'cdi-api-datavolume-validate', '-o', path]);
  };
  await until('kube-apiserver trusts the new one', patienceMs, async () => {
    return (await caOf()) === (await secretData('longshore-api-pki'))?.['ca.crt'];
  });
  await until('a DataVolume is let in', 60_000, async () => {
    return (
      (await kubectl.answer(['create', '-f', '-'], JSON.stringify(dataVolumeOf({ namespace, name: 'after-rotation' }))))
        .code === 0
    );
  });
  await service.untilPhase(namespace, 'after-rotation', 'Succeeded');
});

/** How many have succeeded, and how many have not. */
const countsIn = async (where: string) => {
  const path = `/apis/cdi.kubevirt.io/v1beta1/namespaces/${where}/datavolumes`;
  const { body } = await service.call<{ items: { status?: { phase?: string } }[] }>('GET', path);
  const done = body.items.filter(({ status }) => status?.phase === 'Succeeded').length;
  return { done, left: body.items.length - done };
};

const leader = async () => {
  const lease = await kubectl.get('lease', 'longshore-controller', ...here);
  // Safe: the shape of a Lease.
  return (lease['spec'] as { holderIdentity: string }).holderIdentity.split('_')[0] ?? '';
};

test('of two controllers one acts, and one that was stopped past its lease writes nothing when it goes on', async ({
  skip,
}) => {
  const { node } = service.cluster;
  if (node === undefined) return skip('processes and requests of another cluster are not ours to see');
  const addressOf = async (pod: string) => kubectl.out(['get', 'pod', pod, ...here, '-o', 'jsonpath={.status.podIP}']);
  const writersBetween = async (since: Date, end = new Date()) => {
    const writes = (await ownRequests(node.directory)).filter(({ verb, requestReceivedTimestamp }) => {
      const at = Date.parse(requestReceivedTimestamp);
      return !['get', 'list', 'watch'].includes(verb) && at >= since.getTime() && at <= end.getTime();
    });
    return new Set(writes.filter((each) => processOf(each) === 'controller').map((each) => each.sourceIPs?.[0]));
  };
  const first = await leader();
  const firstAddress = await addressOf(first);
  const before = await countsIn(namespace);
  const begun = new Date();
  // So many that it is stopped in the middle: what it would write next is in its memory, and the answers it waits for come meanwhile. Without a look at its lease
  // it writes a dozen times before its timers end it, where it was stopped between an answer and what follows from it: not in each run. kube-client.test.ts
  // holds each write against the lease every time.
  const path = `/apis/cdi.kubevirt.io/v1beta1/namespaces/${namespace}/datavolumes`;
  const names = Array.from({ length: 80 }, (_, index) => `halfway-${index}`);
  // Side by side: one after the other they would be made as fast as they come.
  const creating = Promise.all(names.map((name) => service.call('POST', path, dataVolumeOf({ namespace, name }))));
  await until('some are made and many are not', patienceMs, async () => {
    const { done, left } = await countsIn(namespace);
    return done > before.done && left > names.length / 2;
  });

  let frozen: Date;
  let takenOver: Date;
  let second: string;
  {
    using _frozen = await freezeAtWork(service.cluster, {
      ...{ namespace: releaseNamespace, name: first, container: 'controller' },
    });
    frozen = new Date();
    const { left } = await countsIn(namespace);
    expect(left).toBeGreaterThan(names.length / 4);
    second = await until('another leads', patienceMs, async () => {
      const now = await leader();
      return now === first ? undefined : now;
    });
    takenOver = new Date();
    for (const { status } of await creating) expect(status).toBe(201);
    await until('the second has made what the first had begun', patienceMs, async () => {
      return (await countsIn(namespace)).left === 0;
    });
    // The stopped one hears of these when it goes on, and takes them for its own to do.
    await service.create(
      dataVolumeOf({ namespace, name: 'by-the-second' }),
      dataVolumeOf({ namespace, name: 'later', annotations: {} }),
    );
    await service.untilPhase(namespace, 'by-the-second', 'Succeeded');
  }
  await until('the first has ended and begun anew', patienceMs, async () => {
    const count = 'jsonpath={.status.containerStatuses[0].restartCount}';
    return Number(await kubectl.out(['get', 'pod', first, ...here, '-o', count])) > 0;
  });
  expect(await leader()).toBe(second);
  expect(await writersBetween(begun, frozen)).toEqual(new Set([firstAddress]));
  expect(await writersBetween(takenOver)).toEqual(new Set([await addressOf(second)]));
});
