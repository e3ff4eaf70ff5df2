// The pieces of an answer's body, with what can go wrong while they come translated into faults. A server that hardly sends anything counts as one
// that stalls: it would hold the place of an import for days.
import { Fault } from '../../domain/fault.ts';
import type { Config } from '../../runtime/config.ts';
import type { HttpAnswer } from './http-answer.ts';
import { faultOfHttpError, placeOf } from './http-faults.ts';

export interface Pace {
  limits: Pick<Config, 'idleTimeoutMs'>;
  signal: AbortSignal;
}

/** Fewer bytes in as long a wait as silence may last: less than a kilobyte per second by default. */
const leastBytesInLimit = 65_536;

/**
 * @param memory into which they are put, by the connection itself where it can
 * @throws Fault SourceStalled, SourceInterrupted and others of the group source, or the reason of the signal
 */
export async function* chunksOf(
  { body, url }: HttpAnswer,
  { limits, signal }: Pace,
  memory?: Buffer,
): AsyncGenerator<Buffer, void, undefined> {
  const landing = memory === undefined ? undefined : body.landIn?.(memory);
  let [filled, waitedMs, cameBytes] = [0, 0, 0];
  try {
    let askedAt = performance.now();
    for await (const chunk of landing ?? body) {
      // Only the wait for the server counts, not what is done with its bytes meanwhile.
      waitedMs += performance.now() - askedAt;
      cameBytes += chunk.byteLength;
      if (waitedMs >= limits.idleTimeoutMs) {
        if (cameBytes < leastBytesInLimit) throw tooSlow(url, cameBytes, waitedMs);
        [waitedMs, cameBytes] = [0, 0];
      }
      if (memory !== undefined && landing === undefined) filled += chunk.copy(memory, filled);
      yield chunk;
      askedAt = performance.now();
    }
  } catch (error) {
    throw faultOfHttpError(error, url, { signal, bodyBegan: true });
  }
}

function tooSlow(url: string, bytes: number, waitedMs: number): Fault {
  return new Fault('SourceStalled', `${placeOf(url)} sent ${bytes} bytes in ${Math.round(waitedMs / 1_000)} s`);
}
