// Makes everything durable that was written to a file system: for a tree of files that is one call (syncfs) in place of two for each of them.
import { resolve } from 'node:path';
import { spawnLimited } from '../runtime/limited-child.ts';

/** @param path in that file system. @throws Fault NoSpace, TimedOut, Internal where something could not be written */
export async function syncFileSystem(path: string): Promise<void> {
  const child = spawnLimited({
    program: 'sync',
    args: ['--file-system', '--', resolve(path)],
    signal: new AbortController().signal,
    limits: { addressSpaceMiB: 256, cpuSeconds: 86_400 },
    isolate: false, // it opens only what is ours
    stdin: 'ignore',
    stdout: 'ignore',
    failure: 'Internal',
  });
  await child.done;
}
