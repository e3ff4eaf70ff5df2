// Copies a directory of files into a new one of a staging: shared blocks where the file system can, else the bytes, with holes for long zeros. The source may
// be changed meanwhile by a pod that has it: every name is opened in a directory that is held open and never through a link, so nothing else is read.
import { constants, type Stats } from 'node:fs';
import { copyFile, type FileHandle, lstat, mkdir, open, readdir, readlink, symlink } from 'node:fs/promises';
import { Fault, toFault } from '../domain/fault.ts';
import { shownName } from './entry-path.ts';
import { writeSparseBody } from './sparse-body.ts';
import { blockBytes, TreeBudget } from './tree-budget.ts';

export interface TreeCopy {
  from: string;
  /** New directory. */
  to: string;
  /** Most that all of it may take. */
  capBytes: number;
  /** Whether to try to share blocks. */
  reflink: boolean;
  signal: AbortSignal;
  /** Told how many bytes of files are copied so far. */
  onBytes?: (bytes: number) => void;
}

const pieceBytes = 1_048_576;
/** Deeper than any archive that is taken. */
const deepest = 200;
const directoryFlags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
const fileFlags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const newFileFlags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
const reflinkOrNothing = constants.COPYFILE_FICLONE_FORCE | constants.COPYFILE_EXCL;
const refusals: ReadonlySet<unknown> = new Set(['EOPNOTSUPP', 'ENOTSUP', 'ENOSYS', 'EINVAL', 'EXDEV', 'ENOTTY']);

/**
 * Kept are names, contents, the permissions, times of files, and links as they are. Of a file with several names each becomes a file of its own.
 * @returns `reflink` where all files share their blocks with the source
 * @throws Fault ImageTooLarge, NoSpace, SourceChanged, HostileArchive for devices, sockets and pipes, or the reason of the abort; a part is there then
 */
export async function copyTree(copy: TreeCopy): Promise<'reflink' | 'copy'> {
  try {
    await using source = await open(copy.from, directoryFlags);
    await mkdir(copy.to, { mode: 0o700 });
    await using target = await open(copy.to, directoryFlags);
    const copying = new Copying(copy);
    await copying.directory(source, target, 0);
    return copying.how;
  } catch (error) {
    if (!copy.signal.aborted && isChange(error)) {
      throw new Fault('SourceChanged', 'the files were changed while they were copied', { cause: error });
    }
    throw toFault(error, { signal: copy.signal });
  }
}

class Copying {
  readonly #copy: TreeCopy;
  readonly #budget: TreeBudget;
  readonly #piece = Buffer.allocUnsafeSlow(pieceBytes);
  #mayReflink: boolean;
  #bytes = 0;

  constructor(copy: TreeCopy) {
    this.#copy = copy;
    this.#budget = new TreeBudget(copy.capBytes);
    this.#mayReflink = copy.reflink;
  }

  get how(): 'reflink' | 'copy' {
    return this.#mayReflink ? 'reflink' : 'copy';
  }

  async directory(source: FileHandle, target: FileHandle, depth: number): Promise<void> {
    if (depth > deepest) throw new Fault('HostileArchive', `the files lie deeper than ${deepest} directories`);
    for (const name of await readdir(`/proc/self/fd/${source.fd}`, { encoding: 'buffer' })) {
      this.#copy.signal.throwIfAborted();
      const [from, to] = [below(source, name), below(target, name)];
      const stats = await lstat(from);
      if (stats.isDirectory()) await this.#directory(from, to, stats, depth);
      else if (stats.isSymbolicLink()) await this.#link(from, to);
      else if (stats.isFile()) await this.#file(from, to);
      else throw new Fault('HostileArchive', `${shownName(name.toString())} is a device, a socket or a pipe`);
    }
  }

  async #directory(from: Buffer, to: Buffer, { mode }: Stats, depth: number): Promise<void> {
    this.#budget.charge(blockBytes);
    await using source = await open(from, directoryFlags);
    await mkdir(to, { mode: 0o700 });
    await using target = await open(to, directoryFlags);
    await this.directory(source, target, depth + 1);
    await target.chmod((mode & 0o777) | 0o700);
  }

  async #link(from: Buffer, to: Buffer): Promise<void> {
    this.#budget.charge(0);
    await symlink(await readlink(from, { encoding: 'buffer' }), to);
  }

  async #file(from: Buffer, to: Buffer): Promise<void> {
    await using source = await open(from, fileFlags);
    const stats = await source.stat();
    if (!stats.isFile()) throw new Fault('SourceChanged', 'a file became something else meanwhile');
    this.#budget.charge(stats.size);
    const isShared = this.#mayReflink && (await this.#reflink(source, to));
    await using target = await open(to, isShared ? constants.O_RDONLY | constants.O_NOFOLLOW : newFileFlags, 0o600);
    if (!isShared) await writeSparseBody(target, this.#pieces(source, stats.size));
    await target.chmod((stats.mode & 0o777) | 0o600);
    await target.utimes(stats.atime, stats.mtime);
    if (isShared) this.#advance(stats.size);
  }

  /** @returns false where the file system cannot; nothing is there then, and it is not tried again */
  async #reflink(source: FileHandle, to: Buffer): Promise<boolean> {
    try {
      await copyFile(`/proc/self/fd/${source.fd}`, to, reflinkOrNothing);
      return true;
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && refusals.has(error.code))) throw error;
      this.#mayReflink = false;
      return false;
    }
  }

  /** No more than the file had: one that grows is not followed. */
  async *#pieces(file: FileHandle, bytes: number): AsyncGenerator<Buffer, void, undefined> {
    for (let left = bytes; left > 0; ) {
      const { bytesRead } = await file.read(this.#piece, 0, Math.min(left, pieceBytes));
      if (bytesRead === 0) throw new Fault('SourceChanged', 'a file became shorter meanwhile');
      left -= bytesRead;
      yield this.#piece.subarray(0, bytesRead);
      this.#copy.signal.throwIfAborted();
      this.#advance(bytesRead);
    }
  }

  #advance(bytes: number): void {
    this.#bytes += bytes;
    this.#copy.onBytes?.(this.#bytes);
  }
}

/** One name in a directory that is held open; as bytes, for it may be no text. */
function below(directory: FileHandle, name: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`/proc/self/fd/${directory.fd}/`), name]);
}

function isChange(error: unknown): boolean {
  return error instanceof Error && 'code' in error && ['ENOENT', 'ENOTDIR', 'ELOOP'].includes(String(error.code));
}
