// A pause that an abort ends at once.
import { setTimeout as delay } from 'node:timers/promises';
import { toFault } from '../domain/fault.ts';

/** @throws Fault the signal's reason */
export async function pauseFor(ms: number, signal?: AbortSignal): Promise<void> {
  const ends = signal === undefined ? {} : { signal };
  try {
    await delay(ms, undefined, ends);
  } catch (error) {
    throw toFault(error, ends);
  }
}
