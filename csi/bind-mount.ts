// Puts the data of a volume where a pod sees it, and takes it away again, with mount(8) and umount(8).
import { lstat, mkdir, open, realpath, rmdir, unlink } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, resolve } from 'node:path';
import { Fault } from '../domain/fault.ts';
import { spawnLimited } from '../runtime/limited-child.ts';
import type { Programs } from '../runtime/programs.ts';
import { type MountEntry, readMountTable } from './mount-table.ts';
import type { MountWish } from './volume-capability.ts';

/** Both do one system call or two; what takes longer hangs, and ends with the signal. */
const limits = { addressSpaceMiB: 512, cpuSeconds: 10 };

/**
 * Where the kernel lists what is mounted at a path: links in the directories above are followed. Undefined where the directory above is not there.
 * @throws Fault InvalidRequest where it is no absolute path, or not in its shortest form
 */
export async function realTarget(field: string, path: string): Promise<string | undefined> {
  if (!isAbsolute(path) || resolve(path) !== path || dirname(path) === path || path.includes('\0')) {
    throw new Fault('InvalidRequest', `${field} is no absolute path in its shortest form`);
  }
  try {
    return join(await realpath(dirname(path)), basename(path));
  } catch (error) {
    if (isCode(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}

/** What is mounted at exactly this path, the last first. */
export async function mountsAt(target: string): Promise<MountEntry[]> {
  return (await readMountTable()).filter(({ mountPoint }) => mountPoint === target).reverse();
}

/**
 * Makes the directory, or the file for a device, and mounts. What fails or is aborted leaves neither mount nor target.
 * @throws Fault InvalidRequest where something else is there than what is mounted on, Internal with what mount(8) said
 */
export async function bindMount(
  from: string,
  target: string,
  wish: MountWish,
  { programs, signal }: { programs: Programs; signal: AbortSignal },
): Promise<void> {
  signal.throwIfAborted();
  const made = wish.mode === 'Block' ? await makeFile(target) : await makeTarget(target);
  try {
    const options = ['bind', wish.readOnly ? 'ro' : 'rw', ...wish.options];
    await run(programs.path('mount'), ['-o', options.join(','), '--', from, target], signal);
  } catch (error) {
    const undo = new AbortController();
    for (const _ of await mountsAt(target)) await unmount(target, { programs, signal: undo.signal });
    if (made) await removeTarget(target);
    throw error;
  }
}

/** Takes off the mount that was put on last. @throws Fault VolumeInUse where somebody has a file open there */
export async function unmount(
  target: string,
  { programs, signal }: { programs: Programs; signal: AbortSignal },
): Promise<void> {
  await run(programs.path('umount'), ['--', target], signal);
}

/** Removes the directory or file, which must be empty; one that is not there is no error. @throws Fault InvalidRequest */
export async function removeTarget(target: string): Promise<void> {
  try {
    const there = await lstat(target);
    if (there.isFile() && there.size === 0) await unlink(target);
    else await rmdir(target);
  } catch (error) {
    if (isCode(error, 'ENOENT')) return;
    if (!isCode(error, 'ENOTEMPTY', 'ENOTDIR')) throw error;
    throw new Fault('InvalidRequest', `${target} is no empty directory, and nothing is mounted there`, {
      cause: error,
    });
  }
}

/** @returns whether it was not there before */
async function makeFile(target: string): Promise<boolean> {
  try {
    await using _made = await open(target, 'wx', 0o600);
    return true;
  } catch (error) {
    if (!isCode(error, 'EEXIST')) throw error;
    const there = await lstat(target);
    if (there.isFile() && there.size === 0) return false;
    throw new Fault('InvalidRequest', `${target} is there and no empty file`, { cause: error });
  }
}

/** @returns whether it was not there before */
async function makeTarget(target: string): Promise<boolean> {
  try {
    // Not recursive: the directory above is the kubelet's to make.
    await mkdir(target, { mode: 0o750 });
    return true;
  } catch (error) {
    if (!isCode(error, 'EEXIST')) throw error;
    if ((await lstat(target)).isDirectory()) return false;
    throw new Fault('InvalidRequest', `${target} is there and no directory`, { cause: error });
  }
}

async function run(program: string, args: readonly string[], signal: AbortSignal): Promise<void> {
  const child = spawnLimited({
    ...{ program, args, signal, limits, isolate: false, stdin: 'ignore', stdout: 'ignore' },
    failure: 'Internal',
    classify: ({ stderr }) => (/target is busy/.test(stderr) ? 'VolumeInUse' : undefined),
  });
  await child.done;
}

function isCode(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(String(error.code));
}
