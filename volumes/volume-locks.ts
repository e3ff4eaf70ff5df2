// One thing at a time per volume: a commit never races with a fence that takes the volume away. Different volumes never wait for each other.
export class VolumeLocks {
  readonly #tails = new Map<string, Promise<void>>();

  /** Runs the action when all earlier ones of this volume have ended, well or not. */
  async run<T>(volumeId: string, action: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(volumeId) ?? Promise.resolve();
    const { promise: mine, resolve: leave } = Promise.withResolvers<void>();
    const tail = before.then(() => mine);
    this.#tails.set(volumeId, tail);
    await before;
    try {
      return await action();
    } finally {
      leave();
      if (this.#tails.get(volumeId) === tail) this.#tails.delete(volumeId);
    }
  }

  /** Waits for what was begun before this call. */
  async settled(): Promise<void> {
    await Promise.all(this.#tails.values());
  }
}
