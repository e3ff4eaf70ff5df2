// Writes the files of an archive into a new directory of a staging, where nobody else writes, whatever the archive says. Each name is made and opened in a
// directory that is held open, one name at a time and never through a link, so that nothing outside is read, changed or linked to.
import { constants } from 'node:fs';
import { type FileHandle, link, lstat, mkdir, open, symlink, unlink } from 'node:fs/promises';
import { Fault } from '../domain/fault.ts';
import { entryPath, shownName } from './entry-path.ts';
import { inertLink } from './inert-link.ts';
import { writeSparseBody } from './sparse-body.ts';
import { blockBytes, TreeBudget } from './tree-budget.ts';

export interface FileFacts {
  mode: number;
  /** When it was changed, in seconds since 1970. */
  modified: number | undefined;
  /** Of its body, as declared. */
  bytes: number;
}

const directoryFlags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
const newFileFlags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

/**
 * Faults of all that write: HostileArchive, ImageTooLarge where it takes more than the volume has, NoSpace. What was written by then stays, in a staging that
 * is discarded. Owners of files are not looked at; of modes the nine bits of the permissions are kept, and the owner may always read, write and look in.
 */
export class FileTreeWriter implements AsyncDisposable {
  readonly #root: FileHandle;
  readonly #budget: TreeBudget;
  #directory: { path: string; handle: FileHandle } | undefined;
  #rebasedLinks = 0;

  private constructor(root: FileHandle, capBytes: number) {
    this.#root = root;
    this.#budget = new TreeBudget(capBytes);
  }

  /** Makes the directory. @param capBytes most that everything in it may take */
  static async create(path: string, capBytes: number): Promise<FileTreeWriter> {
    await mkdir(path, { mode: 0o700 });
    return new FileTreeWriter(await open(path, directoryFlags), capBytes);
  }

  /** Absolute links that were made relative to the root of the archive. */
  get rebasedLinks(): number {
    return this.#rebasedLinks;
  }

  /** One that is there already gets the mode. That of the archive's own root is left as it is. */
  async directory(name: string, mode: number): Promise<void> {
    const names = entryPath(name);
    if (names.length === 0) return;
    await this.#enter(names, name);
    await this.#directory?.handle.chmod((mode & 0o777) | 0o700);
  }

  /** @param pieces of which there are as many bytes as the facts say; each is taken before the next one is asked for */
  async file(name: string, facts: FileFacts, pieces: AsyncIterable<Buffer>): Promise<void> {
    await using file = await open(await this.#place(name, facts.bytes), newFileFlags, 0o600);
    await writeSparseBody(file, pieces);
    await file.chmod((facts.mode & 0o777) | 0o600);
    if (facts.modified !== undefined) await file.utimes(facts.modified, facts.modified);
  }

  async symbolicLink(name: string, target: string): Promise<void> {
    const inert = inertLink(name, target, entryPath(name).length - 1);
    await symlink(inert.target, await this.#place(name, 0));
    if (inert.wasAbsolute) this.#rebasedLinks += 1;
  }

  /** Counts as much as its file does: whoever reads the tree reads it as often as it has names. */
  async hardLink(name: string, target: string): Promise<void> {
    const [names, targetNames] = [entryPath(name), entryPath(target)];
    if (names.join('/') === targetNames.join('/')) throw hostile(name, 'is a link to itself');
    const leaf = targetNames.pop();
    await using holder = await this.#descend(targetNames, name, { make: false });
    const from = below(holder, leaf ?? '.');
    const there = await lstat(from).catch((error: unknown) => {
      throw errnoOf(error) === 'ENOENT' ? missing(name, target) : error;
    });
    if (there.isDirectory()) throw hostile(name, `is a hard link to the directory ${shownName(target)}`);
    await link(from, await this.#place(name, there.size));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#directory?.handle.close();
    this.#directory = undefined;
    await this.#root.close();
  }

  /**
   * Where to make what is named, with its room charged: its directory is there, and held open until the next call. Of two of the same name the later one stays,
   * as with tar; but a directory never gives way.
   */
  async #place(name: string, bytes: number): Promise<string> {
    const names = entryPath(name);
    const leaf = names.pop();
    if (leaf === undefined) throw hostile(name, 'is the directory of the archive itself, and no directory here');
    const path = below(names.length === 0 ? this.#root : await this.#enter(names, name), leaf);
    const there = await lstat(path).catch((error: unknown) => {
      if (errnoOf(error) !== 'ENOENT') throw error;
    });
    if (there?.isDirectory() === true) throw hostile(name, 'is a directory, and something else too');
    if (there !== undefined) {
      await unlink(path);
      this.#budget.refund(there.isFile() ? there.size : 0);
    }
    this.#budget.charge(bytes);
    return path;
  }

  async #enter(names: readonly string[], name: string): Promise<FileHandle> {
    const path = names.join('/');
    if (this.#directory?.path === path) return this.#directory.handle;
    const handle = await this.#descend(names, name, { make: true });
    await this.#directory?.handle.close();
    this.#directory = { path, handle };
    return handle;
  }

  /** @param name for the sentence of a fault */
  async #descend(names: readonly string[], name: string, { make }: { make: boolean }): Promise<FileHandle> {
    let at = await open(below(this.#root, '.'), directoryFlags);
    try {
      for (const part of names) {
        const next = await this.#openDirectory(below(at, part), name, make);
        await at.close();
        at = next;
      }
      return at;
    } catch (error) {
      await at.close();
      throw error;
    }
  }

  async #openDirectory(path: string, name: string, make: boolean): Promise<FileHandle> {
    try {
      return await open(path, directoryFlags);
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === 'ENOTDIR' || errno === 'ELOOP') throw hostile(name, 'goes through what is no directory');
      if (errno !== 'ENOENT') throw error;
      if (!make) throw hostile(name, 'is a hard link to what is not before it in the archive');
    }
    this.#budget.charge(blockBytes);
    await mkdir(path, { mode: 0o700 });
    const made = await open(path, directoryFlags);
    await made.chmod(0o755); // until the archive says otherwise; mkdir minds the umask
    return made;
  }
}

/** One name in a directory that is held open. */
function below(directory: FileHandle, name: string): string {
  return `/proc/self/fd/${directory.fd}/${name}`;
}

function hostile(name: string, what: string): Fault {
  return new Fault('HostileArchive', `${shownName(name)} ${what}`);
}

function missing(name: string, target: string): Fault {
  return hostile(name, `is a hard link to ${shownName(target)}, which is not before it in the archive`);
}

function errnoOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}
