import { expect, test } from 'vitest';
import { Fault } from '../../domain/fault.ts';
import { MetObstacles } from './met-obstacles.ts';

const full = new Fault('PoolFull', '1 GiB asked, 0 left');

test('the delay doubles up to the cap, and only another fault is new', () => {
  const obstacles = new MetObstacles();
  const met = Array.from({ length: 7 }, () => obstacles.add('ns/a', full));
  expect(met.map(({ delayMs }) => delayMs)).toEqual([250, 500, 1_000, 2_000, 4_000, 5_000, 5_000]);
  expect(met.map(({ isNew }) => isNew)).toEqual([true, false, false, false, false, false, false]);
  expect(obstacles.add('ns/a', new Fault('NodeLost', 'x'))).toEqual({ delayMs: 5_000, isNew: true });
  expect(obstacles.add('ns/b', full)).toEqual({ delayMs: 250, isNew: true });
});

test('what is forgotten begins anew and is not kept', () => {
  const obstacles = new MetObstacles();
  obstacles.add('ns/a', full);
  obstacles.forget('ns/a');
  expect(obstacles.size).toBe(0);
  expect(obstacles.add('ns/a', full)).toEqual({ delayMs: 250, isNew: true });
});
