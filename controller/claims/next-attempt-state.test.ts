// Every stage of an attempt against everything that may be learned, as a table; and what must hold over any sequence of events.
import { describe, expect, test } from 'vitest';
import { Fault, faultRecord } from '../../domain/fault.ts';
import { type FaultCode, faultCatalogue } from '../../domain/fault-catalogue.ts';
import type { Operation } from '../../domain/phases.ts';
import type { TransferReport } from '../../domain/volume-record.ts';
import { connectedNode, factsOf, now, volumeOf } from '../../test/claim-examples.ts';
import type { LiveAttempt } from '../nodes/node-views.ts';
import { type AttemptState, firstAttempt, formatAttemptState, isEnded } from './attempt-state.ts';
import type { ClaimFacts } from './claim-actions.ts';
import { nextAttemptState } from './next-attempt-state.ts';

const report: TransferReport = {
  ...{ virtualSizeBytes: 1_048_576, allocatedBytes: 0, format: 'raw', strategy: 'stream', verified: 'length' },
  ...{ fetchedBytes: 1_048_576, steps: [] },
};
const ended = (code: FaultCode, attempt = 1, bytesFetched = 10): Partial<ClaimFacts> => ({
  outcome: { attempt, outcome: { ok: false, fault: faultRecord(new Fault(code, 'said so')), bytesFetched } },
});
const doing = (word: LiveAttempt['doing'], attempt = 1): Partial<ClaimFacts> => ({ live: { attempt, doing: word } });
const missing = (code: FaultCode): Partial<ClaimFacts> => ({
  readiness: { ready: false, fault: new Fault(code, 'said so') },
});
const slotStays: Partial<ClaimFacts> = {
  outcome: {
    ...{ attempt: 1, slotStays: true },
    outcome: { ok: false, fault: faultRecord(new Fault('HostileImage', 'said so')), bytesFetched: 0 },
  },
};

const events = {
  nothing: {},
  'the worker is away': { node: { ...connectedNode, connected: false, known: false, settled: false } },
  'the worker has just come': { node: { ...connectedNode, settled: false } },
  'it runs': doing('running'),
  'its slot waits': doing('waiting'),
  'its bytes are there': doing('received'),
  'it ended well': { outcome: { attempt: 1, outcome: { ok: true as const, report } } },
  'it failed for now': ended('OutOfMemory'),
  'it failed for good': ended('CorruptImage'),
  'it was cancelled there': ended('Cancelled'),
  'a later attempt took over': ended('StaleAttempt'),
  'another attempt failed': ended('CorruptImage', 7),
  'an upload failed, its slot waits': slotStays,
  'a user cancels': { cancelRequested: true },
  'the volume is complete': { volume: volumeOf({ state: 'complete', report, committedAt: '2026-01-01T00:00:01Z' }) },
  'the volume was left to its user': { volume: volumeOf({ state: 'plain' }) },
  'it holds a user’s files': { volume: volumeOf({ state: 'plain' }), obstacle: new Fault('VolumeInUse', 'said so') },
  'the volume knows attempt 3': { volume: volumeOf({ fence: 3 }) },
  'a secret is missing': missing('SecretMissing'),
  'the clone is forbidden': missing('CloneForbidden'),
  'a command fails for now': { obstacle: new Fault('PoolFull', 'said so') },
  'the pool is only read': { obstacle: new Fault('PoolReadOnly', 'said so') },
  'the worker is of another version': { obstacle: new Fault('NewerVersion', 'said so') },
  'a command fails for good': { obstacle: new Fault('VolumeTooLarge', 'said so') },
  'the source is not supported': {
    content: { kind: 'unsupported', operation: 'import', fault: new Fault('UnsupportedSource', 'said so') },
  },
} as const satisfies Record<string, Partial<ClaimFacts>>;
type Event = keyof typeof events;
// Safe: the very keys of the object.
const eventNames = Object.keys(events) as Event[];

function step(state: AttemptState, facts: Partial<ClaimFacts>): AttemptState {
  const next = nextAttemptState(formatAttemptState(state), factsOf(facts));
  if (next === undefined) throw new Error('the state went away');
  return next;
}

