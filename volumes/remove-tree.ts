// Removes what a pod may have made: millions of files, trees deeper than a path can name, names that it swaps for links meanwhile. GNU rm goes by
// descriptors of directories and never through a link, in little memory, and leaves our event loop alone.
import { resolve } from 'node:path';
import { type Fault, toFault } from '../domain/fault.ts';
import type { FaultCode } from '../domain/fault-catalogue.ts';
import { type ChildEnd, spawnLimited } from '../runtime/limited-child.ts';

const limits = { addressSpaceMiB: 1024, cpuSeconds: 86_400 };

/**
 * One that is not there is no error; links are removed, never followed, and what is mounted in it stays.
 * @throws Fault PermissionDenied, OutOfMemory, TimedOut, Internal, or the reason of the abort; a part of the tree is left then
 */
export async function removeTree(path: string, signal?: AbortSignal): Promise<void> {
  const child = spawnLimited({
    program: 'rm',
    args: ['--recursive', '--force', '--one-file-system', '--preserve-root', '--', resolve(path)],
    signal: signal ?? new AbortController().signal,
    limits,
    isolate: false, // the files are a pod's, of whatever owner
    stdin: 'ignore',
    stdout: 'ignore',
    failure: 'Internal',
    classify: classifyEnd,
  });
  await child.done;
}

/** One after the other, and never fails: what cannot be removed is told to `onFailure` and stays. The abort ends it. */
export async function removeTrees(
  paths: readonly string[],
  { signal, onFailure }: { signal: AbortSignal; onFailure: (path: string, fault: Fault) => void },
): Promise<void> {
  for (const path of paths) {
    if (signal.aborted) return;
    try {
      await removeTree(path, signal);
    } catch (error) {
      if (!signal.aborted) onFailure(path, toFault(error));
    }
  }
}

function classifyEnd({ stderr }: ChildEnd): FaultCode | undefined {
  return /Permission denied|Operation not permitted/.test(stderr) ? 'PermissionDenied' : undefined;
}
