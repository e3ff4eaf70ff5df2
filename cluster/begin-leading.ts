// Who leads and does not get to its work is worse than nobody: it renews its lease, and no other takes its place. So the beginning has an end.
import { Fault, toFault } from '../domain/fault.ts';

/** @returns rejects with why the lease was lost, when it is; never resolves */
export function lossOf(signal: AbortSignal): Promise<never> {
  const lost = Promise.withResolvers<never>();
  signal.addEventListener('abort', () => lost.reject(toFault(signal.reason)), { once: true });
  if (signal.aborted) lost.reject(toFault(signal.reason));
  return lost.promise;
}

/**
 * What `begin` comes to, where it is done while the lease is held and within the limit. What still goes on afterwards is left to itself: the process is to end.
 * @throws Fault TimedOut, or why the lease was lost
 */
export async function beginLeading<T>(signal: AbortSignal, limitMs: number, begin: () => Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const refuse = () => late.reject(new Fault('TimedOut', `leads, but could not begin within ${limitMs} ms`));
  const timer = setTimeout(refuse, limitMs);
  try {
    return await Promise.race([lossOf(signal), late.promise, begin()]);
  } finally {
    clearTimeout(timer);
  }
}
