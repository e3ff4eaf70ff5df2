// Removes what a pod may have made. A path has 4096 bytes at most, and a pod can make trees that are deeper.
import { randomBytes } from 'node:crypto';
import { readdir, rename, rm, rmdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';

/** One that is not there is no error; links are removed, never followed. */
export async function removeTree(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true });
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENAMETOOLONG')) throw error;
    await removeDeepTree(path);
  }
}

/** Each directory is moved up to the top before what is in it is looked at, so no path grows long. */
async function removeDeepTree(top: string): Promise<void> {
  const pending = await emptied(top, top);
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    pending.push(...(await emptied(next, top)));
    await rmdir(next);
  }
  await rmdir(top);
}

/** Removes the files of a directory and moves its directories up. @returns where they are now */
async function emptied(directory: string, top: string): Promise<string[]> {
  const moved: string[] = [];
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (!entry.isDirectory()) {
      await unlink(path);
      continue;
    }
    const to = join(top, randomBytes(12).toString('hex'));
    await rename(path, to);
    moved.push(to);
  }
  return moved;
}
