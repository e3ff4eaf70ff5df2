import { expect, test } from 'vitest';
import { isCronSchedule, nextTime } from './cron-schedule.ts';

const wednesday = new Date('2026-11-25T12:00:30Z');

test.for([
  ['* * * * *', '2026-11-25T12:01:00.000Z'],
  ['0 0 * * *', '2026-11-26T00:00:00.000Z'],
  ['*/5 0-3 * * MON-FRI', '2026-11-26T00:00:00.000Z'],
  // Day of the month or of the week, as cron has it where both are given.
  ['0 0 13 * 5', '2026-11-27T00:00:00.000Z'],
  ['0 12 29 2 *', '2028-02-29T12:00:00.000Z'],
  ['@daily', '2026-11-26T00:00:00.000Z'],
  ['  30  6 * * 7 ', '2026-11-29T06:30:00.000Z'],
])('%s comes next at %s', ([schedule = '', next]) => {
  expect(nextTime(schedule, wednesday)?.toISOString()).toBe(next);
});

test('a time that is met exactly is followed by the next one', () => {
  expect(nextTime('0 * * * *', new Date('2026-11-25T12:00:00Z'))?.toISOString()).toBe('2026-11-25T13:00:00.000Z');
});

test.for([
  '* * * *',
  '* * * * * *',
  '60 * * * *',
  '*/0 * * * *',
  '0 0 31 2 *',
  '@every 5m',
  '2026-12-01T00:00:00Z',
  '',
  'H * * * *',
])('%j is no schedule', (schedule) => {
  expect(isCronSchedule(schedule)).toBe(false);
});

test('five stars are a schedule', () => {
  expect(isCronSchedule('* * * * *')).toBe(true);
});
