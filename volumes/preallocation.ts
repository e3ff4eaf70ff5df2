// Allocates blocks of a file before they are written, so that the disk of a machine can never run out of them. They read as zeros.
import { spawnLimited } from '../runtime/limited-child.ts';

/**
 * Allocates the file up to `bytes`; its length grows to that.
 * @throws Fault NoSpace; what was allocated by then stays, in a staging that is discarded
 */
export async function allocate(path: string, bytes: number, signal?: AbortSignal): Promise<void> {
  const child = spawnLimited({
    program: 'fallocate',
    // --posix writes zeros where the file system has no such call.
    args: ['--posix', '--length', String(bytes), path],
    signal: signal ?? new AbortController().signal,
    limits: { addressSpaceMiB: 256, cpuSeconds: 3600 },
    isolate: false,
    stdin: 'ignore',
    stdout: 'ignore',
    failure: 'NoSpace',
  });
  await child.done;
}
