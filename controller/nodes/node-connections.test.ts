// Which claims sleep until something about them changes, and how volumes of nobody go.
import { duplexPair } from 'node:stream';
import { expect, test } from 'vitest';
import { annotations } from '../../domain/annotations.ts';
import type { Claim } from '../../domain/kube-shapes.ts';
import { Channel } from '../../jobs/channel.ts';
import { controllerCalls, workerCalls } from '../../jobs/channel-protocol.ts';
import { claimOf, volumeId, volumeOf } from '../../test/claim-examples.ts';
import { ControllerParts } from '../../test/controller-parts.ts';
import { firstAttempt, formatAttemptState } from '../claims/attempt-state.ts';
import { isQuiet, NodeConnections } from './node-connections.ts';

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

test('a volume of nobody is deleted once, however long that takes and however often it is looked for', async () => {
  await using undo = new AsyncDisposableStack();
  const parts = await ControllerParts.open();
  undo.defer(() => parts.close());
  const { context } = parts;
  const [ours, theirs] = duplexPair();
  const { logger } = context;
  const channel = new Channel({ socket: ours, asks: workerCalls, answers: controllerCalls, logger });
  const worker = new Channel({ socket: theirs, asks: controllerCalls, answers: workerCalls, logger });
  undo.defer(() => channel.close());
  const [asked, deleted] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let deletions = 0;
  worker.handle('volume.delete', async () => {
    deletions += 1;
    asked.resolve();
    await deleted.promise;
    return {};
  });
  const view = parts.node('one', 1e9);
  view.volumes.set(volumeId, volumeOf({ state: 'empty', fence: 0 }));
  context.channels.set('one', channel);

  const connections = new NodeConnections(context);
  await connections.sweepOrphans({ onlyLook: false });
  const first = connections.sweepOrphans({ onlyLook: false });
  await asked.promise;
  const second = connections.sweepOrphans({ onlyLook: false });
  await connections.sweepOrphans({ onlyLook: true });
  deleted.resolve();
  await Promise.all([first, second]);
  expect(view.volumes.size).toBe(0);
  expect(deletions).toBe(1);
});
