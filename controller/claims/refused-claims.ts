// Claims that the store refused, because of a quota, a policy or a field. Nobody tells when a quota is raised, so each is tried again, with a delay that
// doubles; one that would be made otherwise by now is tried at once.
import { isDeepStrictEqual } from 'node:util';
import type { Fault } from '../../domain/fault.ts';
import type { Claim } from '../../domain/kube-shapes.ts';

const baseMs = 5_000;
const capMs = 300_000;

interface Refused {
  claim: Claim;
  fault: Fault;
  times: number;
  againAtMs: number;
}

export class RefusedClaims {
  /** By the name of the DataVolume. */
  readonly #refused = new Map<string, Refused>();

  /** Remembers a refusal. */
  add(name: string, claim: Claim, fault: Fault, nowMs: number): void {
    const before = this.#refused.get(name);
    const times = before !== undefined && isDeepStrictEqual(before.claim, claim) ? before.times + 1 : 1;
    const delayMs = Math.min(capMs, baseMs * 2 ** Math.min(times - 1, 20));
    this.#refused.set(name, { claim, fault, times, againAtMs: nowMs + delayMs });
  }

  /** Why this very claim need not be tried now; undefined where it is to be. */
  standing(name: string, claim: Claim, nowMs: number): Fault | undefined {
    const refused = this.#refused.get(name);
    if (refused === undefined || nowMs >= refused.againAtMs) return undefined;
    return isDeepStrictEqual(refused.claim, claim) ? refused.fault : undefined;
  }

  /** Milliseconds until it is to be tried again; undefined where nothing was refused. */
  waitMs(name: string, nowMs: number): number | undefined {
    const refused = this.#refused.get(name);
    return refused === undefined ? undefined : Math.max(0, refused.againAtMs - nowMs);
  }

  /** It was made, is not wanted any more, or is gone. */
  forget(name: string): void {
    this.#refused.delete(name);
  }
}
