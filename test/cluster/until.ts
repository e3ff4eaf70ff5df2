// Waiting for a condition, with a limit and a name for what did not come.
import { setTimeout as delay } from 'node:timers/promises';
import { Fault } from '../../domain/fault.ts';

const pollMs = 50;

/**
 * Asks again and again until the answer is neither undefined nor false, and returns it.
 * @throws Fault TimedOut naming what was waited for, or what `ask` throws
 */
export async function until<Answer>(
  what: string,
  limitMs: number,
  ask: () => Promise<Answer | undefined | false> | Answer | undefined | false,
): Promise<Answer> {
  const deadline = performance.now() + limitMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    if (performance.now() > deadline) throw new Fault('TimedOut', `${what}: not within ${limitMs / 1_000} s`);
    await delay(pollMs);
  }
}
