import { expect, test } from 'vitest';
import { fileSystemBytesFor, sizeThatFits } from './bounded-size.ts';

const mib = 1024 * 1024;

test.each([13 * mib, 14 * mib + 1, 100 * mib - 1, 2 ** 40, 16 * 2 ** 40 - mib])(
  'of a file of %i bytes the largest size fits, and one byte more does not',
  (fileBytes) => {
    const sizeBytes = sizeThatFits(fileBytes);
    expect(fileSystemBytesFor(sizeBytes)).toBeLessThanOrEqual(fileBytes);
    expect(fileSystemBytesFor(sizeBytes + 1)).toBeGreaterThan(fileBytes);
  },
);

test('in a file that has room for a journal only nothing fits', () => {
  expect([0, mib, 12 * mib].map(sizeThatFits)).toEqual([0, 0, 0]);
});
