import { expect, test, vi } from 'vitest';
import { Fault } from '../domain/fault.ts';
import { SharedRuns } from './shared-runs.ts';

const never = new AbortController().signal;

/** Work that ends when it is let go, or by its signal. */
function gated() {
  const begun: string[] = [];
  const ended: string[] = [];
  const gates = new Map<string, () => void>();
  const work = (name: string) => (signal: AbortSignal) => {
    begun.push(name);
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    gates.set(name, () => resolve(name));
    signal.addEventListener('abort', () => {
      ended.push(name);
      reject(signal.reason);
    });
    return promise;
  };
  return { begun, ended, work, go: (name: string) => gates.get(name)?.() };
}

function runs(atOnce = 2, mostWaiting = 2) {
  return new SharedRuns<string>({ what: 'digests', atOnce, mostWaiting });
}

test('whoever asks for the same joins its run, and a later one begins anew', async () => {
  const { begun, work, go } = gated();
  const shared = runs();
  const both = [shared.ask('a', never, work('first')), shared.ask('a', never, work('second'))];
  go('first');
  expect(await Promise.all(both)).toEqual(['first', 'first']);
  const third = shared.ask('a', never, work('third'));
  go('third');
  expect(await third).toBe('third');
  expect(begun).toEqual(['first', 'third']);
});

test('no more run at once than may, no more wait, and what waits comes in its turn', async () => {
  const { begun, work, go } = gated();
  const shared = runs(2, 1);
  const asked = ['a', 'b', 'c'].map((key) => shared.ask(key, never, work(key)));
  await expect(shared.ask('d', never, work('d'))).rejects.toMatchObject({ code: 'TooBusy', retryable: true });
  expect(begun).toEqual(['a', 'b']);
  go('b');
  await vi.waitFor(() => expect(begun).toEqual(['a', 'b', 'c']));
  for (const key of ['a', 'c']) go(key);
  expect(await Promise.all(asked)).toEqual(['a', 'b', 'c']);
});

test('a run ends with the last that asked, running or waiting, and gives its place on', async () => {
  const { begun, ended, work, go } = gated();
  const shared = runs(1, 3);
  const askers = Array.from({ length: 3 }, () => new AbortController());
  const why = new Fault('TimedOut', 'too long');
  const [one, two, queued] = askers.map(({ signal }, at) =>
    shared.ask(at === 2 ? 'b' : 'a', signal, work(`run ${at}`)),
  );
  const last = shared.ask('c', never, work('last'));
  askers[0]?.abort(why);
  await expect(one).rejects.toBe(why);
  expect(ended).toEqual([]);
  askers[2]?.abort(why);
  await expect(queued).rejects.toBe(why);
  askers[1]?.abort(why);
  await expect(two).rejects.toBe(why);
  expect(ended).toEqual(['run 0']);
  await vi.waitFor(() => expect(begun).toEqual(['run 0', 'last']));
  go('last');
  expect(await last).toBe('last');
  await expect(shared.ask('e', askers[0]?.signal ?? never, work('e'))).rejects.toBe(why);
});

test('work that fails tells all that asked, and frees its place', async () => {
  const shared = runs(1, 1);
  const broken = new Fault('NotFound', 'x');
  const fail = () => Promise.reject(broken);
  const both = [shared.ask('a', never, fail), shared.ask('a', never, fail)];
  for (const asked of both) await expect(asked).rejects.toBe(broken);
  expect(await shared.ask('a', never, async () => 'well')).toBe('well');
});
