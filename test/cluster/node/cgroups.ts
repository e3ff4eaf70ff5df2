// The node's pods lie in a cgroup of the cluster's own, in each hierarchy of the host, so clusters side by side do not meet and what is left is found.
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { exists, isMissing } from '../paths.ts';
import { until } from '../until.ts';

const removalLimitMs = 10_000;

/** Follows from the cluster's directory, so nothing need be recorded. */
export function cgroupOf(directory: string): string {
  return `longshore-test-${createHash('sha256').update(directory).digest('hex').slice(0, 8)}`;
}

export async function makeCgroups(directory: string): Promise<void> {
  for (const { path, isUnified } of await hierarchies()) {
    if (isUnified) await passControllersOn(path);
    await mkdir(join(path, cgroupOf(directory)), { recursive: true });
  }
}

/** Their processes have ended; the kernel may take a moment to say so. */
export async function removeCgroups(directory: string): Promise<void> {
  for (const { path } of await hierarchies()) {
    const cgroup = join(path, cgroupOf(directory));
    if (await exists(cgroup)) await until(`${cgroup} being empty`, removalLimitMs, () => removeTree(cgroup));
  }
}

/** A v1 host has one hierarchy a controller, a v2 host one for all. */
async function hierarchies(): Promise<{ path: string; isUnified: boolean }[]> {
  const lines = (await readFile('/proc/self/mountinfo', 'utf8')).trim().split('\n');
  return lines.flatMap((line) => {
    const [mount = '', filesystem = ''] = line.split(' - ');
    const [path = '', type = ''] = [mount.split(' ')[4], filesystem.split(' ')[0]];
    const isCgroup = path.startsWith('/sys/fs/cgroup') && (type === 'cgroup' || type === 'cgroup2');
    return isCgroup ? [{ path, isUnified: path === '/sys/fs/cgroup' }] : [];
  });
}

/** cgroup v2 gives a child only the controllers that its parent passes on. */
async function passControllersOn(root: string): Promise<void> {
  const controllers = (await readFile(join(root, 'cgroup.controllers'), 'utf8')).trim().split(' ');
  await writeFile(join(root, 'cgroup.subtree_control'), controllers.map((name) => `+${name}`).join(' '));
}

/** From the leaves up; a cgroup's files go with it. False where one still holds a process. */
async function removeTree(cgroup: string): Promise<boolean> {
  try {
    for (const entry of await readdir(cgroup, { withFileTypes: true })) {
      if (entry.isDirectory() && !(await removeTree(join(cgroup, entry.name)))) return false;
    }
    await rmdir(cgroup);
    return true;
  } catch (error) {
    if (isMissing(error)) return true;
    if (error instanceof Error && 'code' in error && error.code === 'EBUSY') return false;
    throw error;
  }
}
