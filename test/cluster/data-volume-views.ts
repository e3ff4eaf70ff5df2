// What tests look for of DataVolumes on a cluster: a condition, and what is left when they are gone.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { DataVolumeStatus, InstalledService } from './installed-service.ts';
import { until } from './until.ts';

interface Place {
  namespace: string;
  name: string;
}

type Condition = NonNullable<DataVolumeStatus['conditions']>[number];

export async function conditionOf(
  service: InstalledService,
  { namespace, name }: Place,
  type: string,
): Promise<Condition | undefined> {
  const path = `/apis/cdi.kubevirt.io/v1beta1/namespaces/${namespace}/datavolumes/${name}`;
  const { body } = await service.call<{ status?: DataVolumeStatus }>('GET', path);
  return body.status?.conditions?.find((condition) => condition.type === type);
}

/** Waits until the condition has that reason. */
export function untilCondition(service: InstalledService, place: Place, type: string, reason: string) {
  return until(`${type} of ${place.namespace}/${place.name} is ${reason}`, 90_000, async () => {
    const condition = await conditionOf(service, place, type);
    return condition?.reason === reason ? condition : undefined;
  });
}

/** PersistentVolumes of the cluster, and what lies in the pool of a node of ours. */
export async function leftovers({ cluster }: InstalledService): Promise<string[]> {
  const volumes = await cluster.kubectl.out(['get', 'persistentvolumes', '--output', 'name']);
  const { node } = cluster;
  const pool = node === undefined ? undefined : join(node.directory, 'own/var-lib-longshore/pools/default');
  const listed = pool === undefined ? [] : [join(pool, 'volumes'), join(pool, 'staging')];
  const files = await Promise.all(listed.map((directory) => readdir(directory)));
  return [...volumes.split('\n').filter((line) => line !== ''), ...files.flat()];
}

/** Deletes the namespace, looks that nothing of it is left, and takes the service away. */
export async function leaveNothing(service: InstalledService, namespace: string, limitMs = 60_000): Promise<void> {
  await service.cluster.kubectl.out(['delete', 'namespace', namespace, '--timeout=300s']);
  await until('nothing is left', limitMs, async () => (await leftovers(service)).length === 0);
  await service.helm('uninstall', 'longshore', '--wait', '--timeout', '120s');
}
