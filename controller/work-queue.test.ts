// The queue of rounds: one at a time for each key, none lost, errors repeated, and an end that waits for what runs.
import { afterEach, expect, test, vi } from 'vitest';
import { WorkQueue } from './work-queue.ts';

type Work = (key: string) => Promise<number | undefined>;

let queue: WorkQueue | undefined;
afterEach(() => queue?.stop());

function queueOf(work: Work, more: { concurrency?: number; errors?: unknown[] } = {}): WorkQueue {
  const { concurrency = 4, errors = [] } = more;
  queue = new WorkQueue({
    work,
    concurrency,
    retryBaseMs: 1,
    retryCapMs: 4,
    onError: (_key, error) => errors.push(error),
  });
  queue.begin();
  return queue;
}

/** Rounds that wait until they are let go. */
function gated(): { work: Work; begun: string[]; go(): void } {
  const begun: string[] = [];
  const waiting: (() => void)[] = [];
  const work: Work = (key) => {
    begun.push(key);
    return new Promise((resolve) => waiting.push(() => resolve(undefined)));
  };
  return { work, begun, go: () => waiting.shift()?.() };
}

test('before it begins keys are only collected', async () => {
  const begun: string[] = [];
  const early = new WorkQueue({
    ...{ concurrency: 2, retryBaseMs: 1, retryCapMs: 1, onError: () => undefined },
    work: async (key) => {
      begun.push(key);
      return undefined;
    },
  });
  for (const key of ['a', 'b', 'a']) early.add(key);
  const ran = early.run('c');
  expect(begun).toEqual([]);
  early.begin();
  await ran;
  expect(begun).toEqual(['a', 'b', 'c']);
  await early.stop();
});

test('a key that is added many times while its round runs gets one round more', async () => {
  const { work, begun, go } = gated();
  const under = queueOf(work);
  for (let n = 0; n < 5; n += 1) under.add('a');
  expect(begun).toEqual(['a']);
  for (let n = 0; n < 5; n += 1) under.add('a');
  go();
  await vi.waitFor(() => expect(begun).toEqual(['a', 'a']));
  go();
  // The next key begins when the last round of this one has ended.
  under.add('b');
  await vi.waitFor(() => expect(begun).toEqual(['a', 'a', 'b']));
  go();
});

test('rounds of one key never overlap, and no more run at once than allowed', async () => {
  let [running, most] = [0, 0];
  const inside = new Set<string>();
  const under = queueOf(
    async (key) => {
      expect(inside.has(key)).toBe(false);
      inside.add(key);
      running += 1;
      most = Math.max(most, running);
      await new Promise(setImmediate);
      running -= 1;
      inside.delete(key);
      return undefined;
    },
    { concurrency: 3 },
  );
  const keys = Array.from({ length: 200 }, (_, n) => `k${n % 20}`);
  await Promise.all(keys.map((key) => under.run(key)));
  expect(most).toBe(3);
});

test('who runs a key waits for a round that begins after it asked', async () => {
  const { work, begun, go } = gated();
  const under = queueOf(work);
  under.add('a');
  let done = false;
  const ran = under.run('a').then(() => {
    done = true;
  });
  go();
  await vi.waitFor(() => expect(begun).toEqual(['a', 'a']));
  expect(done).toBe(false);
  go();
  await ran;
});

test('a round that fails is repeated until it does well, and its waiters are told of the first failure', async () => {
  const errors: unknown[] = [];
  let rounds = 0;
  const under = queueOf(
    async () => {
      rounds += 1;
      if (rounds < 4) throw new Error(`round ${rounds}`);
      return undefined;
    },
    { errors },
  );
  await expect(under.run('a')).rejects.toThrow('round 1');
  await vi.waitFor(() => expect(rounds).toBe(4));
  expect(errors.map(String)).toEqual(['Error: round 1', 'Error: round 2', 'Error: round 3']);
});

test('a round may ask for another look; the earlier of two wishes holds, and an add makes both needless', async () => {
  const seen: string[] = [];
  const under = queueOf(async (key) => {
    seen.push(key);
    return key === 'again' && seen.length < 3 ? 1 : undefined;
  });
  under.add('again');
  await vi.waitFor(() => expect(seen).toEqual(['again', 'again', 'again']));
  under.addAfter('later', 60_000);
  under.addAfter('later', 1);
  under.addAfter('later', 60_000);
  await vi.waitFor(() => expect(seen.at(-1)).toBe('later'));
});

test('stopping waits for the round that runs, refuses what waits, and begins nothing more', async () => {
  const { work, begun, go } = gated();
  const under = queueOf(work, { concurrency: 1 });
  under.add('a');
  const refused = expect(under.run('b')).rejects.toMatchObject({ code: 'Interrupted' });
  under.addAfter('c', 1);
  let stopped = false;
  const stopping = under.stop().then(() => {
    stopped = true;
  });
  await refused;
  expect(stopped).toBe(false);
  go();
  await stopping;
  under.add('d');
  await expect(under.run('e')).rejects.toMatchObject({ code: 'Interrupted' });
  expect(begun).toEqual(['a']);
});
