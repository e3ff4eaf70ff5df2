// Small files that survive a power cut: written beside their place, fsynced, renamed, and the directory fsynced. A reader finds the old
// content or the new one, never a part. What a crash leaves beside is named `.<name>.<random>.tmp`.
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

const temporaryPattern = /^\..+\.[0-9a-f]{12}\.tmp$/;

/** @param mode permissions of the new file */
export async function writeDurably(path: string, content: string, mode = 0o644): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}.tmp`);
  try {
    const file = await open(temporary, 'wx', mode);
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncDirectory(dirname(path));
}

export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** What a crash in writeDurably left; nobody reads it. */
export function isLeftoverName(name: string): boolean {
  return temporaryPattern.test(name);
}
