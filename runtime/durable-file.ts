// Small files that are either the old or the new one, never half of it, also after a power cut.
import { randomBytes } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Writes beside, syncs, renames, syncs the directory. What fails leaves the old file and nothing else. */
export async function writeDurably(path: string, content: string | Uint8Array, mode: number): Promise<void> {
  const beside = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`;
  try {
    await writeAndSync(beside, content, mode);
    await rename(beside, path);
  } catch (error) {
    await rm(beside, { force: true });
    throw error;
  }
  await syncDirectory(dirname(path));
}

async function writeAndSync(path: string, content: string | Uint8Array, mode: number): Promise<void> {
  await using file = await open(path, 'wx', mode);
  await file.writeFile(content);
  await file.sync();
}

export async function syncDirectory(path: string): Promise<void> {
  await using directory = await open(path, 'r');
  await directory.sync();
}

/** Whether a name is that of what a crash in writeDurably left beside a file; nobody reads it. */
export function isLeftoverName(name: string): boolean {
  return /\.\d+\.[0-9a-f]{8}$/.test(name);
}
