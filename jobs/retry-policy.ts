// Whether a failed attempt is followed by another, and when. Pure: chance comes in as a number, so that a test sees every answer.
// The controller alone asks it; BullMQ itself never retries.
import { Fault, retryAfterOf } from '../domain/fault.ts';
import { exitCodes } from '../domain/fault-catalogue.ts';
import type { Config } from '../runtime/config.ts';

export interface FailedAttempt {
  fault: Fault;
  /** Number of the attempt that failed, from 1. */
  attempt: number;
  /** Failed attempts that the source or the image may be to blame for; interrupted ones are not among them. Default: `attempt`. */
  countedAttempts?: number;
  /** Bytes that all attempts together read from the source, but for those that the machine ended. */
  bytesFetched: number;
  /** Size of the source, undefined where it was never told. */
  sourceBytes?: number | undefined;
  config: Pick<Config, 'attemptLimit' | 'backoffBaseMs' | 'backoffCapMs' | 'byteBudgetFactor'>;
  /** From 0 up to 1: where in the spread of delays to be. Default: Math.random(). */
  chance?: number;
}

export type RetryPlan = { retry: false; fault: Fault } | { retry: true; delayMs: number };

/** Too small a source would spend its budget by the first bytes of the probe. */
const leastBudgetBytes = 64 * 1024 * 1024;
/** Longest pause that a source may ask for. */
const longestPauseMs = 3_600_000;

/**
 * True for what somebody puts right on this machine, such as a full disk, and that says nothing about the source: it is waited for without limit.
 * Memory is not: an image may be what needs too much of it.
 */
export function isOfTheMachine({ code, retryable, row }: Fault): boolean {
  const { machine, space } = exitCodes;
  return retryable && code !== 'OutOfMemory' && (row.exit === machine.code || row.exit === space.code);
}

/**
 * Permanent faults end it, those of the machine never do. Others are tried again after a delay that doubles up to the cap, spread over its upper
 * half, until the limit of attempts or the byte budget is reached: then `BudgetExhausted`, which names the last fault. An interrupted attempt does
 * not count against the limit. A source that asks for a longer pause than the delay gets it.
 */
export function planRetry(failed: FailedAttempt): RetryPlan {
  const { fault, config } = failed;
  if (!fault.retryable) return { retry: false, fault };
  const chance = failed.chance ?? Math.random();
  if (isOfTheMachine(fault)) return { retry: true, delayMs: delayBefore(failed.attempt, config, chance) };
  const budgetBytes = Math.max(leastBudgetBytes, config.byteBudgetFactor * (failed.sourceBytes ?? 0));
  if (failed.sourceBytes !== undefined && failed.bytesFetched >= budgetBytes) {
    return {
      retry: false,
      fault: exhausted(fault, `${failed.bytesFetched} bytes fetched of a source of ${failed.sourceBytes}`),
    };
  }
  const counted = failed.countedAttempts ?? failed.attempt;
  if (fault.code === 'Interrupted') return { retry: true, delayMs: config.backoffBaseMs };
  if (counted >= config.attemptLimit) return { retry: false, fault: exhausted(fault, `${counted} attempts made`) };
  const wishedMs = Math.min(longestPauseMs, 1_000 * (retryAfterOf(fault) ?? 0));
  return { retry: true, delayMs: Math.max(wishedMs, delayBefore(counted, config, chance)) };
}

function delayBefore(counted: number, config: FailedAttempt['config'], chance: number): number {
  const full = Math.min(config.backoffCapMs, config.backoffBaseMs * 2 ** Math.min(counted - 1, 40));
  return Math.round(full / 2 + (full / 2) * chance);
}

function exhausted(last: Fault, spent: string): Fault {
  return new Fault('BudgetExhausted', `${spent}; last: ${last.code}: ${last.detail}`, { cause: last });
}
