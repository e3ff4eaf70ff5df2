// Imports share what they bring within a pool: a disk is taken where its blocks lie. What a pool that was closed had kept is gone with it.
import { SharedImages, type SharedImagesOptions } from '../importer/shared-images.ts';
import type { Pool } from '../volumes/pool.ts';

export class SharedByPool {
  readonly #options: Omit<SharedImagesOptions, 'images'>;
  readonly #made = new WeakMap<Pool, SharedImages>();

  constructor(options: Omit<SharedImagesOptions, 'images'>) {
    this.#options = options;
  }

  /** Undefined where no volume shares anything with another, since each has a file system of its own. */
  of(pool: Pool): SharedImages | undefined {
    if (pool.enforcement !== 'none') return undefined;
    const there = this.#made.get(pool) ?? new SharedImages({ ...this.#options, images: pool.images });
    this.#made.set(pool, there);
    return there;
  }
}
