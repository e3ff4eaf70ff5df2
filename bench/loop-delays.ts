// The delays of the event loops as the processes tell them themselves: each read of /metrics gives the 99th percentile since the one before.
import { setTimeout as delay } from 'node:timers/promises';
import { readUpState } from './up-state.ts';

const measured = ['api', 'uploadproxy', 'worker'] as const;
const startLimitMs = 30_000;
const pollMs = 50;
const gauge = /^longshore_event_loop_delay_p99_seconds (\S+)$/m;

/** @returns milliseconds by the name of the process, of the time in which `work` ran */
export async function loopDelaysMs(directory: string, work: () => Promise<unknown>): Promise<Record<string, number>> {
  const addresses = await metricsAddresses(directory);
  const delays = async (): Promise<[string, number][]> =>
    Promise.all(addresses.map(async ({ name, address }) => [name, await delayMs(address)]));
  await delays();
  await work();
  return Object.fromEntries(await delays());
}

/** Waits until all processes run: the API answers before the others do. */
async function metricsAddresses(directory: string): Promise<{ name: string; address: string }[]> {
  const deadline = performance.now() + startLimitMs;
  for (;;) {
    const { processes } = await readUpState(directory);
    const found = measured.flatMap((name) => {
      const address = processes[name]?.addresses['metrics'];
      return address === undefined ? [] : [{ name, address }];
    });
    if (found.length === measured.length) return found;
    if (performance.now() > deadline) throw new Error(`not all of ${measured.join(', ')} run`);
    await delay(pollMs);
  }
}

async function delayMs(address: string): Promise<number> {
  const text = await (await fetch(`http://${address}/metrics`)).text();
  const seconds = gauge.exec(text)?.[1];
  if (seconds === undefined) throw new Error(`${address} tells no delay of its event loop`);
  return Number(seconds) * 1000;
}