function shown({ stage, attempt, fault }: AttemptState): string {
  return [stage, attempt, ...(fault === undefined ? [] : [fault.code])].join(' ');
}

function at(operation: Operation, stage: AttemptState['stage']): AttemptState {
  return { ...firstAttempt(operation), stage };
}

/** After the event: an import that was planned, and one that ran. */
const imports: Record<Event, [string, string]> = {
  nothing: ['planned 1', 'planned 2 Interrupted'],
  'the worker is away': ['planned 1', 'running 1'],
  'the worker has just come': ['planned 1', 'running 1'],
  'it runs': ['running 1', 'running 1'],
  'its slot waits': ['running 1', 'running 1'],
  'its bytes are there': ['received 1', 'received 1'],
  'it ended well': ['succeeded 1', 'succeeded 1'],
  'it failed for now': ['planned 2 OutOfMemory', 'planned 2 OutOfMemory'],
  'it failed for good': ['failed 1 CorruptImage', 'failed 1 CorruptImage'],
  'it was cancelled there': ['failed 1 Cancelled', 'failed 1 Cancelled'],
  'a later attempt took over': ['planned 1', 'planned 2 Interrupted'],
  'another attempt failed': ['planned 1', 'planned 2 Interrupted'],
  'an upload failed, its slot waits': ['planned 1 HostileImage', 'running 1 HostileImage'],
  'a user cancels': ['failed 1 Cancelled', 'failed 1 Cancelled'],
  'the volume is complete': ['succeeded 1', 'succeeded 1'],
  'the volume was left to its user': ['planned 1', 'planned 2 Interrupted'],
  'it holds a user’s files': ['failed 1 VolumeInUse', 'failed 1 VolumeInUse'],
  'the volume knows attempt 3': ['planned 3', 'planned 3'],
  'a secret is missing': ['planned 1', 'planned 2 Interrupted'],
  'the clone is forbidden': ['failed 1 CloneForbidden', 'failed 1 CloneForbidden'],
  'a command fails for now': ['planned 1', 'planned 2 Interrupted'],
  'the pool is only read': ['planned 1', 'planned 2 Interrupted'],
  'the worker is of another version': ['planned 1', 'planned 2 Interrupted'],
  'a command fails for good': ['failed 1 VolumeTooLarge', 'failed 1 VolumeTooLarge'],
  'the source is not supported': ['failed 1 UnsupportedSource', 'failed 1 UnsupportedSource'],
};

/** After the event: an upload that was planned, one whose slot was open, and one whose bytes had come. */
const uploads: Record<Exclude<Event, 'the source is not supported'>, [string, string, string]> = {
  nothing: ['planned 1', 'planned 1', 'received 1'],
  'the worker is away': ['planned 1', 'running 1', 'received 1'],
  'the worker has just come': ['planned 1', 'running 1', 'received 1'],
  'it runs': ['running 1', 'running 1', 'received 1'],
  'its slot waits': ['running 1', 'running 1', 'received 1'],
  'its bytes are there': ['received 1', 'received 1', 'received 1'],
  'it ended well': ['succeeded 1', 'succeeded 1', 'succeeded 1'],
  'it failed for now': ['planned 2 OutOfMemory', 'planned 2 OutOfMemory', 'received 1 OutOfMemory'],
  'it failed for good': ['planned 2 CorruptImage', 'planned 2 CorruptImage', 'planned 2 CorruptImage'],
  'it was cancelled there': ['failed 1 Cancelled', 'failed 1 Cancelled', 'failed 1 Cancelled'],
  'a later attempt took over': ['planned 1', 'planned 1', 'received 1'],
  'another attempt failed': ['planned 1', 'planned 1', 'received 1'],
  'an upload failed, its slot waits': ['planned 1 HostileImage', 'running 1 HostileImage', 'received 1 HostileImage'],
  'a user cancels': ['failed 1 Cancelled', 'failed 1 Cancelled', 'failed 1 Cancelled'],
  'the volume is complete': ['succeeded 1', 'succeeded 1', 'succeeded 1'],
  'the volume was left to its user': ['planned 1', 'planned 1', 'received 1'],
  'it holds a user’s files': ['failed 1 VolumeInUse', 'failed 1 VolumeInUse', 'failed 1 VolumeInUse'],
  'the volume knows attempt 3': ['planned 3', 'planned 3', 'planned 3'],
  'a secret is missing': ['planned 1', 'planned 1', 'received 1'],
  'the clone is forbidden': ['failed 1 CloneForbidden', 'failed 1 CloneForbidden', 'failed 1 CloneForbidden'],
  'a command fails for now': ['planned 1', 'planned 1', 'received 1'],
  'the pool is only read': ['planned 1', 'planned 1', 'received 1'],
  'the worker is of another version': ['planned 1', 'planned 1', 'received 1'],
  'a command fails for good': ['failed 1 VolumeTooLarge', 'failed 1 VolumeTooLarge', 'failed 1 VolumeTooLarge'],
};

