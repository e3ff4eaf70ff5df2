// How often a service that has nothing to do wakes up: each time costs a little of a core for ever. What that sums up to is the benchmark's.
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Service, until } from '../service-fixture.ts';

const periodMs = 10_000;
let service: Service;
beforeAll(async () => {
  service = await Service.start();
});
afterAll(() => service.stop());

/** How often the first threads of all processes have gone to sleep: they hold the timers. The garbage collector's have their own rhythm. */
function sleeps(): number {
  const { pid = 0, processes } = service.state;
  const pids = [pid, ...Object.values(processes).map((part) => part.pid)];
  expect(pids).toHaveLength(5);
  const counts = pids.map((of) =>
    /^voluntary_ctxt_switches:\s+(\d+)/m.exec(readFileSync(`/proc/${of}/status`, 'utf8')),
  );
  return counts.reduce((sum, found) => sum + Number(found?.[1]), 0);
}

test('an idle service wakes up less than 35 times a second, all processes together', async () => {
  await until('the worker is ready', async () => (await service.probe('worker', 'readyz')).status === 200);
  const before = sleeps();
  await delay(periodMs); // the condition is that nothing is asked of it
  expect((sleeps() - before) / (periodMs / 1_000)).toBeLessThan(35);
});
