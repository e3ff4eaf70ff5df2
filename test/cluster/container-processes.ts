// The processes of one container, which this host sees beside its own, for tests that end or stop them without warning, or look at their memory.
import { readdir, readFile } from 'node:fs/promises';
import { identityOf, isAlive } from '../../runtime/process-identity.ts';
import { isMissing } from './paths.ts';
import type { TestCluster } from './test-cluster.ts';
import { until } from './until.ts';

interface ContainerStatus {
  name: string;
  containerID?: string;
}

interface ContainerOfPod {
  namespace: string;
  name: string;
  container: string;
}

/** SIGKILL to every process of that container of a pod; resolves when none is left. The kubelet starts it again. */
export async function killContainer(cluster: TestCluster, pod: ContainerOfPod): Promise<void> {
  const identities = (await processesIn(cluster, pod)).flatMap((pid) => identityOf(pid) ?? []);
  for (const { pid } of identities) process.kill(pid, 'SIGKILL');
  await until(`${pod.container} is gone`, 10_000, () => identities.every((identity) => !isAlive(identity)));
}

/**
 * Stops every process of that container of a pod in the middle of its work: what it does next is decided already, and comes before it looks at any clock.
 * Disposing lets them go on. It is tried until one is found at work, so give it some.
 */
export async function freezeAtWork(cluster: TestCluster, pod: ContainerOfPod): Promise<Disposable> {
  const identities = (await processesIn(cluster, pod)).flatMap((pid) => identityOf(pid) ?? []);
  const signal = (name: NodeJS.Signals) => {
    for (const identity of identities) if (isAlive(identity)) process.kill(identity.pid, name);
  };
  await until(`${pod.container} of ${pod.name} is at work`, 60_000, async () => {
    signal('SIGSTOP');
    const atWork = await Promise.all(identities.map(({ pid }) => isOutsideKernel(pid)));
    if (atWork.includes(true)) return true;
    signal('SIGCONT');
    return false;
  });
  return { [Symbol.dispose]: () => signal('SIGCONT') };
}

/** Of a stopped process, whether its first thread was computing, not waiting in a system call; see proc(5), /proc/pid/syscall. */
async function isOutsideKernel(pid: number): Promise<boolean> {
  return (await readFile(`/proc/${pid}/syscall`, 'utf8')).startsWith('-1 ');
}

/** The most memory that the processes of that container have had resident, each at its own time. */
export async function peakMemoryBytes(cluster: TestCluster, pod: ContainerOfPod): Promise<number> {
  const peaks = (await processesIn(cluster, pod)).map(async (pid) => {
    const kibibytes = /^VmHWM:\s+(\d+) kB$/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1];
    return Number(kibibytes ?? 0) * 1_024;
  });
  return (await Promise.all(peaks)).reduce((sum, bytes) => sum + bytes, 0);
}

async function processesIn({ kubectl }: TestCluster, pod: ContainerOfPod): Promise<number[]> {
  const found = await kubectl.get('pod', pod.name, '--namespace', pod.namespace);
  // Safe: the shape of a pod.
  const { containerStatuses = [] } = found['status'] as { containerStatuses?: ContainerStatus[] };
  const id = containerStatuses.find(({ name }) => name === pod.container)?.containerID?.replace(/^.*:\/\//, '');
  if (id === undefined) throw new Error(`${pod.name} has no running container ${pod.container}`);
  const processes = await processesOf(id);
  if (processes.length === 0) throw new Error(`no process of container ${pod.container} of ${pod.name} is seen here`);
  return processes;
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
