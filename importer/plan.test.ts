import { describe, expect, test } from 'vitest';
import { planImport } from './plan.ts';

const mib = 1_048_576;
const target = { sizeBytes: 10 * mib, checksumAsked: false };
const ranges = { totalBytes: 5 * mib, provenRanges: true };

describe('the plan', () => {
  test('raw content is streamed without scratch, whatever it is compressed with', () => {
    for (const compressions of [[], ['gz'], ['xz', 'gz']] as const) {
      const probe = { compressions: [...compressions], format: 'raw' as const, virtualSizeBytes: undefined };
      const plan = planImport(probe, ranges, target);
      expect(plan).toMatchObject({ strategy: 'stream', scratchBytes: 0, peakBytes: 10 * mib });
      expect(plan.steps).toEqual(['probe', 'plan', 'transfer', 'verify', 'resize']);
    }
  });

  const qcow2 = { compressions: [], format: 'qcow2' as const, virtualSizeBytes: 8 * mib };

  test('a qcow2 is read by ranges only where these are proven and no checksum is asked', () => {
    expect(planImport(qcow2, ranges, target)).toMatchObject({ strategy: 'nbd', scratchBytes: 0, formatName: 'qcow2' });
    const staged = { strategy: 'staged', scratchBytes: 5 * mib, peakBytes: 15 * mib };
    expect(planImport(qcow2, { ...ranges, provenRanges: false }, target)).toMatchObject(staged);
    expect(planImport(qcow2, ranges, { ...target, checksumAsked: true })).toMatchObject(staged);
    const packed = planImport({ ...qcow2, compressions: ['xz', 'gz'] }, ranges, target);
    expect(packed).toMatchObject({ strategy: 'staged', formatName: 'qcow2.gz.xz' });
  });

  test('what is too large is refused with the numbers', () => {
    const probe = { ...qcow2, virtualSizeBytes: 10 * mib + 1 };
    const facts = {
      neededBytes: 10 * mib + 1,
      requestedBytes: 10 * mib,
      usableBytes: 10 * mib,
      smallestBytes: 11 * mib,
    };
    expect(() => planImport(probe, ranges, target)).toThrow(expect.objectContaining({ code: 'ImageTooLarge', facts }));
    const file = { totalBytes: 200 * mib, provenRanges: false };
    expect(() => planImport(qcow2, file, target)).toThrow(expect.objectContaining({ code: 'ImageTooLarge' }));
  });
});
