// Images that were fetched once and may be taken again, as files of images/. Where the file system shares blocks, an image is a reflink that nobody writes.
// Elsewhere it is a second name of a volume's disk: it takes no room of its own, and is spoilt when the consumer of that volume writes, so who takes it
// compares digests. The ledger counts both, for their blocks may outlive the volume. None outlives the service: the next open removes what was left.
import { constants } from 'node:fs';
import { copyFile, link, mkdir, rm, stat } from 'node:fs/promises';
import { Fault, toFault } from '../domain/fault.ts';
import type { PoolLayout } from './pool-layout.ts';
import type { PoolLedger } from './pool-ledger.ts';
import type { PoolLogger } from './pool-opening.ts';

export interface KeptImagesOptions {
  layout: PoolLayout;
  ledger: PoolLedger;
  /** Whether the file system shares blocks between files. */
  reflink: boolean;
  logger: Pick<PoolLogger, 'warn'>;
}

export class KeptImage {
  readonly path: string;
  /** Nobody else writes its blocks. */
  readonly isPrivate: boolean;
  readonly allocatedBytes: number;
  readonly #state: string;
  readonly #remove: () => Promise<boolean>;
  #holds = 0;
  #removing: Promise<boolean> | undefined;
  #isDropped = false;

  constructor(
    file: Pick<KeptImage, 'path' | 'isPrivate' | 'allocatedBytes'>,
    state: string,
    remove: () => Promise<boolean>,
  ) {
    this.path = file.path;
    this.isPrivate = file.isPrivate;
    this.allocatedBytes = file.allocatedBytes;
    this.#state = state;
    this.#remove = remove;
  }

  get isHeld(): boolean {
    return this.#holds > 0;
  }

  /** Nobody can hold it any more; it may be there still. */
  get isDropped(): boolean {
    return this.#isDropped;
  }

  /** While it is held its file stays. @throws Fault NotFound where it was dropped */
  hold(): AsyncDisposable {
    if (this.#isDropped) throw new Fault('NotFound', 'the image is not kept any more');
    this.#holds += 1;
    return {
      [Symbol.asyncDispose]: async () => {
        this.#holds -= 1;
        if (this.#isDropped && this.#holds === 0) await this.#removeOnce();
      },
    };
  }

  /** False once somebody has written to the blocks and has not hidden it; only a digest is a proof. */
  async isUnchanged(): Promise<boolean> {
    return (await stateOf(this.path)) === this.#state;
  }

  /** Nobody can hold it any more; removed when nobody does. */
  async drop(): Promise<void> {
    this.#isDropped = true;
    if (this.#holds === 0) await this.#removeOnce();
  }

  /** Removes it whoever holds it; those that have it open read on. */
  async end(): Promise<void> {
    this.#isDropped = true;
    await this.#removeOnce();
  }

  /** Where it cannot be removed it stays, and counts, and is tried again with the next that needs room. */
  async #removeOnce(): Promise<void> {
    this.#removing ??= this.#remove();
    if (!(await this.#removing)) this.#removing = undefined;
  }
}

export class KeptImages {
  readonly #options: KeptImagesOptions;
  readonly #kept = new Set<KeptImage>();
  #number = 0;

  constructor(options: KeptImagesOptions) {
    this.#options = options;
  }

  /** Of the images that give way to whatever needs the room. */
  get idleBytes(): number {
    return [...this.#kept].reduce(
      (sum, image) => sum + (image.isHeld || image.isDropped ? 0 : image.allocatedBytes),
      0,
    );
  }

  /**
   * @param diskPath a finished disk of this pool, with that content
   * @throws Fault PoolFull, NoSpace, or why the file system cannot; nothing is kept then
   */
  async keep(diskPath: string, contentDigest: string): Promise<KeptImage> {
    const { layout, ledger, reflink } = this.#options;
    this.#number += 1;
    const path = layout.image(contentDigest.slice(contentDigest.indexOf(':') + 1), this.#number);
    const key = `image:${this.#number}`;
    try {
      const allocatedBytes = (await stat(diskPath)).blocks * 512;
      await this.promise(key, allocatedBytes);
      await mkdir(layout.images, { recursive: true, mode: 0o700 });
      if (reflink) await copyFile(diskPath, path, constants.COPYFILE_FICLONE_FORCE | constants.COPYFILE_EXCL);
      else await link(diskPath, path);
      const image: KeptImage = new KeptImage({ path, isPrivate: reflink, allocatedBytes }, await stateOf(path), () =>
        this.#remove(image, key),
      );
      this.#kept.add(image);
      return image;
    } catch (error) {
      await rm(path, { force: true });
      ledger.release(key);
      throw toFault(error);
    }
  }

  /** As the ledger's, but images that nobody takes make room first. @throws Fault PoolFull */
  async promise(key: string, bytes: number): Promise<void> {
    await this.makeRoom(bytes);
    this.#options.ledger.promise(key, bytes);
  }

  /** Where so much more cannot be promised, images that nobody takes give way. */
  async makeRoom(bytes: number): Promise<void> {
    if (bytes > this.#options.ledger.leftBytes) await this.#dropIdle();
  }

  async close(): Promise<void> {
    await Promise.all([...this.#kept].map((image) => image.end()));
  }

  /** @returns whether it is gone: no change of a volume fails because an image stays */
  async #remove(image: KeptImage, key: string): Promise<boolean> {
    try {
      await rm(image.path, { force: true });
    } catch (error) {
      this.#options.logger.warn({ path: image.path, fault: toFault(error).message }, 'an image cannot be removed');
      return false;
    }
    this.#options.ledger.release(key);
    this.#kept.delete(image);
    return true;
  }

  async #dropIdle(): Promise<void> {
    await Promise.all([...this.#kept].map((image) => (image.isHeld ? undefined : image.drop())));
  }
}

/** Stays the same when the file gets another name or owner. */
async function stateOf(path: string): Promise<string> {
  const { size, mtimeNs } = await stat(path, { bigint: true });
  return `${size}:${mtimeNs}`;
}
