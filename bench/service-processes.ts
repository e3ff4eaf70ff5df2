// What the processes of the service use: memory as PSS (shared pages counted once), CPU time; the whole tree below `longshore up`.
import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';

const sampleEveryMs = 150;
const ticksPerSecond = 100;

export interface PeakMemory {
  /** Of all processes of the service. */
  allMiB: number;
  /** Of the worker and what it runs. */
  workerMiB: number;
}

/** Parents by process, as they are now. */
async function parentsOfAll(): Promise<Map<number, number>> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const parents = new Map<number, number>();
  for (const pid of pids) {
    const fields = await statFields(pid);
    if (fields !== undefined) parents.set(pid, Number(fields[1]));
  }
  return parents;
}

/** The process and all its descendants. */
function treeBelow(rootPid: number, parents: ReadonlyMap<number, number>): number[] {
  const found = [rootPid];
  // A child may have a smaller pid than its parent, so this goes on until nothing is added.
  for (let index = 0; index < found.length; index += 1) {
    for (const [pid, parent] of parents) if (parent === found[index]) found.push(pid);
  }
  return found;
}

/** Fields of /proc/PID/stat after the name: state, parent, …; undefined when the process has gone. */
async function statFields(pid: number): Promise<string[] | undefined> {
  const text = await textOf(`/proc/${pid}/stat`);
  return text?.slice(text.lastIndexOf(')') + 2).split(' ');
}

async function textOf(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').catch(() => undefined); // the process has ended meanwhile
}

async function pssMiB(rootPid: number, workerPid: number): Promise<PeakMemory> {
  const parents = await parentsOfAll();
  const ofWorker = new Set(treeBelow(workerPid, parents));
  const found = { allMiB: 0, workerMiB: 0 };
  for (const pid of treeBelow(rootPid, parents)) {
    const rollup = await textOf(`/proc/${pid}/smaps_rollup`);
    const mebibytes = Number(/^Pss:\s+(\d+) kB/m.exec(rollup ?? '')?.[1] ?? 0) / 1024;
    found.allMiB += mebibytes;
    if (ofWorker.has(pid)) found.workerMiB += mebibytes;
  }
  return found;
}

/** @returns the highest sums of PSS seen while `work` ran. Looking costs CPU time: what is timed is not to be looked at. */
export async function peakMemory(
  rootPid: number,
  workerPid: number,
  work: () => Promise<unknown>,
): Promise<PeakMemory> {
  const peak = { allMiB: 0, workerMiB: 0 };
  let running = true;
  const sampler = (async () => {
    while (running) {
      const { allMiB, workerMiB } = await pssMiB(rootPid, workerPid);
      peak.allMiB = Math.max(peak.allMiB, allMiB);
      peak.workerMiB = Math.max(peak.workerMiB, workerMiB);
      await delay(sampleEveryMs);
    }
  })();
  try {
    await work();
  } finally {
    running = false;
    await sampler;
  }
  return peak;
}

/** Share of one core, in percent, over that time. */
export async function cpuPercent(rootPid: number, seconds: number): Promise<number> {
  const before = await cpuSecondsOf(rootPid);
  await delay(seconds * 1000);
  return (((await cpuSecondsOf(rootPid)) - before) / seconds) * 100;
}

/** CPU time of the process and all below it, those that have ended included. */
export async function cpuSecondsOf(rootPid: number): Promise<number> {
  let ticks = 0;
  for (const pid of treeBelow(rootPid, await parentsOfAll())) {
    // Of itself and of the children that it has seen the end of: user and system.
    const fields = (await statFields(pid))?.slice(11, 15) ?? [];
    for (const field of fields) ticks += Number(field);
  }
  return ticks / ticksPerSecond;
}

/** CPU time of what this process has started and seen the end of. */
export async function endedChildrenCpuSeconds(): Promise<number> {
  const [user, system] = (await statFields(process.pid))?.slice(13, 15) ?? [];
  return (Number(user) + Number(system)) / ticksPerSecond;
}
