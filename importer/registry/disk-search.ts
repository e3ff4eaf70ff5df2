// Which file under `disk/` a container sees, told by the entries of the layers from the topmost down: an upper layer's file hides a lower one's, and
// whiteouts hide what they name (OCI image specification, layers). There must be exactly one, and it must be a plain file.
import { Fault } from '../../domain/fault.ts';
import type { TarEntry } from '../tar/tar-entries.ts';

const diskDirectory = 'disk';
const whiteout = '.wh.';
const opaque = '.wh..wh..opq';
const reserved = '.wh..wh.';

export class DiskSearch {
  /** Paths that the layers read so far hide in those below, each with all that is in it. */
  readonly #hidden = new Set<string>();
  /** Directories there: they hide a lower file of the same name, not what is in a lower directory. */
  readonly #directories = new Set<string>();
  /** Of the layer that is read now. */
  readonly #hiding = new Set<string>();
  readonly #making = new Set<string>();
  readonly #seen = new Set<string>();
  #found: string | undefined;

  /**
   * Takes the next entry of the layer.
   * @returns true for the disk
   * @throws Fault NotAContainerDisk for a second file, HostileImage for what is no plain file or leads out of the directory
   */
  take(entry: TarEntry): boolean {
    const path = plainPath(entry.name);
    const name = path.slice(path.lastIndexOf('/') + 1);
    if (name.startsWith(whiteout)) {
      this.#takeWhiteout(path, name);
      return false;
    }
    if (path !== diskDirectory && !path.startsWith(`${diskDirectory}/`)) return false;
    if (entry.type === 'directory') {
      this.#making.add(path);
      return false;
    }
    this.#hiding.add(path);
    return !this.#isHidden(path) && this.#isDisk(path, entry);
  }

  /** What the layer hides holds from the next one on. */
  endLayer(): void {
    for (const path of this.#hiding) this.#hidden.add(path);
    for (const path of this.#making) this.#directories.add(path);
    this.#hiding.clear();
    this.#making.clear();
    this.#seen.clear();
  }

  /** Nothing in the layers below could be seen. */
  get isSettled(): boolean {
    return this.#hidden.has(diskDirectory) || this.#hidden.has('');
  }

  #takeWhiteout(path: string, name: string): void {
    const directory = path.slice(0, Math.max(0, path.length - name.length - 1));
    if (name === opaque) this.#hiding.add(directory);
    else if (!name.startsWith(reserved)) {
      const hidden = name.slice(whiteout.length);
      this.#hiding.add(directory === '' ? hidden : `${directory}/${hidden}`);
    }
  }

  #isHidden(path: string): boolean {
    if (this.#hidden.has('') || this.#directories.has(path)) return true;
    const parts = path.split('/');
    return parts.some((_, depth) => this.#hidden.has(parts.slice(0, depth + 1).join('/')));
  }

  #isDisk(path: string, { type }: TarEntry): boolean {
    if (type === 'sparse file') {
      throw new Fault('NotAContainerDisk', `${path} is stored sparse, as GNU tar does with --sparse; pack it without`);
    }
    if (type !== 'file') throw new Fault('HostileImage', `${path} is a ${type}, not a plain file`);
    if (path === diskDirectory) return false;
    if (this.#seen.has(path)) throw new Fault('NotAContainerDisk', `${path} is there twice in one layer`);
    if (this.#found !== undefined) {
      throw new Fault('NotAContainerDisk', `image directory contains more than one file: ${this.#found}, ${path}`);
    }
    this.#seen.add(path);
    this.#found = path;
    return true;
  }
}

/** Without `./` and doubled slashes. @throws Fault HostileImage for a path that leads upwards */
function plainPath(name: string): string {
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) throw new Fault('HostileImage', `content filepath is tainted: ${name}`);
  return parts.join('/');
}
