import { describe, expect, test } from 'vitest';
import { planClone } from './clone-plan.ts';

const facts = { sourceBytes: 1_000, targetBytes: 1_000, preallocation: false };

describe('planClone', () => {
  test('shares blocks where it may', () => {
    expect(planClone(facts)).toMatchObject({ reflink: 'auto', grows: false });
  });

  test('preallocation wants blocks of its own, and the plan says so', () => {
    expect(planClone({ ...facts, preallocation: true })).toMatchObject({
      reflink: 'never',
      reason: expect.stringContaining('preallocation'),
    });
  });

  test('a larger clone grows', () => {
    expect(planClone({ ...facts, targetBytes: 1_001 })).toMatchObject({ grows: true });
  });

  test('a smaller clone is refused with both sizes', () => {
    expect(() => planClone({ ...facts, targetBytes: 999 })).toThrowError(
      expect.objectContaining({ code: 'ImageTooLarge', facts: { imageBytes: 1_000, volumeBytes: 999 } }),
    );
  });
});
