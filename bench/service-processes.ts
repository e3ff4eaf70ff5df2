// What the processes of the service use: memory as PSS (shared pages counted once), CPU time; the whole tree below `longshore up`.
import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';

const sampleEveryMs = 150;
const ticksPerSecond = 100;

/** The process and all its descendants, as they are now. */
async function processesOf(rootPid: number): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const parents = new Map<number, number>();
  for (const pid of pids) {
    const fields = await statFields(pid);
    if (fields !== undefined) parents.set(pid, Number(fields[1]));
  }
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

async function pssMiB(rootPid: number): Promise<number> {
  let kibibytes = 0;
  for (const pid of await processesOf(rootPid)) {
    const rollup = await textOf(`/proc/${pid}/smaps_rollup`);
    kibibytes += Number(/^Pss:\s+(\d+) kB/m.exec(rollup ?? '')?.[1] ?? 0);
  }
  return kibibytes / 1024;
}

/** @returns the highest sum of PSS seen while `work` ran. Looking costs CPU time: what is timed is not to be looked at. */
export async function peakMemoryMiB(rootPid: number, work: () => Promise<unknown>): Promise<number> {
  let peakMiB = 0;
  let running = true;
  const sampler = (async () => {
    while (running) {
      peakMiB = Math.max(peakMiB, await pssMiB(rootPid));
      await delay(sampleEveryMs);
    }
  })();
  try {
    await work();
  } finally {
    running = false;
    await sampler;
  }
  return peakMiB;
}

/** Share of one core, in percent, over that time. */
export async function cpuPercent(rootPid: number, seconds: number): Promise<number> {
  const before = await cpuTicks(rootPid);
  await delay(seconds * 1000);
  return (((await cpuTicks(rootPid)) - before) / ticksPerSecond / seconds) * 100;
}

async function cpuTicks(rootPid: number): Promise<number> {
  let ticks = 0;
  for (const pid of await processesOf(rootPid)) {
    const fields = await statFields(pid);
    ticks += Number(fields?.[11] ?? 0) + Number(fields?.[12] ?? 0);
  }
  return ticks;
}
