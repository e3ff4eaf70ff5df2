// Opens the disk of a volume for reading. A pod that mounts the volume owns its files and may put anything in the place of the disk, at any time: a link to
// what only this service may read, a device, a pipe. So the disk is opened once, seen to be a regular file, and from then on named by its descriptor.
import { constants } from 'node:fs';
import { type FileHandle, lstat, open } from 'node:fs/promises';
import { Fault, toFault } from '../domain/fault.ts';

/** Stays open until it is disposed of. */
export interface OpenDisk extends AsyncDisposable {
  /** Names this very file, for this process and for programs that it starts as itself. */
  path: string;
}

/** @throws Fault HostileImage where no regular file is there */
export async function openDisk(path: string): Promise<OpenDisk> {
  try {
    // Looked at before, since opening alone may do something to a device; and after, since it may be another by then.
    if (!(await lstat(path)).isFile()) throw noDisk(path);
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    return await regular(file, path);
  } catch (error) {
    throw error instanceof Error && 'code' in error && error.code === 'ELOOP' ? noDisk(path, error) : toFault(error);
  }
}

async function regular(file: FileHandle, path: string): Promise<OpenDisk> {
  const close = () => file.close();
  try {
    if (!(await file.stat()).isFile()) throw noDisk(path);
  } catch (error) {
    await close();
    throw error;
  }
  return { path: `/proc/${process.pid}/fd/${file.fd}`, [Symbol.asyncDispose]: close };
}

function noDisk(path: string, cause?: unknown): Fault {
  return new Fault('HostileImage', `${path} is no regular file`, { cause });
}
