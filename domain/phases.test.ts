import { describe, expect, test } from 'vitest';
import { canFollow, isFinalPhase, isPhase, operationOf, operationPhases, type Phase, phases } from './phases.ts';

/** The path of each operation, as CDI's users see it. */
const paths: readonly (readonly Phase[])[] = [
  ['', 'Pending', 'PVCBound', 'ImportScheduled', 'ImportInProgress', 'Succeeded'],
  ['', 'Pending', 'WaitForFirstConsumer', 'PVCBound', 'ImportScheduled', 'ImportInProgress', 'Paused'],
  ['', 'Pending', 'PendingPopulation', 'UploadScheduled', 'UploadReady', 'Succeeded'],
  ['', 'Pending', 'CloneScheduled', 'CloneInProgress', 'PrepClaimInProgress', 'RebindInProgress', 'Succeeded'],
  [
    '',
    'Pending',
    'CloneScheduled',
    'SnapshotForSmartCloneInProgress',
    'ExpansionInProgress',
    'NamespaceTransferInProgress',
  ],
];

function* pairs(): Generator<[Phase, Phase]> {
  for (const from of phases) for (const to of phases) yield [from, to];
}

describe('phases', () => {
  test('are the 23 of CDI', () => {
    expect(phases).toHaveLength(23);
    expect(isPhase('Succeeded')).toBe(true);
    expect(isPhase('toString')).toBe(false);
  });

  test('follow one another along the path of each operation, and never back', () => {
    for (const path of paths) {
      path.forEach((from, index) => {
        for (const to of path.slice(index + 1)) {
          expect([from, to, canFollow(from, to)]).toEqual([from, to, true]);
        }
      });
    }
    expect(canFollow('ImportInProgress', 'ImportScheduled')).toBe(false);
    expect(canFollow('UploadReady', 'Pending')).toBe(false);
  });

  test('never come back, in any number of moves of one attempt', () => {
    const moves = (from: Phase): Phase[] =>
      phases.filter((to) => to !== from && to !== 'Unknown' && from !== 'Unknown' && canFollow(from, to));
    const rankOf = new Map<Phase, number>();
    const visit = (phase: Phase, trail: readonly Phase[]): number => {
      expect(trail).not.toContain(phase);
      const known = rankOf.get(phase);
      if (known !== undefined) return known;
      // Phases of one rank may follow one another in both directions: they are the same step, seen differently.
      const further = moves(phase).filter((next) => !canFollow(next, phase));
      const depth = Math.max(0, ...further.map((next) => 1 + visit(next, [...trail, phase])));
      rankOf.set(phase, depth);
      return depth;
    };
    expect(visit('', [])).toBeGreaterThan(5);
  });

  test('leave Failed only with a new attempt', () => {
    const without = phases.filter((to) => to !== 'Failed' && canFollow('Failed', to));
    expect(without).toEqual([]);
    expect(canFollow('Failed', 'ImportScheduled', true)).toBe(true);
  });

  test('leave Succeeded only for Failed, when the claim is lost', () => {
    for (const newAttempt of [false, true]) {
      const next = phases.filter((to) => to !== 'Succeeded' && canFollow('Succeeded', to, newAttempt));
      expect(next).toEqual(['Failed']);
    }
  });

  test('can always fail, and always stay', () => {
    for (const phase of phases) {
      expect(canFollow(phase, 'Failed')).toBe(true);
      expect(canFollow(phase, phase)).toBe(true);
    }
  });

  test('never become unset again', () => {
    for (const phase of phases) if (phase !== '') expect(canFollow(phase, '', true)).toBe(false);
  });

  test('of one operation never follow those of another', () => {
    expect(canFollow('ImportScheduled', 'UploadReady', true)).toBe(false);
    expect(canFollow('UploadScheduled', 'CloneInProgress')).toBe(false);
  });

  test('a new attempt may do all that the former one might', () => {
    for (const [from, to] of pairs()) if (canFollow(from, to)) expect(canFollow(from, to, true)).toBe(true);
  });

  test('Succeeded and Failed are final', () => {
    expect(phases.filter(isFinalPhase)).toEqual(['Succeeded', 'Failed']);
  });

  test('are named after the operation of the source', () => {
    expect(operationOf({ http: { url: 'http://x/' } })).toBe('import');
    expect(operationOf({ blank: {} })).toBe('import');
    expect(operationOf({ upload: {} })).toBe('upload');
    expect(operationOf({ pvc: { namespace: 'a', name: 'b' } })).toBe('clone');
    expect(operationOf({})).toBeUndefined();
    expect(operationOf(undefined)).toBeUndefined();
    expect(operationPhases.upload.running).toBe('UploadReady');
  });
});
