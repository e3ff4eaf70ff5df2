import { describe, expect, test } from 'vitest';
import { canMove, isVolumeId, volumeIdOf } from './volume-record.ts';

const uid = '0b1c2d3e-0000-4000-8000-123456789abc';

describe('a volume id', () => {
  test('is made from the uid of the claim', () => {
    expect(volumeIdOf(uid)).toBe(`pvc-${uid}`);
  });

  test.each(['', '..', `${uid}/..`, uid.toUpperCase(), `../${uid}`, `${uid}\n`])('is never made from %j', (text) => {
    expect(() => volumeIdOf(text)).toThrow(RangeError);
    expect(isVolumeId(`pvc-${text}`)).toBe(false);
  });
});

describe('the state of a volume', () => {
  const states = ['empty', 'populating', 'complete', 'plain'] as const;

  test('moves only as drawn', () => {
    const moves = states.flatMap((from) => states.filter((to) => canMove(from, to)).map((to) => `${from} ${to}`));
    expect(moves).toEqual([
      'empty populating',
      'empty plain',
      'populating populating',
      'populating complete',
      'plain populating',
    ]);
  });
});
