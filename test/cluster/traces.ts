// What a cluster of one node is in, beyond its files: all of it must be gone when it is down.
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { cgroupOf } from './node/cgroups.ts';
import { findMachine } from './node/machine.ts';

/** Names of the machine's name spaces, like `net:[4026532281]`; it must be up. */
export function nameSpacesOf(directory: string): string[] {
  const firstPid = findMachine(directory)?.firstPid ?? 0;
  return ['mnt', 'pid', 'net', 'uts', 'ipc'].map((kind) => readlinkSync(`/proc/${firstPid}/ns/${kind}`));
}

export interface Traces {
  /** Ids of processes that were started for it, or are in one of its name spaces. */
  processes: string[];
  mounts: string[];
  interfaces: string[];
  cgroups: string[];
  files: string[];
}

/**
 * What there is of the cluster now.
 * @param nameSpaces of its machine, as they were when it was up
 */
export function tracesOf(directory: string, nameSpaces: readonly string[]): Traces {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const mounts = new Set(pids.flatMap((pid) => read(`/proc/${pid}/mountinfo`).split('\n')));
  return {
    processes: pids.filter((pid) => isOfIt(pid, directory, nameSpaces)),
    // A name space without a process is kept by a mount of it.
    mounts: [...mounts].filter((line) => [directory, ...nameSpaces].some((word) => line.includes(word))),
    interfaces: readdirSync('/sys/class/net').filter((name) => aliasOf(name) === cgroupOf(directory)),
    cgroups: cgroupsNamed(cgroupOf(directory)),
    files: existsSync(directory) ? readdirSync(directory) : [],
  };
}

function isOfIt(pid: string, directory: string, nameSpaces: readonly string[]): boolean {
  if (pid !== String(process.pid) && read(`/proc/${pid}/cmdline`).includes(directory)) return true;
  return spacesOfProcess(pid).some((name) => nameSpaces.includes(name));
}

function spacesOfProcess(pid: string): string[] {
  try {
    return readdirSync(`/proc/${pid}/ns`).map((kind) => readlinkSync(`/proc/${pid}/ns/${kind}`));
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}

function aliasOf(name: string): string {
  return read(`/sys/class/net/${name}/ifalias`).trim();
}

function cgroupsNamed(name: string): string[] {
  const root = '/sys/fs/cgroup';
  const hierarchies = [root, ...readdirSync(root).map((one) => join(root, one))];
  return hierarchies.map((one) => join(one, name)).filter((path) => existsSync(path));
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (isGone(error)) return '';
    throw error;
  }
}

/** Processes and interfaces end while one looks; of some only their owner may ask. */
function isGone(error: unknown): boolean {
  const codes: unknown[] = ['ENOENT', 'ESRCH', 'EINVAL', 'ENODEV', 'EACCES'];
  return error instanceof Error && 'code' in error && codes.includes(error.code);
}
