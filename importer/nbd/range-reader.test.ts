import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { RangeReader } from './range-reader.ts';

const mib = 1_048_576;
const content = randomBytes(61 * mib + 17);

/** Reads all of it forward. @returns what was read, and how many requests were under way at most */
async function readForward(answerMs: number) {
  let [underWay, most, fetched] = [0, 0, 0];
  const reader = new RangeReader({
    totalBytes: content.byteLength,
    head: content.subarray(0, 65_536),
    parts: [],
    answerMs,
    fill: async (start, memory, onFilled) => {
      underWay += 1;
      most = Math.max(most, underWay);
      await delay(5);
      fetched += content.copy(memory, 0, start, start + memory.byteLength);
      onFilled(memory.byteLength);
      underWay -= 1;
    },
  });
  const read: Buffer[] = [];
  for await (const piece of reader.read(0, content.byteLength)) {
    read.push(Buffer.from(piece.bytes));
    piece.release();
  }
  await reader.close();
  return { isEqual: Buffer.concat(read).equals(content), most, fetched };
}

test.each([
  ['near', 1, 4],
  ['far', 100, 14],
])(
  'what is %s is read forward with as many requests under way as pay there, and each byte fetched once',
  async (_, answerMs, atOnce) => {
    const { isEqual, most, fetched } = await readForward(answerMs);
    expect({ isEqual, most, fetched }).toEqual({ isEqual: true, most: atOnce, fetched: content.byteLength - 65_536 });
  },
);
