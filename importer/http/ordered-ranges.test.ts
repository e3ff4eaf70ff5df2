// Parts that come over several connections are passed on in order, whoever is first, and what fails is told after all that was before it.
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Fault } from '../../domain/fault.ts';
import { type FillMemory, orderedRanges } from './ordered-ranges.ts';

const mib = 1_048_576;
const content = randomBytes(41 * mib + 123);
const start = 65_536;

/** A server that answers later requests sooner. */
function filling(failAt = Number.POSITIVE_INFINITY): { fill: FillMemory; seen: { most: number; unwanted: number } } {
  const seen = { most: 0, unwanted: 0 };
  let running = 0;
  const fill: FillMemory = async (from, memory, onFilled, unwanted) => {
    running += 1;
    seen.most = Math.max(seen.most, running);
    try {
      await delay(20 - Math.floor(from / (4 * mib)));
      for (let at = 0; at < memory.byteLength; at += mib) {
        if (unwanted.aborted) seen.unwanted += 1;
        if (unwanted.aborted) return;
        if (from + at >= failAt) throw new Fault('SourceChanged', 'it changed');
        const bytes = content.copy(memory, at, from + at, Math.min(from + at + mib, from + memory.byteLength));
        onFilled(bytes);
        await delay(1);
      }
    } finally {
      running -= 1;
    }
  };
  return { fill, seen };
}

test('all bytes come, in order, and no more parts at once than there are connections', async () => {
  const { fill, seen } = filling();
  const pieces: Buffer[] = [];
  for await (const piece of orderedRanges(fill, start, content.byteLength)) pieces.push(Buffer.from(piece));
  expect(Buffer.concat(pieces).equals(content.subarray(start))).toBe(true);
  expect(seen.most).toBe(8);
});

test('what is not wanted any more is not fetched', async () => {
  const { fill, seen } = filling();
  for await (const piece of orderedRanges(fill, start, content.byteLength)) if (piece.byteLength > 0) break;
  await expect.poll(() => seen.unwanted).toBe(8);
});

test('a failure is told behind what came before it', async () => {
  const failAt = start + 9 * mib;
  const { fill } = filling(failAt);
  let bytes = 0;
  const reading = (async () => {
    for await (const piece of orderedRanges(fill, start, content.byteLength)) bytes += piece.byteLength;
  })();
  await expect(reading).rejects.toMatchObject({ code: 'SourceChanged' });
  expect(bytes).toBe(9 * mib);
});

test('a part that comes short is an interruption', async () => {
  const short: FillMemory = async (_from, _memory, onFilled) => onFilled(1000);
  const reading = orderedRanges(short, 0, 5000);
  expect((await reading.next()).value?.byteLength).toBe(1000);
  await expect(reading.next()).rejects.toMatchObject({ code: 'SourceInterrupted' });
});
