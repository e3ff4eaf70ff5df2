// A pause that an abort ends at once.
import { setTimeout as delay } from 'node:timers/promises';
import { toFault } from '../domain/fault.ts';

/** @throws Fault the signal's reason */
export async function pauseFor(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await delay(ms, undefined, { signal });
  } catch (error) {
    throw toFault(error, { signal });
  }
}
