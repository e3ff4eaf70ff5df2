// How much room a pool has: what its file system has free, and what the files of the pool have allocated. And what the file system can do.
import { randomBytes } from 'node:crypto';
import { constants, type Dirent } from 'node:fs';
import { copyFile, lstat, open, readdir, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';

const blockUnit = 512; // of st_blocks, whatever the file system's own is

/** Files of one directory looked at together: a pool may hold ten thousand volumes. */
const lookedAtOnce = 16;

export interface PoolSpace {
  /** Free for us on the file system. */
  freeBytes: number;
  /** Allocated by the files below volumes/, staging/ and images/. */
  usedBytes: number;
}

export async function measureSpace(directories: readonly string[], fileSystemOf: string): Promise<PoolSpace> {
  let usedBytes = 0;
  for (const directory of directories) usedBytes += await allocatedBelow(directory);
  const { bavail, bsize } = await statfs(fileSystemOf);
  return { freeBytes: bavail * bsize, usedBytes };
}

/** Bytes that a file, or all files below a directory, have allocated. Files that vanish meanwhile count nothing. */
export async function allocatedBelow(path: string): Promise<number> {
  const own = await lstatIfThere(path);
  if (own === undefined) return 0;
  if (!own.isDirectory()) return own.blocks * blockUnit;
  let sum = 0;
  const entries = await entriesOf(path);
  for (let first = 0; first < entries.length; first += lookedAtOnce) {
    const some = entries.slice(first, first + lookedAtOnce);
    const bytes = await Promise.all(some.map(({ name }) => allocatedBelow(join(path, name))));
    sum += bytes.reduce((total, each) => total + each, 0);
  }
  return sum;
}

/** Whether the file system shares blocks between files; tried with a real file in `directory`, which is gone afterwards. */
export async function canReflink(directory: string): Promise<boolean> {
  const [from, to] = [probePath(directory), probePath(directory)];
  try {
    const file = await open(from, 'wx', 0o600);
    await file.writeFile(Buffer.alloc(4096, 1));
    await file.close();
    await copyFile(from, to, constants.COPYFILE_FICLONE_FORCE);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && isRefusal(error.code)) return false;
    throw error;
  } finally {
    await rm(from, { force: true });
    await rm(to, { force: true });
  }
}

/** Longest file that the file system takes, to 1 MiB; found by trying lengths of an empty file. */
export async function longestFile(directory: string): Promise<number> {
  const unit = 1024 * 1024;
  const path = probePath(directory);
  const file = await open(path, 'wx', 0o600);
  try {
    let [takes, refuses] = [0, Math.floor(Number.MAX_SAFE_INTEGER / unit) + 1];
    while (refuses - takes > 1) {
      const middle = Math.floor((takes + refuses) / 2);
      const taken = await file.truncate(middle * unit).then(
        () => true,
        (error: NodeJS.ErrnoException) => {
          if (error.code === 'EFBIG' || error.code === 'EINVAL') return false;
          throw error;
        },
      );
      if (taken) takes = middle;
      else refuses = middle;
    }
    return takes * unit;
  } finally {
    await file.close();
    await rm(path, { force: true });
  }
}

function probePath(directory: string): string {
  return join(directory, `.probe.${randomBytes(6).toString('hex')}.tmp`);
}

function isRefusal(code: unknown): boolean {
  return ['EOPNOTSUPP', 'ENOTSUP', 'ENOSYS', 'EINVAL', 'EXDEV', 'ENOTTY'].includes(String(code));
}

async function lstatIfThere(path: string) {
  try {
    return await lstat(path);
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}

async function entriesOf(directory: string): Promise<Dirent[]> {
  try {
    return await readdir(directory, { withFileTypes: true });
  } catch (error) {
    if (isAbsent(error)) return [];
    throw error;
  }
}

function isAbsent(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR');
}
