// Gives a whole tree to an owner. GNU chown goes by descriptors of directories, changes links themselves and never what they lead to.
import { resolve } from 'node:path';
import { spawnLimited } from '../runtime/limited-child.ts';

/** @throws Fault PermissionDenied, TimedOut, Internal; a part of the tree has its owner then */
export async function chownTree(path: string, owner: { readonly uid: number; readonly gid: number }): Promise<void> {
  const child = spawnLimited({
    program: 'chown',
    args: [
      '--recursive',
      '--no-dereference',
      '-P',
      '--preserve-root',
      '--',
      `${owner.uid}:${owner.gid}`,
      resolve(path),
    ],
    signal: new AbortController().signal,
    limits: { addressSpaceMiB: 1024, cpuSeconds: 86_400 },
    isolate: false, // nobody else may give files away
    stdin: 'ignore',
    stdout: 'ignore',
    failure: 'Internal',
    classify: ({ stderr }) =>
      /Permission denied|Operation not permitted/.test(stderr) ? 'PermissionDenied' : undefined,
  });
  await child.done;
}
