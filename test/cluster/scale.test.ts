// A hundred blank DataVolumes at once: what they ask of kube-apiserver, that nothing is asked while nothing happens, and, as figures, time and memory
// (docs/guide-cluster.md).
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type AuditEvent, ownRequests, processOf } from './audit-log.ts';
import { releaseNamespace } from './chart.ts';
import { processes } from './chart-rights.ts';
import { peakMemoryBytes } from './container-processes.ts';
import { leaveNothing } from './data-volume-views.ts';
import { dataVolumeOf } from './data-volumes.ts';
import { InstalledService } from './installed-service.ts';
import { testCluster } from './test-cluster.ts';
import { until } from './until.ts';

const namespace = 'scale';
const count = 100;
const mostRequestsEach = 40;
const quietMs = 60_000;

interface Told {
  metadata: { name: string; creationTimestamp: string };
  status?: { phase?: string; conditions?: { type: string; status: string; lastTransitionTime?: string }[] };
}

let service: InstalledService;
beforeAll(async () => {
  service = await InstalledService.install(await testCluster());
  await service.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
});
afterAll(() => leaveNothing(service, namespace, 120_000));

const say = (line: string) => process.stderr.write(`scale: ${line}\n`);

/** To the second, as Kubernetes keeps times. */
function secondsToReady({ metadata, status }: Told): number {
  const ready = status?.conditions?.find(({ type }) => type === 'Ready');
  return (Date.parse(ready?.lastTransitionTime ?? '') - Date.parse(metadata.creationTimestamp)) / 1_000;
}

/** Requests by process, verb and resource; the most first. */
function tableOf(requests: readonly AuditEvent[]): [string, number][] {
  const byKind = new Map<string, number>();
  for (const request of requests) {
    const { verb, objectRef, userAgent = '' } = request;
    const what = [objectRef?.resource, objectRef?.subresource].filter((part) => part !== undefined).join('/');
    const kind = `${processOf(request)} (${userAgent.split('/')[0]}): ${verb} ${what}`;
    byKind.set(kind, (byKind.get(kind) ?? 0) + 1);
  }
  return [...byKind].sort(([, one], [, other]) => other - one);
}

/** Neither a watch nor what keeps a lease. */
function isAsked({ verb, objectRef }: AuditEvent): boolean {
  return verb !== 'watch' && !(verb === 'update' && objectRef?.resource === 'leases');
}

/** The room of a node, which the sidecar tells when it changes: also with whatever else is written on that disk. */
function isRoom({ verb, objectRef }: AuditEvent): boolean {
  return verb === 'update' && objectRef?.resource === 'csistoragecapacities';
}

test('a hundred at once all succeed, with at most forty requests each', async ({ skip }) => {
  const { node } = service.cluster;
  if (node === undefined) return skip('the audit log of another cluster is not ours to read');
  const before = (await ownRequests(node.directory)).length;
  await service.create(
    ...Array.from({ length: count }, (_, index) => dataVolumeOf({ namespace, name: `blank-${index}` })),
  );
  const list = `/apis/cdi.kubevirt.io/v1beta1/namespaces/${namespace}/datavolumes`;
  const items = await until('all have succeeded', 300_000, async () => {
    const { body } = await service.call<{ items: Told[] }>('GET', list);
    expect(body.items.filter(({ status }) => status?.phase === 'Failed')).toEqual([]);
    return body.items.every(({ status }) => status?.phase === 'Succeeded') ? body.items : undefined;
  });
  expect(items).toHaveLength(count);
  const quiet = await untilQuiet(node.directory);
  const asked = quiet.slice(before).filter(isAsked);
  const seconds = items.map(secondsToReady).sort((one, other) => one - other);
  say(
    `p50 ${seconds[Math.floor(count * 0.5)]} s, p99 ${seconds[Math.ceil(count * 0.99) - 1]} s, max ${seconds.at(-1)} s`,
  );
  for (const [kind, times] of tableOf(asked)) say(`${(times / count).toFixed(2)} ${kind}`);
  say(`${(asked.length / count).toFixed(1)} requests a volume`);
  expect(asked.length).toBeGreaterThan(count);
  expect(asked.length / count).toBeLessThanOrEqual(mostRequestsEach);
  await tellMemory();
});

/**
 * Waits until nothing was asked for a minute and nothing told but the room of the node: whoever polls keeps this from ever being so.
 * @returns all requests until then
 */
async function untilQuiet(directory: string): Promise<AuditEvent[]> {
  let last = tableOf([]);
  const quiet = async () => {
    const requests = await ownRequests(directory);
    const since = Date.now() - quietMs;
    const recent = requests.filter((each) => Date.parse(each.requestReceivedTimestamp) > since);
    last = tableOf(recent.filter((each) => isAsked(each) && !isRoom(each)));
    return last.length === 0 ? requests : undefined;
  };
  return until('nothing is asked for a minute', 420_000, quiet).catch((error: unknown) => {
    throw new Error(`in the last minute: ${JSON.stringify(last)}`, { cause: error });
  });
}

async function tellMemory(): Promise<void> {
  const { kubectl } = service.cluster;
  const here = ['--namespace', releaseNamespace];
  const sidecars = ['provisioner', 'resizer'];
  for (const container of [...processes, ...sidecars, 'redis']) {
    const component = sidecars.includes(container) ? 'worker' : container;
    const names = await kubectl.out([
      ...['get', 'pods', ...here, '--selector', `app.kubernetes.io/component=${component}`],
      ...['--output', 'jsonpath={.items[*].metadata.name}'],
    ]);
    for (const name of names.split(' ')) {
      const bytes = await peakMemoryBytes(service.cluster, { namespace: releaseNamespace, name, container });
      say(`${Math.round(bytes / 1_048_576)} MiB at most: ${container} of ${name}`);
    }
  }
}
