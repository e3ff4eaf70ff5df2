// Claims whose rounds met an obstacle: how often in a row, which says when to look again, and which fault, so that the same one is logged once.
import type { Fault } from '../../domain/fault.ts';

const baseMs = 250;
const capMs = 5_000;

interface Met {
  rounds: number;
  fault: string;
}

export class MetObstacles {
  readonly #met = new Map<string, Met>();

  /** @returns when to look again, and whether the claim met another fault, or none, in the round before */
  add(claim: string, { message }: Fault): { delayMs: number; isNew: boolean } {
    const before = this.#met.get(claim);
    const rounds = before?.rounds ?? 0;
    this.#met.set(claim, { rounds: rounds + 1, fault: message });
    return { delayMs: Math.min(capMs, baseMs * 2 ** Math.min(rounds, 20)), isNew: before?.fault !== message };
  }

  /** Nothing is in its way, or it is gone. */
  forget(claim: string): void {
    this.#met.delete(claim);
  }

  get size(): number {
    return this.#met.size;
  }
}
