// Allocates blocks of a file before they are written, so that the disk of a machine can never run out of them. They read as zeros.
import { type FileHandle, open, stat } from 'node:fs/promises';
import { Fault, toFault } from '../domain/fault.ts';
import { spawnLimited } from '../runtime/limited-child.ts';
import { dataExtents } from './qemu-img.ts';

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

const zeros = Buffer.alloc(1024 * 1024);

/**
 * Writes zeros wherever nothing was written yet, so that a machine's first write finds its block in place.
 * @returns what the file has allocated then. @throws Fault NoSpace, or the reason of the abort; what was written by then stays
 */
export async function writeEveryBlock(path: string, signal: AbortSignal): Promise<number> {
  await using file = await open(path, 'r+');
  try {
    let at = 0;
    for await (const { start, length } of dataExtents(path, { signal })) {
      await writeZeros(file, { start: at, end: start }, signal);
      at = start + length;
    }
    await writeZeros(file, { start: at, end: (await file.stat()).size }, signal);
    await file.sync();
    return (await file.stat()).blocks * 512;
  } catch (error) {
    throw toFault(error, { signal });
  }
}

async function writeZeros(
  file: FileHandle,
  { start, end }: { start: number; end: number },
  signal: AbortSignal,
): Promise<void> {
  for (let at = start; at < end; ) {
    signal.throwIfAborted();
    at += (await file.write(zeros, 0, Math.min(zeros.length, end - at), at)).bytesWritten;
    // What is not yet on disk stays little, whatever the size.
    if ((at / zeros.length) % 64 === 0) await file.datasync();
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
