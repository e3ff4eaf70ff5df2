// How much room a pool has: what its file system has free, and what the files of the pool have allocated. And what the file system can do.
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { copyFile, lstat, open, opendir, readlink, realpath, rm, statfs } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

const blockUnit = 512; // of st_blocks, whatever the file system's own is

const absences: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR', 'ENAMETOOLONG', 'ELOOP']);

const slash = Buffer.from('/');

/** Directories looked at together: a pool may hold ten thousand volumes. */
const lookedAtOnce = 16;

export interface PoolSpace {
  /** Free for us on the file system. */
  freeBytes: number;
  /** Allocated by the files below volumes/ and staging/; the blocks of images/ are those of volumes, as long as these are there. */
  usedBytes: number;
  /** Size of the file system, without what only root may use of it. */
  totalBytes: number;
}

/** What a pool tells of itself. */
export interface PoolUsage extends Omit<PoolSpace, 'totalBytes'> {
  capacityBytes: number;
  /** What can still be promised. */
  leftBytes: number;
  reservedBytes: number;
  enforcement: string;
  reflink: boolean;
  largestVolumeBytes: number;
}

export async function measureSpace(directories: readonly string[], fileSystemOf: string): Promise<PoolSpace> {
  let usedBytes = 0;
  for (const directory of directories) usedBytes += await allocatedBelow(directory);
  const { bavail, bfree, blocks, bsize } = await statfs(fileSystemOf);
  return { freeBytes: bavail * bsize, usedBytes, totalBytes: (blocks - (bfree - bavail)) * bsize };
}

/**
 * What the pool could hold: what is free, and what its own files take; what others have written there is not counted. Files that share blocks count each
 * for itself, so it is never more than the file system has.
 */
export function capacityOf({ freeBytes, usedBytes, totalBytes }: PoolSpace): number {
  return Math.min(freeBytes + usedBytes, totalBytes);
}

/** Bytes that a file, or all files below a directory, have allocated. Files that vanish meanwhile count nothing. */
export async function allocatedBelow(path: string): Promise<number> {
  return (await measureTree(path)).allocatedBytes;
}

export interface TreeMeasure {
  allocatedBytes: number;
  /** Files and directories, the first one too. */
  entries: number;
}

/**
 * What is at a path and below; a few directories at a time, however deep and wide the tree is that a pod made. Links are not followed, nor a link that
 * takes the place of a directory meanwhile.
 */
export async function measureTree(path: string, signal?: AbortSignal): Promise<TreeMeasure> {
  const own = await unlessAbsent(lstat(path));
  const device = own?.dev;
  const sum: TreeMeasure = { allocatedBytes: 0, entries: own === undefined ? 0 : 1 };
  if (own !== undefined && !own.isDirectory()) sum.allocatedBytes = own.blocks * blockUnit;
  const above = own?.isDirectory() === true ? await unlessAbsent(realpath(dirname(path))) : undefined;
  const pending = above === undefined ? [] : [Buffer.from(join(above, basename(path)))];
  while (pending.length > 0) {
    signal?.throwIfAborted();
    const some = pending.splice(-lookedAtOnce);
    await Promise.all(some.map((directory) => measureDirectory(directory, { sum, pending, device })));
  }
  return sum;
}

/** Adds the files of one directory to the sum, and its directories to what is pending. */
async function measureDirectory(
  directory: Buffer,
  { sum, pending, device }: { sum: TreeMeasure; pending: Buffer[]; device: number | undefined },
): Promise<void> {
  const flags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
  const handle = await unlessAbsent(open(directory, flags));
  if (handle === undefined) return;
  try {
    const itself = `/proc/self/fd/${handle.fd}`;
    // Opened through a link, it is not what it was.
    if ((await unlessAbsent(readlink(itself, { encoding: 'buffer' })))?.equals(directory) !== true) return;
    // What is mounted in it takes no room of this file system.
    if ((await handle.stat()).dev !== device) return;
    // A part at a time: a pod may have made millions of files. Names as bytes: it may have made such as are no text.
    const encoding = 'buffer' as BufferEncoding; // Node takes it here as for readdir, and its types do not know
    for await (const entry of await opendir(itself, { bufferSize: 1024, encoding })) {
      const name = Buffer.concat([slash, Buffer.from(entry.name)]);
      sum.entries += 1;
      if (entry.isDirectory()) {
        pending.push(Buffer.concat([directory, name]));
      } else {
        const { blocks } = (await unlessAbsent(lstat(Buffer.concat([Buffer.from(itself), name])))) ?? { blocks: 0 };
        sum.allocatedBytes += blocks * blockUnit;
      }
    }
  } finally {
    await handle.close();
  }
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

/** Undefined where there is no such file. */
export async function unlessAbsent<T>(looking: Promise<T>): Promise<T | undefined> {
  try {
    return await looking;
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}

/** Gone meanwhile, or deeper than a path can name: a pod can make such, and they are not worth failing for. */
function isAbsent(error: unknown): boolean {
  return error instanceof Error && 'code' in error && absences.has(String(error.code));
}
