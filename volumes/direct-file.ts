// Opens a file past the page cache (O_DIRECT) where its file system can: large disks then neither push everything else out of memory nor pile up
// dirty pages. Reads and writes go in whole sectors, from and to AlignedMemory.
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { toFault } from '../domain/fault.ts';

export interface DirectFile {
  file: FileHandle;
  /** False where the file system has no direct I/O; the file is open in the ordinary way then. */
  direct: boolean;
}

/** @param flags of open(2), without O_DIRECT. @throws Fault */
export async function openDirect(path: string, flags: number): Promise<DirectFile> {
  try {
    return { file: await open(path, flags | constants.O_DIRECT), direct: true };
  } catch (error) {
    // tmpfs of older kernels and some others.
    if (!(error instanceof Error && 'code' in error && error.code === 'EINVAL')) throw toFault(error);
  }
  try {
    return { file: await open(path, flags), direct: false };
  } catch (error) {
    throw toFault(error);
  }
}

/** A new file of ours, 0660. @throws Fault; Internal where it is there already */
export async function createDirect(path: string): Promise<DirectFile> {
  // Made before it is opened past the cache: a refusal of O_DIRECT may come after the file was made.
  const made = await open(path, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY, 0o660).catch(
    (error: unknown) => {
      throw toFault(error);
    },
  );
  await made.close();
  return await openDirect(path, constants.O_RDWR);
}
