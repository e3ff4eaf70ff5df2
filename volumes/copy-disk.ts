// Copies a disk within a pool: shared blocks where the file system can (cp --reflink), else a copy that keeps the holes and goes past the page
// cache (qemu-img from raw to raw, which is twice as fast as cp there). Both are children that the signal ends. After failure or abort the target
// holds a part, for the staging to discard.
import { constants } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { toFault } from '../domain/fault.ts';
import { type ChildEnd, spawnLimited } from '../runtime/limited-child.ts';
import { openDirect } from './direct-file.ts';

export interface CopyRequest {
  from: string;
  /** New file, in the same file system for a reflink. */
  to: string;
  reflink: 'auto' | 'never';
  signal: AbortSignal;
  onSpawn?: (pid: number) => void | Promise<void>;
}

/** @returns how it went; the target is durable and as long as the source. @throws Fault NoSpace …, or the reason of the abort */
export async function copyDisk(request: CopyRequest): Promise<'reflink' | 'copy'> {
  try {
    const { size } = await stat(request.from);
    const shared = request.reflink === 'auto' && (await tryReflink(request));
    if (!shared) await sparseCopy(request);
    await finishTarget(request.to, size);
    return shared ? 'reflink' : 'copy';
  } catch (error) {
    throw toFault(error, { signal: request.signal });
  }
}

/** @returns false where the file system or the pair of files cannot; nothing was copied then */
async function tryReflink(request: CopyRequest): Promise<boolean> {
  let refused = false;
  const classify = ({ stderr }: ChildEnd): undefined => {
    refused = /failed to clone/.test(stderr) && !/No space left|quota/i.test(stderr);
  };
  try {
    await runCopy('cp', ['--reflink=always', '--no-preserve=all', '--', request.from, request.to], request, classify);
    return true;
  } catch (error) {
    if (refused && !request.signal.aborted) return false;
    throw error;
  }
}

async function sparseCopy(request: CopyRequest): Promise<void> {
  const { file, direct } = await openDirect(request.to, constants.O_RDWR | constants.O_CREAT);
  await file.close();
  const cache = direct ? ['-t', 'none', '-T', 'none'] : ['-t', 'writeback'];
  const format = ['-f', 'raw', '-O', 'raw', '-S', '64k', '-m', '8', '-W'];
  // Image locking is for machines; the source is complete and its owner has checked that it is not written.
  await runCopy('qemu-img', ['convert', '-U', ...format, ...cache, request.from, request.to], request);
}

async function runCopy(
  program: string,
  args: readonly string[],
  { signal, onSpawn }: CopyRequest,
  classify?: (end: ChildEnd) => undefined,
): Promise<void> {
  const child = spawnLimited({
    program,
    args,
    signal,
    limits: { addressSpaceMiB: 1024, cpuSeconds: 86_400 },
    isolate: false, // both files are ours, and raw is not parsed
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

/** qemu-img rounds lengths up to whole sectors. */
async function finishTarget(path: string, sizeBytes: number): Promise<void> {
  const file = await open(path, 'r+');
  try {
    await file.truncate(sizeBytes);
    await file.datasync();
  } finally {
    await file.close();
  }
}
