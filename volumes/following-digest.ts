// The contentDigest of a disk that somebody writes in order, made behind the writing, so that little is left to read when it ends.
//
// What is final is proved and not guessed: with writes in order, one at a time, all that lies before the write under way has its content for good.
// Data that was seen up to some byte shows that the write under way lies at most one write before it. So a look at the extents only serves to find
// how far the writing is; the next look, which begins after that, hashes up to one longest write before it.
import { setTimeout as delay } from 'node:timers/promises';
import type { FileDigest } from './content-digest.ts';
import { DataHasher } from './data-hasher.ts';

/** Twice as much as qemu-img writes at once. */
const longestWriteBytes = 4 * 1024 * 1024;
/** A look costs a child, so it has to be worth it. */
const lookEveryBytes = 256 * 1024 * 1024;
const pollMs = 30;

export class FollowingDigest implements AsyncDisposable {
  readonly #hasher: DataHasher;

  private constructor(hasher: DataHasher) {
    this.#hasher = hasher;
  }

  /** @param path of a disk that is there. @param signal also ends it; the disposal is owed all the same */
  static async begin(path: string, signal: AbortSignal): Promise<FollowingDigest> {
    return new FollowingDigest(await DataHasher.open(path, signal));
  }

  /** Until `written` settles, however it does. */
  async follow(written: Promise<unknown>): Promise<void> {
    let over = false;
    const settled = written.then(
      () => true,
      () => true,
    );
    void settled.then(() => (over = true));
    let lookAt = lookEveryBytes;
    let dataEnd = 0;
    while (!over) {
      await Promise.race([settled, delay(pollMs, undefined, { ref: false })]);
      if (over) return;
      const { allocatedBytes } = await this.#hasher.size();
      if (allocatedBytes < lookAt) continue;
      lookAt = allocatedBytes + lookEveryBytes;
      dataEnd = await this.#hasher.advance(Math.max(0, dataEnd - longestWriteBytes));
    }
  }

  /** After the writing has ended well: the rest. */
  async finish(): Promise<FileDigest> {
    const { sizeBytes } = await this.#hasher.size();
    await this.#hasher.advance(sizeBytes);
    // Reading makes the file system place what it still held back, which takes blocks of its own: what is allocated is known only now.
    const { allocatedBytes } = await this.#hasher.size();
    return { contentDigest: await this.#hasher.finish(sizeBytes), sizeBytes, allocatedBytes };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#hasher.close();
  }
}
