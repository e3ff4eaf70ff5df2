import { expect, test } from 'vitest';
import { WaitList } from './wait-list.ts';

test('those who wait are told once', () => {
  const waits = new WaitList();
  waits.add('secret ns/s', 'ns/a');
  waits.add('secret ns/s', 'ns/b');
  waits.add('secret ns/s', 'ns/a');
  expect(waits.take('secret ns/s')).toEqual(['ns/a', 'ns/b']);
  expect(waits.take('secret ns/s')).toEqual([]);
});

test('a name that never comes is forgotten with the last one that waited for it', () => {
  const waits = new WaitList();
  for (const key of ['ns/a', 'ns/b']) waits.add('secret ns/never', key);
  waits.add('configmap ns/never', 'ns/a');
  waits.forget('ns/a');
  expect(waits.size).toBe(1);
  expect(waits.take('secret ns/never')).toEqual(['ns/b']);
  waits.add('secret ns/never', 'ns/b');
  waits.forget('ns/b');
  waits.forget('ns/b');
  expect(waits.size).toBe(0);
});
