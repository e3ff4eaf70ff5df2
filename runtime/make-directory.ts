// A directory and its parents, where a setting wants them. Node's own `recursive` never ends where a parent says of every child that it does
// not exist, as /proc does; so this goes up one parent at a time, and tries each once.
import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Fault, toFault } from '../domain/fault.ts';

export interface WantedDirectory {
  path: string;
  mode: number;
  /** What wants it, for the fault, such as `data directory (--data, LONGSHORE_DATA)`. */
  setting: string;
}

const whyImpossible: Readonly<Record<string, string>> = {
  ENOENT: 'nothing can be made there',
  ENOTDIR: 'a file is in the way',
  EEXIST: 'a file is in the way',
  ELOOP: 'a symbolic link leads to itself',
  ENAMETOOLONG: 'the name is too long',
};

/**
 * Leaves the parents that it made where it fails.
 * @throws Fault InvalidSetting where no directory can be, PermissionDenied, NoSpace
 */
export async function makeDirectory(wanted: WantedDirectory): Promise<void> {
  await makeOne(wanted.path, wanted);
}

async function makeOne(path: string, wanted: WantedDirectory): Promise<void> {
  const errno = await tryToMake(path, wanted.mode);
  if (errno === undefined || (errno === 'EEXIST' && (await isDirectory(path)))) return;
  if (errno === 'ENOENT' && !(await isDirectory(dirname(path)))) {
    await makeOne(dirname(path), wanted);
    if ((await tryToMake(path, wanted.mode)) === undefined || (await isDirectory(path))) return;
  }
  throw new Fault('InvalidSetting', `${wanted.setting} ${wanted.path}: ${whyImpossible[errno] ?? errno}`);
}

/** @returns why there can be none, undefined where it was made */
async function tryToMake(path: string, mode: number): Promise<string | undefined> {
  try {
    await mkdir(path, { mode });
    return undefined;
  } catch (error) {
    if (error instanceof Error && 'code' in error && String(error.code) in whyImpossible) return String(error.code);
    throw toFault(error);
  }
}

async function isDirectory(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false, // why not is told by the attempt to make it
  );
}
