// Which claims sleep until something about them changes.
import { expect, test } from 'vitest';
import { annotations } from '../domain/annotations.ts';
import type { Claim } from '../domain/kube-shapes.ts';
import { claimOf } from '../test/claim-examples.ts';
import { firstAttempt, formatAttemptState } from './attempt-state.ts';
import { isQuiet } from './node-connections.ts';

const bound: Partial<Claim> = { status: { phase: 'Bound' } };
const attempt = { [annotations.attempt]: formatAttemptState(firstAttempt('import')) };
const leaving = { ...claimOf().metadata, deletionTimestamp: '2026-01-01T00:00:00Z' };

test.each<[string, Claim, boolean]>([
  ['bound and filled', claimOf({ ...attempt, [annotations.podPhase]: 'Succeeded' }, bound), true],
  ['bound, and nobody fills it', claimOf({}, bound), true],
  ['bound, and an attempt goes on', claimOf({ ...attempt, [annotations.podPhase]: 'Running' }, bound), false],
  ['not bound', claimOf(), false],
  ['lost', claimOf({}, { status: { phase: 'Lost' } }), false],
  ['being deleted', claimOf({}, { ...bound, metadata: leaving }), false],
])('%s', (_what, claim, quiet) => {
  expect(isQuiet(claim)).toBe(quiet);
});
