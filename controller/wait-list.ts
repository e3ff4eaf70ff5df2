// Who waits for what: keys of objects to look at again when something else changes, such as `secret ns/name`. Told once; who still waits adds itself again.

export class WaitList {
  readonly #waiting = new Map<string, Set<string>>();

  add(what: string, key: string): void {
    const keys = this.#waiting.get(what);
    if (keys === undefined) this.#waiting.set(what, new Set([key]));
    else keys.add(key);
  }

  /** Those who wait for it; the list is empty afterwards. */
  take(what: string): string[] {
    const keys = this.#waiting.get(what);
    this.#waiting.delete(what);
    return keys === undefined ? [] : [...keys];
  }
}
