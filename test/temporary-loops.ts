// File systems in files, for tests that root runs: formatted, mounted over loop devices, and gone when the test ends.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdir, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { temporaryDirectory } from './temporary-directory.ts';

const mib = 1024 * 1024;
/** The smallest that mkfs.xfs makes. */
const defaultSizeBytes = 300 * mib;

export class TemporaryLoops {
  readonly #root: string;
  readonly #mounted = new Set<string>();
  readonly #undo: AsyncDisposableStack;
  #made = 0;

  private constructor(root: string, undo: AsyncDisposableStack) {
    this.#root = root;
    this.#undo = undo;
  }

  /** Whether this machine lets us. */
  static possible(): boolean {
    return process.geteuid?.() === 0 && spawnSync('losetup', ['--find']).status === 0;
  }

  static async make(): Promise<TemporaryLoops> {
    const undo = new AsyncDisposableStack();
    return new TemporaryLoops(await temporaryDirectory(undo, 'loops'), undo);
  }

  /** @returns the file */
  async format(type: 'ext4' | 'xfs', sizeBytes: number = defaultSizeBytes): Promise<string> {
    this.#made += 1;
    const file = join(this.#root, `disk-${this.#made}`);
    await writeFile(file, '');
    await truncate(file, sizeBytes);
    execFileSync(`mkfs.${type}`, ['-q', file], { stdio: 'pipe' });
    return file;
  }

  /** @returns where it is mounted */
  async mount(file: string): Promise<string> {
    this.#made += 1;
    const directory = join(this.#root, `mnt-${this.#made}`);
    await mkdir(directory);
    execFileSync('mount', ['-o', 'loop', file, directory], { stdio: 'pipe' });
    this.#mounted.add(directory);
    return directory;
  }

  unmount(directory: string): void {
    execFileSync('umount', [directory], { stdio: 'pipe' });
    this.#mounted.delete(directory);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const directory of this.#mounted) execFileSync('umount', ['--lazy', directory], { stdio: 'pipe' });
    await this.#undo.disposeAsync();
  }
}
