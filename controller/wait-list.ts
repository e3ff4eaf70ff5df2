// Who waits for what: keys of objects to look at again when something else changes, such as `secret ns/name`. Told once; who still waits adds itself
// again. What never comes is kept only as long as somebody waits for it.

export class WaitList {
  readonly #waiting = new Map<string, Set<string>>();
  /** What each key waits for. */
  readonly #wanted = new Map<string, Set<string>>();

  add(what: string, key: string): void {
    addTo(this.#waiting, what, key);
    addTo(this.#wanted, key, what);
  }

  /** Those who wait for it; the list is empty afterwards. */
  take(what: string): string[] {
    const keys = [...(this.#waiting.get(what) ?? [])];
    this.#waiting.delete(what);
    for (const key of keys) removeFrom(this.#wanted, key, what);
    return keys;
  }

  /** It is gone and waits for nothing any more. */
  forget(key: string): void {
    for (const what of this.#wanted.get(key) ?? []) removeFrom(this.#waiting, what, key);
    this.#wanted.delete(key);
  }

  /** Things that somebody waits for. */
  get size(): number {
    return this.#waiting.size;
  }
}

function addTo(sets: Map<string, Set<string>>, name: string, member: string): void {
  const set = sets.get(name);
  if (set === undefined) sets.set(name, new Set([member]));
  else set.add(member);
}

function removeFrom(sets: Map<string, Set<string>>, name: string, member: string): void {
  const set = sets.get(name);
  set?.delete(member);
  if (set?.size === 0) sets.delete(name);
}
