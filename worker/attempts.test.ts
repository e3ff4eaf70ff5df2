import { describe, expect, test } from 'vitest';
import { Fault } from '../domain/fault.ts';
import { Attempts } from './attempts.ts';

const never = new AbortController().signal;
const key = (attempt: number) => ({ volumeId: 'pvc-1', attempt, operation: 'import' as const });
const enough = new Fault('Cancelled', 'enough');

/** Runs until its signal aborts, then takes a turn to clean up. */
function endless(log: string[]) {
  return (signal: AbortSignal) =>
    new Promise<void>((_resolve, reject) => {
      signal.addEventListener('abort', () => {
        setImmediate(() => {
          log.push(signal.reason.code);
          reject(signal.reason);
        });
      });
    });
}

describe('attempts', () => {
  test('a second run of the same attempt joins the first', async () => {
    const attempts = new Attempts();
    const release = Promise.withResolvers<void>();
    let runs = 0;
    const work = async () => {
      runs += 1;
      await release.promise;
    };
    const both = [attempts.run(key(1), never, work), attempts.run(key(1), never, work)];
    expect(attempts.list()).toEqual([{ volumeId: 'pvc-1', attempt: 1 }]);
    release.resolve();
    await Promise.all(both);
    expect(runs).toBe(1);
    expect(attempts.size).toBe(0);
  });

  test('another operation of the same attempt waits for the first and then runs', async () => {
    const attempts = new Attempts();
    const order: string[] = [];
    const first = attempts.run({ ...key(1), operation: 'upload' }, never, async () => {
      await new Promise(setImmediate);
      order.push('upload');
    });
    const second = attempts.run({ ...key(1), operation: 'convert' }, never, async () => void order.push('convert'));
    await Promise.all([first, second]);
    expect(order).toEqual(['upload', 'convert']);
  });

  test('a later attempt ends the earlier one before it begins', async () => {
    const attempts = new Attempts();
    const log: string[] = [];
    const first = attempts.run(key(1), never, endless(log)).catch((fault: Fault) => fault.code);
    await new Promise(setImmediate);
    await attempts.run(key(2), never, async () => void log.push('second'));
    expect(log).toEqual(['StaleAttempt', 'second']);
    expect(await first).toBe('StaleAttempt');
  });

  test('an earlier attempt is refused while a later one runs', async () => {
    const attempts = new Attempts();
    const later = attempts.run(key(2), never, endless([])).catch(() => undefined);
    const earlier = attempts.run(key(1), never, async () => undefined);
    await expect(earlier).rejects.toMatchObject({ code: 'StaleAttempt' });
    await attempts.endAll(enough);
    await later;
  });

  test('ending waits until everything is cleaned up; what does not run is no error', async () => {
    const attempts = new Attempts();
    const log: string[] = [];
    const run = attempts.run(key(1), never, endless(log)).catch(() => undefined);
    await new Promise(setImmediate);
    expect(await attempts.end(key(1), enough)).toBe(true);
    expect(log).toEqual(['Cancelled']);
    expect(await attempts.end(key(1), enough)).toBe(false);
    await run;
  });

  test('the signal from outside ends it too', async () => {
    const attempts = new Attempts();
    const outer = new AbortController();
    const run = attempts.run(key(1), outer.signal, endless([]));
    outer.abort(new Fault('Interrupted', 'lock lost'));
    await expect(run).rejects.toMatchObject({ code: 'Interrupted' });
  });

  test('who waits for an outcome hears it, or the reason of his own signal', async () => {
    const attempts = new Attempts();
    const abort = new AbortController();
    const heard = attempts.outcomeOf(key(1), never);
    const gone = attempts.outcomeOf(key(1), abort.signal);
    abort.abort(enough);
    await expect(gone).rejects.toMatchObject({ code: 'Cancelled' });
    const outcome = { ok: false as const, fault: { ...enough, nextStep: '', retryable: false }, bytesFetched: 0 };
    attempts.announce(key(1), outcome);
    expect(await heard).toBe(outcome);
  });
});
