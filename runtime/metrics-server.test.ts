import { afterEach, expect, test } from 'vitest';
import { type MetricsServer, startMetricsServer } from './metrics-server.ts';

const delayResolutionMs = 10;
let server: MetricsServer | undefined;

afterEach(() => server?.close());

async function start(problems: { live?: string; ready?: string } = {}): Promise<string> {
  const { live, ready } = problems;
  server = await startMetricsServer({ port: 0, delayResolutionMs, live: () => live, ready: () => ready });
  return `http://127.0.0.1:${server.address.port}`;
}

async function loopDelaySeconds(url: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(/^longshore_event_loop_delay_p99_seconds (\S+)$/m.exec(text)?.[1]);
}

/** The measure begins with the first tick of its timer after it was read: a timer that is set later and lasts longer comes after that. */
function aFewTicks(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 5 * delayResolutionMs));
}

function holdEventLoop(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

test('the delay of the event loop is that since it was read last', async () => {
  const url = await start();
  await loopDelaySeconds(url);
  await aFewTicks();
  holdEventLoop(1_000);
  const held = await loopDelaySeconds(url);
  expect(held).toBeGreaterThan(0.9);
  expect(await loopDelaySeconds(url)).toBeLessThan(held);
});

test('a process that cannot go on is neither alive nor ready, one that cannot take work is alive', async () => {
  const broken = await start({ live: 'the store is gone' });
  for (const path of ['livez', 'readyz']) {
    const answer = await fetch(`${broken}/${path}`);
    expect([answer.status, await answer.text()]).toEqual([503, 'the store is gone']);
  }
  await server?.close();
  const busy = await start({ ready: 'Redis cannot be reached' });
  expect((await fetch(`${busy}/livez`)).status).toBe(200);
  expect((await fetch(`${busy}/readyz`)).status).toBe(503);
});
