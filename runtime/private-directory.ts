// A directory that only this user (and root) can reach, for unix sockets between processes of one machine: the kernel keeps everybody else away from what
// is listened to in it. Its identity tells two processes, wherever they run, whether they look at the same one.
import type { FileHandle } from 'node:fs/promises';
import { open, readFile } from 'node:fs/promises';
import { toFault } from '../domain/fault.ts';

/** Rights of group and others. */
const rightsOfOthers = 0o077;

export class PrivateDirectory implements AsyncDisposable {
  readonly path: string;
  /** Of the running kernel, the file system and the directory. */
  readonly identity: string;
  readonly #place: FileHandle;

  private constructor(path: string, identity: string, place: FileHandle) {
    this.path = path;
    this.identity = identity;
    this.#place = place;
  }

  /** @returns undefined where others could reach it, or where it is not ours. @throws Fault where it cannot be opened */
  static async open(path: string): Promise<PrivateDirectory | undefined> {
    try {
      const place = await open(path, 'r');
      const { dev, ino, mode, uid } = await place.stat();
      if ((mode & rightsOfOthers) === 0 && uid === process.geteuid?.()) {
        const kernel = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
        return new PrivateDirectory(path, `${kernel}:${dev}:${ino}`, place);
      }
      await place.close();
      return undefined;
    } catch (error) {
      throw toFault(error);
    }
  }

  /** By way of the descriptor, since the address of a socket has at most 107 characters. */
  addressOf(socketName: string): string {
    return `/proc/self/fd/${this.#place.fd}/${socketName}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#place.close();
  }
}
