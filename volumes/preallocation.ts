// Allocates blocks of a file before they are written, so that the disk of a machine can never run out of them. They read as zeros.
import { stat } from 'node:fs/promises';
import { Fault } from '../domain/fault.ts';
import { spawnLimited } from '../runtime/limited-child.ts';

/**
 * Allocates the file up to `bytes`; its length grows to that.
 * @throws Fault NoSpace; what was allocated by then stays, in a staging that is discarded
 */
export async function allocate(path: string, bytes: number, signal?: AbortSignal): Promise<void> {
  if (bytes === 0) return;
  const stop = signal ?? new AbortController().signal;
  let unsupported = false;
  try {
    await runFallocate(['--length', String(bytes), path], stop, (stderr) => {
      unsupported = /Operation not supported/.test(stderr);
    });
  } catch (error) {
    if (!unsupported || stop.aborted) throw error;
    // Writes into every block. It ends well whatever happened (util-linux 2.38 overlooks the error), so the length is what tells.
    await runFallocate(['--posix', '--length', String(bytes), path], stop);
    const { size } = await stat(path);
    if (size < bytes) throw new Fault('NoSpace', `${bytes} bytes cannot be allocated`, { cause: error });
  }
}

async function runFallocate(args: string[], signal: AbortSignal, look?: (stderr: string) => void): Promise<void> {
  const child = spawnLimited({
    program: 'fallocate',
    args,
    signal,
    limits: { addressSpaceMiB: 256, cpuSeconds: 3600 },
    isolate: false,
    stdin: 'ignore',
    stdout: 'ignore',
    failure: 'NoSpace',
    classify: ({ stderr }) => {
      look?.(stderr);
      return undefined;
    },
  });
  await child.done;
}