describe('an attempt', () => {
  test.each(Object.entries(imports))('of an import: %s', (event, after) => {
    // Safe: a key of the table.
    const facts = events[event as Event];
    expect((['planned', 'running'] as const).map((stage) => shown(step(at('import', stage), facts)))).toEqual(after);
  });

  test.each(Object.entries(uploads))('of an upload: %s', (event, after) => {
    // Safe: a key of the table.
    const facts: Partial<ClaimFacts> = { content: { kind: 'upload' }, ...events[event as Event] };
    const stages = ['planned', 'running', 'received'] as const;
    expect(stages.map((stage) => shown(step(at('upload', stage), facts)))).toEqual(after);
  });

  test.each(eventNames)('that has ended stays as it is: %s', (event) => {
    for (const operation of ['import', 'upload', 'clone'] as const) {
      for (const stage of ['succeeded', 'failed'] as const) {
        const state = at(operation, stage);
        expect(step(state, events[event])).toEqual(state);
      }
    }
  });

  test('begins for whoever has something to be filled with, and for nobody else', () => {
    expect(nextAttemptState(undefined, factsOf())).toEqual(firstAttempt('import'));
    expect(nextAttemptState('{"schemaVersion":1,"attempt":0}', factsOf())).toEqual(firstAttempt('import'));
    expect(nextAttemptState(undefined, factsOf({ content: { kind: 'none' } }))).toBeUndefined();
    expect(nextAttemptState(undefined, factsOf({ content: { kind: 'unknown' } }))).toBeUndefined();
  });

  test('that failed for now waits, longer each time, and gives up at the limit; what says nothing about the source is not counted', () => {
    const waits: string[] = [];
    let state = at('import', 'running');
    for (const code of ['SourceUnavailable', 'Interrupted', 'SourceUnavailable', 'SourceUnavailable'] as const) {
      state = step(
        { ...state, stage: 'running' },
        { ...ended(code, state.attempt), volume: volumeOf({ fence: state.attempt }) },
      );
      const { notBefore } = state;
      waits.push(notBefore === undefined ? 'none' : String(Date.parse(notBefore) - now.getTime()));
    }
    expect(waits).toEqual(['500', '1000', '1000', 'none']);
    expect(state).toMatchObject({ stage: 'failed', attempt: 4, failures: 3, bytesFetched: 40 });
    expect(state.fault?.code).toBe('BudgetExhausted');
  });

  test('that the machine ends is followed by another without limit, and neither it nor its bytes count against the source', () => {
    const mib = 1_048_576;
    let state: AttemptState = { ...at('import', 'running'), sourceBytes: 100 * mib };
    const end = (code: FaultCode): void => {
      const volume = volumeOf({ fence: state.attempt });
      state = step({ ...state, stage: 'running' }, { ...ended(code, state.attempt, 90 * mib), volume });
    };
    for (let tries = 0; tries < 20; tries += 1) end('NoSpace');
    expect(state).toMatchObject({ stage: 'planned', attempt: 21, failures: 0, bytesFetched: 1800 * mib });
    expect(state.fault).toMatchObject({ code: 'NoSpace', nextStep: faultCatalogue.NoSpace.nextStep });
    end('SourceInterrupted');
    end('SourceInterrupted');
    expect(shown(state)).toBe('planned 23 SourceInterrupted');
    end('SourceInterrupted');
    expect(shown(state)).toBe('failed 23 BudgetExhausted');
  });

  test('whose bytes came is converted again without limit while the machine is in the way, and waits longer each time', () => {
    const waits: number[] = [];
    let state = at('upload', 'received');
    for (let tries = 0; tries < 5; tries += 1) {
      state = step(state, { content: { kind: 'upload' }, ...ended('NoSpace') });
      waits.push(Date.parse(state.notBefore ?? '') - now.getTime());
    }
    expect(shown(state)).toBe('received 1 NoSpace');
    expect(waits).toEqual([500, 1000, 2000, 4000, 8000]);
  });

  test('that succeeds forgets why an earlier one failed and keeps the report', () => {
    const before: AttemptState = { ...at('import', 'running'), fault: faultRecord(new Fault('SourceStalled', 'x')) };
    const after = step(before, events['it ended well']);
    expect(after).toEqual({ ...at('import', 'succeeded'), report, committedAt: now.toISOString() });
  });
});

