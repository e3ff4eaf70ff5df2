// Whose the files of volumes are. KubeVirt's machines run as 107:107, so a service of root gives them that; a service of an ordinary user
// keeps them its own.
import { chmod, chown } from 'node:fs/promises';
import { machineUser } from '../runtime/limited-child.ts';
import { chownTree } from './chown-tree.ts';

export class FileOwnership {
  readonly #owner: { readonly uid: number; readonly gid: number } | undefined;

  constructor(owner?: { uid: number; gid: number }) {
    this.#owner = owner ?? (process.geteuid?.() === 0 ? machineUser : undefined);
  }

  /** A disk: 0660. */
  async giveFile(path: string): Promise<void> {
    if (this.#owner !== undefined) await chown(path, this.#owner.uid, this.#owner.gid);
    await chmod(path, 0o660);
  }

  /** All that lies below a directory, links themselves too; modes stay. The directory becomes one that a pod mounts. */
  async giveTree(path: string): Promise<void> {
    if (this.#owner !== undefined) await chownTree(path, this.#owner);
    await this.giveDirectory(path);
  }

  /** A directory that a pod mounts: 2775, so that files made in it belong to the group. */
  async giveDirectory(path: string): Promise<void> {
    if (this.#owner !== undefined) await chown(path, this.#owner.uid, this.#owner.gid);
    await chmod(path, 0o2775);
  }
}
