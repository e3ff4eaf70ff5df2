// Opens the file that becomes a disk: a new one, or one whose beginning is kept.
import { constants } from 'node:fs';
import { toFault } from '../domain/fault.ts';
import { createDirect, type DirectFile, openDirect } from './direct-file.ts';
import { allocate } from './preallocation.ts';

export interface TargetFile {
  capBytes: number;
  /** Allocate all blocks up to capBytes first. */
  preallocation: boolean;
  /** Where there are any, the file is there already; what follows them is cut off. */
  keptBytes?: number;
}

/** @throws Fault NoSpace where preallocation does not fit, or a new file is there already */
export async function openTarget(
  path: string,
  { capBytes, preallocation, keptBytes = 0 }: TargetFile,
): Promise<DirectFile> {
  const opened = keptBytes === 0 ? await createDirect(path) : await openDirect(path, constants.O_RDWR);
  try {
    if (keptBytes > 0) await opened.file.truncate(keptBytes);
    if (preallocation) await allocate(path, capBytes);
    return opened;
  } catch (error) {
    await opened.file.close();
    throw toFault(error);
  }
}
