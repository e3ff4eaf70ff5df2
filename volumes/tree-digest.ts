// The content digest of a directory of files: a hash of what is in it and how it is called, whatever order it came in. docs/digests.md specifies it.
// Links are read and never followed, and names are bytes: a pod may have made such as are no text, and may swap them meanwhile.
import { createHash, type Hash } from 'node:crypto';
import { constants, type Stats } from 'node:fs';
import { type FileHandle, lstat, open, readdir, readlink } from 'node:fs/promises';
import { Fault, toFault } from '../domain/fault.ts';

export interface TreeDigest {
  contentDigest: string;
  /** Files, directories and links, without the directory itself. */
  entries: number;
  /** Lengths of the files together. */
  bytes: number;
  allocatedBytes: number;
  /** Devices, sockets and pipes: what no archive brings. */
  specials: number;
}

const digestPrefix = 'files-sha256:';
const pieceBytes = 1_048_576;
/** Deeper than any archive that is taken. */
const deepest = 200;
const blockUnit = 512; // of st_blocks
const directoryFlags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
const fileFlags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/**
 * @param onBytes told how many bytes of files were read so far
 * @throws Fault SourceChanged where a name became something else meanwhile, HostileImage for a tree that is too deep, or the reason of the abort
 */
export async function treeDigest(
  path: string,
  { signal, onBytes }: { signal: AbortSignal; onBytes?: (bytes: number) => void },
): Promise<TreeDigest> {
  try {
    await using root = await open(path, directoryFlags);
    const walk = new TreeWalk(signal, onBytes);
    const digest = await walk.directory(root, 0);
    return { contentDigest: digestPrefix + digest, ...walk.sums };
  } catch (error) {
    throw changedOr(error, signal);
  }
}

class TreeWalk {
  readonly sums = { entries: 0, bytes: 0, allocatedBytes: 0, specials: 0 };
  readonly #signal: AbortSignal;
  readonly #onBytes: ((bytes: number) => void) | undefined;
  readonly #piece = Buffer.allocUnsafeSlow(pieceBytes);

  constructor(signal: AbortSignal, onBytes: ((bytes: number) => void) | undefined) {
    this.#signal = signal;
    this.#onBytes = onBytes;
  }

  /** @returns hex of the sha256 over its entries, in the order of the bytes of their names */
  async directory(directory: FileHandle, depth: number): Promise<string> {
    if (depth > deepest) throw new Fault('HostileImage', `the files lie deeper than ${deepest} directories`);
    const hash = createHash('sha256');
    const itself = `/proc/self/fd/${directory.fd}`;
    const names = (await readdir(itself, { encoding: 'buffer' })).sort(Buffer.compare);
    for (const name of names) {
      this.#signal.throwIfAborted();
      this.sums.entries += 1;
      await this.#addEntry(hash, Buffer.concat([Buffer.from(`${itself}/`), name]), name, depth);
    }
    return hash.digest('hex');
  }

  async #addEntry(hash: Hash, path: Buffer, name: Buffer, depth: number): Promise<void> {
    const { kind, mode, digest } = await this.#read(path, await lstat(path), depth);
    hash.update(`${kind} ${mode} ${digest} `).update(name).update('\0');
  }

  async #read(path: Buffer, stats: Stats, depth: number): Promise<{ kind: string; mode: string; digest: string }> {
    if (stats.isSymbolicLink()) {
      const target = await readlink(path, { encoding: 'buffer' });
      return { kind: 'l', mode: '777', digest: createHash('sha256').update(target).digest('hex') };
    }
    const mode = ((stats.mode & 0o777) | (stats.isDirectory() ? 0o700 : 0o600)).toString(8);
    if (stats.isDirectory()) {
      await using directory = await open(path, directoryFlags);
      return { kind: 'd', mode, digest: await this.directory(directory, depth + 1) };
    }
    if (!stats.isFile()) {
      this.sums.specials += 1;
      return { kind: 's', mode, digest: createHash('sha256').digest('hex') };
    }
    await using file = await open(path, fileFlags);
    if (!(await file.stat()).isFile()) throw new Fault('SourceChanged', 'a file became something else meanwhile');
    this.sums.allocatedBytes += stats.blocks * blockUnit;
    return { kind: 'f', mode, digest: await this.#contentOf(file) };
  }

  async #contentOf(file: FileHandle): Promise<string> {
    const hash = createHash('sha256');
    for (;;) {
      const { bytesRead } = await file.read(this.#piece, 0, pieceBytes);
      if (bytesRead === 0) return hash.digest('hex');
      hash.update(this.#piece.subarray(0, bytesRead));
      this.sums.bytes += bytesRead;
      this.#signal.throwIfAborted();
      this.#onBytes?.(this.sums.bytes);
    }
  }
}

function changedOr(error: unknown, signal: AbortSignal): Fault {
  const errno = error instanceof Error && 'code' in error ? error.code : undefined;
  if (!signal.aborted && (errno === 'ENOENT' || errno === 'ENOTDIR' || errno === 'ELOOP')) {
    return new Fault('SourceChanged', 'the files were changed while they were read', { cause: error });
  }
  return toFault(error, { signal });
}
