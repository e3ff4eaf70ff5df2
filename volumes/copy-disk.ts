// Copies a disk within a pool: shared blocks where the file system can (reflink), else a copy that keeps the holes. By cp, as a child that the
// signal ends. After failure or abort the target holds a part, for the staging to discard.
import { open } from 'node:fs/promises';
import { toFault } from '../domain/fault.ts';
import { type ChildEnd, spawnLimited } from '../runtime/limited-child.ts';

export interface CopyRequest {
  from: string;
  /** New file, in the same file system for a reflink. */
  to: string;
  reflink: 'auto' | 'never';
  signal: AbortSignal;
  onSpawn?: (pid: number) => void | Promise<void>;
}

/** @returns how it went; the target is durable. @throws Fault NoSpace, NotFound …, or the reason of the abort */
export async function copyDisk(request: CopyRequest): Promise<'reflink' | 'copy'> {
  try {
    const how = await copy(request);
    await syncTarget(request.to);
    return how;
  } catch (error) {
    throw toFault(error, { signal: request.signal });
  }
}

async function copy(request: CopyRequest): Promise<'reflink' | 'copy'> {
  if (request.reflink === 'auto' && (await tryReflink(request))) return 'reflink';
  await runCopy(request, ['--reflink=never', '--sparse=auto']);
  return 'copy';
}

/** @returns false where the file system or the pair of files cannot; nothing was copied then */
async function tryReflink(request: CopyRequest): Promise<boolean> {
  let refused = false;
  const classify = ({ stderr }: ChildEnd): undefined => {
    refused = /failed to clone/.test(stderr) && !/No space left|quota/i.test(stderr);
  };
  try {
    await runCopy(request, ['--reflink=always'], classify);
    return true;
  } catch (error) {
    if (refused && !request.signal.aborted) return false;
    throw error;
  }
}

async function runCopy(
  { from, to, signal, onSpawn }: CopyRequest,
  how: readonly string[],
  classify?: (end: ChildEnd) => undefined,
): Promise<void> {
  const child = spawnLimited({
    program: 'cp',
    args: [...how, '--no-preserve=all', '--', from, to],
    signal,
    limits: { addressSpaceMiB: 512, cpuSeconds: 86_400 },
    isolate: false,
    stdin: 'ignore',
    stdout: 'ignore',
    failure: 'Internal',
    ...(classify === undefined ? {} : { classify }),
  });
  try {
    await onSpawn?.(child.pid);
    await child.done;
  } catch (error) {
    await child.kill(toFault(error));
    throw error;
  }
}

async function syncTarget(path: string): Promise<void> {
  const file = await open(path, 'r+');
  try {
    await file.datasync();
  } finally {
    await file.close();
  }
}
