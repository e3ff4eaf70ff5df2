import { expect, test } from 'vitest';
import { ageOf } from './table-columns.ts';

test('ages are written as kubectl writes them', () => {
  const start = Date.parse('2026-01-01T00:00:00Z');
  const after = (seconds: number): string => ageOf('2026-01-01T00:00:00Z', new Date(start + seconds * 1_000));
  const [minute, hour, day] = [60, 3_600, 86_400];
  expect([0, 119, 2 * minute, 5 * minute + 3, 42 * minute, 3 * hour + 10 * minute].map(after)).toEqual([
    '0s',
    '119s',
    '2m',
    '5m3s',
    '42m',
    '3h10m',
  ]);
  expect([12 * hour, 47 * hour, 4 * day, 4 * day + hour, 30 * day, 800 * day].map(after)).toEqual([
    '12h',
    '47h',
    '4d',
    '4d1h',
    '30d',
    '2y',
  ]);
  expect(ageOf(undefined, new Date())).toBe('<unknown>');
});
