import { beforeEach, expect, test } from 'vitest';
import type { DataVolumeStatus } from '../domain/data-volume.ts';
import { Fault, faultRecord } from '../domain/fault.ts';
import { AttemptNotes } from './attempt-notes.ts';
import { ProgressDisplay } from './progress-display.ts';

const poolMissing = faultRecord(new Fault('PoolMissing', 'the pool is gone'));
let said = '';
let notes: AttemptNotes;

beforeEach(() => {
  said = '';
  const write = (text: string) => {
    said += text;
  };
  notes = new AttemptNotes(new ProgressDisplay({ write }), 'ns/disk');
});

function look(status: DataVolumeStatus): void {
  const metadata = { namespace: 'ns', name: 'disk' };
  notes.look({ apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'DataVolume', metadata, spec: {}, status });
}

const condition = (type: string, reason: string, message = '') => ({ type, status: 'False' as const, reason, message });

test.each(['Bound', 'Running'])('what a volume waits for is told once, with the next step (%s)', (type) => {
  const waiting = {
    phase: 'Pending',
    conditions: [condition(type, 'PoolMissing')],
    longshore: { fault: poolMissing },
  } satisfies DataVolumeStatus;
  look(waiting);
  look(waiting);
  expect(said).toBe(`ns/disk: waits: PoolMissing: the pool is gone. ${poolMissing.nextStep}\n`);
});

test('a clone tells that its source is not there', () => {
  look({ phase: 'Pending', conditions: [condition('Bound', 'CloneWithoutSource', "The source pvc x doesn't exist")] });
  expect(said).toBe("ns/disk: waits: CloneWithoutSource: The source pvc x doesn't exist\n");
});

test('an attempt that failed is told with the time of the next one, and again when that fails too', () => {
  for (const nextAttemptAt of ['10:00', '10:00', '11:00']) {
    look({ phase: 'ImportInProgress', longshore: { fault: poolMissing, nextAttemptAt } });
  }
  expect(said.split('\n')).toEqual([
    'ns/disk: PoolMissing: the pool is gone; next attempt at 10:00',
    'ns/disk: PoolMissing: the pool is gone; next attempt at 11:00',
    '',
  ]);
});

test.each<[string, DataVolumeStatus]>([
  [
    'waits for nothing in particular',
    { phase: 'Pending', conditions: [condition('Bound', 'Pending', 'PVC disk Pending')] },
  ],
  ['runs again after a fault', { phase: 'ImportInProgress', longshore: { fault: poolMissing } }],
  [
    'waits for the next upload',
    { phase: 'UploadReady', conditions: [condition('Running', 'PoolMissing')], longshore: { fault: poolMissing } },
  ],
  ['failed', { phase: 'Failed', conditions: [condition('Running', 'PoolMissing')], longshore: { fault: poolMissing } }],
])('a volume that %s has no note', (_what, status) => {
  look(status);
  expect(said).toBe('');
});
