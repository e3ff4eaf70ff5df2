// The processes of one container, which this host sees beside its own, for tests that end them without warning.
import { readdir, readFile } from 'node:fs/promises';
import { identityOf, isAlive } from '../../runtime/process-identity.ts';
import { isMissing } from './paths.ts';
import type { TestCluster } from './test-cluster.ts';
import { until } from './until.ts';

interface ContainerStatus {
  name: string;
  containerID?: string;
}

/** SIGKILL to every process of that container of a pod; resolves when none is left. The kubelet starts it again. */
export async function killContainer(
  { kubectl }: TestCluster,
  pod: { namespace: string; name: string; container: string },
): Promise<void> {
  const found = await kubectl.get('pod', pod.name, '--namespace', pod.namespace);
  // Safe: the shape of a pod.
  const { containerStatuses = [] } = found['status'] as { containerStatuses?: ContainerStatus[] };
  const id = containerStatuses.find(({ name }) => name === pod.container)?.containerID?.replace(/^.*:\/\//, '');
  if (id === undefined) throw new Error(`${pod.name} has no running container ${pod.container}`);
  const processes = await processesOf(id);
  if (processes.length === 0) throw new Error(`no process of container ${pod.container} of ${pod.name} is seen here`);
  const identities = processes.flatMap((pid) => identityOf(pid) ?? []);
  for (const { pid } of identities) process.kill(pid, 'SIGKILL');
  await until(`${pod.container} is gone`, 10_000, () => identities.every((identity) => !isAlive(identity)));
}

async function processesOf(containerId: string): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const inside = await Promise.all(pids.map(async (pid) => ((await cgroupOf(pid)).includes(containerId) ? [pid] : [])));
  return inside.flat();
}

async function cgroupOf(pid: number): Promise<string> {
  try {
    return await readFile(`/proc/${pid}/cgroup`, 'utf8');
  } catch (error) {
    // It has ended meanwhile, before or while it was read.
    if (isMissing(error) || (error instanceof Error && 'code' in error && error.code === 'ESRCH')) return '';
    throw error;
  }
}
