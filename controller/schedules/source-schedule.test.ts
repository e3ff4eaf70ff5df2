import { describe, expect, test } from 'vitest';
import { annotations } from '../../domain/annotations.ts';
import type { DataImportCron } from '../../domain/custom-resources/data-import-cron.ts';
import { Fault } from '../../domain/fault.ts';
import { cronOf } from '../../test/data-import-cron-examples.ts';
import { afterLook, dueTime, type LookOutcome, lookNoteOf } from './source-schedule.ts';

const now = new Date('2026-11-25T12:00:30Z');
const { nextCronTime, lastCronTime, sourceDesiredDigest, sourceLook } = annotations;

function looked(cron: DataImportCron, outcome: LookOutcome, importFailed = false): DataImportCron {
  const given = { ...cron.metadata.annotations, ...afterLook(cron, outcome, { now, importFailed }) };
  return { ...cron, metadata: { ...cron.metadata, annotations: given } };
}

const told = (cron: DataImportCron, name: string) => cron.metadata.annotations?.[name];
const busy = { fault: new Fault('SourceUnavailable', 'https://example.com answered 503') };
const gone = { fault: new Fault('SourceNotFound', 'https://example.com/disk.qcow2') };
const version = { version: { etag: '"a"' } };

describe('a look is due', () => {
  test('at once where none was ever planned, or where nobody can read when', () => {
    expect(dueTime(cronOf())?.getTime()).toBe(0);
    expect(dueTime(cronOf({}, { [nextCronTime]: 'soon' }))?.getTime()).toBe(0);
  });

  test('at the time that is noted', () => {
    expect(dueTime(cronOf({}, { [nextCronTime]: '2026-11-25T13:00:00Z' }))).toEqual(new Date('2026-11-25T13:00:00Z'));
  });

  test('never without a schedule', () => {
    expect(dueTime(cronOf({ schedule: '' }, { [nextCronTime]: '2020-01-01T00:00:00Z' }))).toBeUndefined();
  });
});

describe('a look that finds a version', () => {
  test('notes what is wanted now, and when the schedule comes next', () => {
    const cron = looked(cronOf(), version);
    expect(told(cron, sourceDesiredDigest)).toMatch(/^etag:/);
    expect(told(cron, lastCronTime)).toBe('2026-11-25T12:00:30Z');
    expect(told(cron, nextCronTime)).toBe('2026-11-25T13:00:00Z');
  });

  test('wants the same as before where only the way of telling it changed', () => {
    const first = looked(cronOf(), { version: { etag: '"a"', lastModified: 'Mon', bytes: 7 } });
    const second = looked(first, { version: { etag: '"b"', lastModified: 'Mon', bytes: 7 } });
    const third = looked(second, { version: { etag: '"c"', lastModified: 'Tue', bytes: 7 } });
    expect(told(second, sourceDesiredDigest)).toBe(told(first, sourceDesiredDigest));
    expect(told(third, sourceDesiredDigest)).not.toBe(told(first, sourceDesiredDigest));
  });

  test('goes over what somebody else said', () => {
    const first = looked(cronOf(), version);
    const said = { ...first.metadata.annotations, [sourceDesiredDigest]: 'sha256:0123456789ab' };
    const second = looked({ ...first, metadata: { ...first.metadata, annotations: said } }, version);
    expect(told(second, sourceDesiredDigest)).toBe(told(first, sourceDesiredDigest));
  });

  test('begins anew where the note cannot be read', () => {
    for (const note of ['', 'no JSON', '{"version":7}']) {
      expect(lookNoteOf(cronOf({}, { [sourceLook]: note }))).toEqual({});
    }
  });
});

describe('a look that fails', () => {
  test('keeps what is wanted, and says why', () => {
    const cron = looked(looked(cronOf(), version), busy);
    expect(told(cron, sourceDesiredDigest)).toMatch(/^etag:/);
    expect(lookNoteOf(cron).fault).toEqual({
      reason: 'SourceUnavailable',
      message: expect.stringContaining('https://example.com answered 503. '),
    });
  });

  test('is made again later and later, up to an hour, also where the schedule comes more often', () => {
    let cron = cronOf({ schedule: '* * * * *' });
    const pauses: number[] = [];
    for (let failures = 0; failures < 9; failures += 1) {
      cron = looked(cron, busy);
      pauses.push((Date.parse(told(cron, nextCronTime) ?? '') - now.getTime()) / 60_000);
    }
    expect(pauses).toEqual([1, 2, 4, 8, 16, 32, 60, 60, 60]);
  });

  test('is made again before the schedule where that comes seldom', () => {
    const cron = looked(cronOf({ schedule: '0 0 1 1 *' }), busy);
    expect(told(cron, nextCronTime)).toBe('2026-11-25T12:01:30Z');
  });

  test('waits for the schedule where only somebody can put it right', () => {
    expect(told(looked(cronOf(), gone), nextCronTime)).toBe('2026-11-25T13:00:00Z');
    let cron = cronOf({ schedule: '* * * * *' });
    for (let failures = 0; failures < 4; failures += 1) cron = looked(cron, gone);
    expect(told(cron, nextCronTime)).toBe('2026-11-25T12:09:00Z');
  });

  test('is forgotten with the next one that does not', () => {
    expect(lookNoteOf(looked(looked(cronOf(), busy), version))).not.toHaveProperty('failures');
  });
});

test('an import that failed is tried again later and later, but a new version at once', () => {
  let cron = looked(cronOf({ schedule: '* * * * *' }), version);
  for (let failures = 0; failures < 3; failures += 1) cron = looked(cron, version, true);
  expect(told(cron, nextCronTime)).toBe('2026-11-25T12:05:00Z');
  expect(told(looked(cron, { version: { etag: '"b"' } }, true), nextCronTime)).toBe('2026-11-25T12:01:00Z');
});
