// The rest of a content, in order, by as many connections as are faster than one: the first part comes over one connection, which is measured. Where most
// of the time went by waiting for the network, the next part comes over several, and so does the rest if that was faster.
import { Fault } from '../../domain/fault.ts';
import { type FillMemory, orderedRanges } from './ordered-ranges.ts';

export interface RangedContent {
  /** One request after the other; goes on where a connection drops. */
  range(start: number, end: number): AsyncGenerator<Buffer, void, undefined>;
  /** The same into memory, but for a server that refuses one of several requests at once. */
  fillImpatiently: FillMemory;
  readonly signal: AbortSignal;
}

/** What one connection brings before it is judged, and several. */
const lookBytes = 8 * 1024 * 1024;
const trialBytes = 64 * 1024 * 1024;
/** One connection that is faster than this (150 MB/s) is as good as any. */
const goodBytesPerMs = 150_000;
/** So much faster must several be. */
const worthFactor = 1.2;

/** A piece may be overwritten once the next one is asked for. Faults: those of `range`. */
export async function* restOfContent(
  content: RangedContent,
  start: number,
  end: number,
): AsyncGenerator<Buffer, void, undefined> {
  const one = new Meter();
  const looked = Math.min(end, start + lookBytes);
  yield* one.over(content.range(start, looked));
  if (looked === end) return;
  if (!one.waitedMost || one.bytesPerMs > goodBytesPerMs) return yield* content.range(looked, end);
  const several = new Meter();
  const tried = Math.min(end, looked + trialBytes);
  const goesOn = yield* bySeveral(content, looked, tried, several);
  if (tried === end) return;
  if (goesOn && several.bytesPerMs > one.bytesPerMs * worthFactor) yield* bySeveral(content, tried, end, several);
  else yield* content.range(tried, end);
}

/** @returns false where the server did not stand it: the rest came over one connection then */
async function* bySeveral(
  content: RangedContent,
  start: number,
  end: number,
  meter: Meter,
): AsyncGenerator<Buffer, boolean, undefined> {
  let offset = start;
  try {
    for await (const piece of meter.over(orderedRanges(content.fillImpatiently, start, end))) {
      offset += piece.byteLength;
      yield piece;
    }
    return true;
  } catch (error) {
    // What is wrong with the content itself one connection finds, too.
    if (!(error instanceof Fault) || content.signal.aborted) throw error;
  }
  yield* content.range(offset, end);
  return false;
}

/** Where the time goes: to the wait for the next piece, or to what is done with it. */
class Meter {
  #bytes = 0;
  #waitedMs = 0;
  #usedMs = 0;

  get waitedMost(): boolean {
    return this.#waitedMs > this.#usedMs;
  }

  /** While waiting for them. */
  get bytesPerMs(): number {
    return this.#bytes / Math.max(this.#waitedMs, 1e-3);
  }

  async *over(pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
    let asked = performance.now();
    for await (const piece of pieces) {
      const came = performance.now();
      this.#waitedMs += came - asked;
      this.#bytes += piece.byteLength;
      yield piece;
      asked = performance.now();
      this.#usedMs += asked - came;
    }
  }
}