/** Numbers from 0 up to 1, the same for the same seed (mulberry32). */
function chances(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** An event as it would come for the attempt that is going on. */
function eventFor(name: Event, { attempt }: AttemptState): Partial<ClaimFacts> {
  const { live, outcome, ...rest }: Partial<ClaimFacts> = events[name];
  return {
    ...rest,
    ...(live === undefined ? {} : { live: { ...live, attempt } }),
    ...(outcome === undefined || outcome.attempt !== 1 ? {} : { outcome: { ...outcome, attempt } }),
  };
}

describe('over any sequence of events', () => {
  test('the number never falls, an end is final, failures never exceed the limit, and the state survives being written', () => {
    for (let seed = 1; seed <= 500; seed += 1) {
      const chance = chances(seed);
      let state = firstAttempt((['import', 'upload', 'clone'] as const)[Math.floor(chance() * 3)] ?? 'import');
      for (let count = 0; count < 40; count += 1) {
        const name = eventNames[Math.floor(chance() * eventNames.length)] ?? 'nothing';
        const next = step(state, eventFor(name, state));
        const told = `seed ${seed}: ${shown(state)}, ${name}, ${shown(next)}`;
        expect(next.attempt, told).toBeGreaterThanOrEqual(state.attempt);
        expect(next.failures, told).toBeLessThanOrEqual(3);
        if (isEnded(state)) expect(next, told).toEqual(state);
        expect(next.stage === 'failed' && next.fault === undefined, told).toBe(false);
        state = next;
      }
    }
  });

  test('a permanent fault is the last thing an import does', () => {
    const permanent = ['SourceNotFound', 'CorruptImage', 'HostileImage', 'ImageTooLarge', 'ChecksumMismatch'] as const;
    for (const code of permanent) {
      const failed = step(at('import', 'running'), ended(code));
      expect(shown(failed)).toBe(`failed 1 ${code}`);
      for (const name of eventNames) expect(step(failed, eventFor(name, failed))).toEqual(failed);
    }
  });
});

test('a source that changed once is read in one pass by all attempts that follow, whatever ends the one between', () => {
  const stateAfter = (state: AttemptState, code: FaultCode) => {
    const next = nextAttemptState(formatAttemptState(state), factsOf(ended(code, state.attempt)));
    if (next === undefined) throw new Error('no state');
    return next;
  };
  const dropped = stateAfter(firstAttempt('import'), 'SourceInterrupted');
  expect(dropped.onePass).toBeUndefined();
  const changed = stateAfter(dropped, 'SourceChanged');
  expect(changed).toMatchObject({ attempt: 3, onePass: true });
  expect(stateAfter(changed, 'Interrupted')).toMatchObject({ attempt: 4, onePass: true });
});
