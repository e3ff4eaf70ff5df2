import { afterEach, beforeEach, expect, test } from 'vitest';
import { byTime } from '../cli/volume-rows.ts';
import type { KubeEvent } from '../domain/kube-shapes.ts';
import { resources } from '../domain/resources.ts';
import { claimOf } from '../test/claim-examples.ts';
import { ControllerParts } from '../test/controller-parts.ts';
import { EventRecorder } from './event-recorder.ts';

let parts: ControllerParts;
let recorder: EventRecorder;
beforeEach(async () => {
  parts = await ControllerParts.open();
  recorder = new EventRecorder(parts.store, parts.context.logger);
});
afterEach(() => parts.close());

const reasons = Array.from({ length: 40 }, (_, n) => `Reason${n}`);

/** @param name of one of several claims, whose events are written independently of each other */
function record(reason: string, name: string, message = 'as the test says'): void {
  const claim = claimOf();
  recorder.record({ ...claim, metadata: { ...claim.metadata, name, uid: name } }, { type: 'Normal', reason, message });
}

async function told(): Promise<KubeEvent[]> {
  await recorder.drained();
  return (await parts.store.list(resources.events)).items;
}

test('events within one second are in the order in which they happened, whatever they are sorted by', async () => {
  for (const [n, reason] of reasons.entries()) record(reason, `claim-${n % 7}`);
  const events = await told();
  for (const member of ['firstTimestamp', 'lastTimestamp', 'eventTime'] as const) {
    const sorted = events.toSorted((one, other) => (`${one[member]}` < `${other[member]}` ? -1 : 1));
    expect(sorted.map(({ reason }) => reason)).toEqual(reasons);
  }
  expect(events.toSorted(byTime).map(({ reason }) => reason)).toEqual(reasons);
  for (const { eventTime } of events) expect(eventTime).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
});

test('one that comes again is counted, and is the latest then', async () => {
  for (const reason of ['A', 'B', 'A']) record(reason, 'disk');
  const events = (await told()).toSorted(byTime);
  expect(events.map(({ reason, count }) => [reason, count])).toEqual([
    ['B', 1],
    ['A', 2],
  ]);
  const [, again] = events;
  expect(`${again?.firstTimestamp}` < `${again?.lastTimestamp}`).toBe(true);
  expect(again?.eventTime).toBe(again?.firstTimestamp);
});

test('what kube-apiserver demands of an event with microseconds is there', async () => {
  record('Long', 'disk', 'x'.repeat(2_000));
  const [event] = await told();
  expect(event).toMatchObject({ reportingComponent: 'longshore-controller', action: 'Long' });
  expect([event?.reportingInstance, event?.message?.length]).toEqual(['longshore-controller', 1_024]);
});
