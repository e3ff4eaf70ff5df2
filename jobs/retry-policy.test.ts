import { describe, expect, test } from 'vitest';
import { Fault } from '../domain/fault.ts';
import type { FaultCode } from '../domain/fault-catalogue.ts';
import { type FailedAttempt, planRetry } from './retry-policy.ts';

const config = { attemptLimit: 4, backoffBaseMs: 1_000, backoffCapMs: 5_000, byteBudgetFactor: 2 };
const mebibyte = 1024 * 1024;

function plan(failed: Partial<FailedAttempt> & { code?: FaultCode }) {
  const { code = 'SourceInterrupted', ...rest } = failed;
  const fault = new Fault(code, 'why');
  return planRetry({ fault, attempt: 1, bytesFetched: 0, config, chance: 1, ...rest });
}

describe('planRetry', () => {
  test('a permanent fault makes one attempt only', () => {
    expect(plan({ code: 'SourceNotFound' })).toMatchObject({ retry: false, fault: { code: 'SourceNotFound' } });
  });

  test('the delay doubles up to the cap', () => {
    const delays = [1, 2, 3].map((attempt) => plan({ attempt }));
    expect(delays).toEqual([1_000, 2_000, 4_000].map((delayMs) => ({ retry: true, delayMs })));
    expect(plan({ attempt: 9, config: { ...config, attemptLimit: 100 } })).toEqual({ retry: true, delayMs: 5_000 });
  });

  test('a source that asks for a longer pause than the delay gets it, up to an hour', () => {
    const code = 'SourceUnavailable';
    const asks = (retryAfterSeconds: number) => ({ fault: new Fault(code, 'why', { facts: { retryAfterSeconds } }) });
    expect(plan(asks(500))).toEqual({ retry: true, delayMs: 500_000 });
    expect(plan(asks(0))).toEqual(plan({ code }));
    expect(plan(asks(1_000_000))).toEqual({ retry: true, delayMs: 3_600_000 });
  });

  test('chance spreads the delay over its upper half', () => {
    expect(plan({ chance: 0 })).toEqual({ retry: true, delayMs: 500 });
  });

  test('the limit of attempts ends it and names the last fault', () => {
    const end = plan({ attempt: 4 });
    expect(end).toMatchObject({ retry: false, fault: { code: 'BudgetExhausted' } });
    expect(end.retry === false && end.fault.detail).toContain('SourceInterrupted: why');
  });

  test('the byte budget ends it, whatever failed', () => {
    const sourceBytes = 100 * mebibyte;
    expect(plan({ bytesFetched: 199 * mebibyte, sourceBytes })).toMatchObject({ retry: true });
    expect(plan({ bytesFetched: 200 * mebibyte, sourceBytes })).toMatchObject({ fault: { code: 'BudgetExhausted' } });
    expect(plan({ code: 'Interrupted', bytesFetched: 200 * mebibyte, sourceBytes })).toMatchObject({ retry: false });
  });

  test('a small source may be probed more often than its size allows', () => {
    expect(plan({ bytesFetched: 10_000, sourceBytes: 512 })).toMatchObject({ retry: true });
  });

  test.each<FaultCode>([
    'NoSpace',
    'PoolFull',
    'PoolMissing',
    'RedisUnavailable',
    'StoreUnavailable',
    'NodeLost',
    'Quota',
  ])('what is wrong with this machine is waited for without limit: %s', (code) => {
    const spent = { attempt: 50, bytesFetched: 900 * mebibyte, sourceBytes: 100 * mebibyte };
    expect(plan({ code, ...spent })).toEqual({ retry: true, delayMs: 5_000 });
    expect(plan({ code, ...spent, attempt: 2, countedAttempts: 0 })).toEqual({ retry: true, delayMs: 2_000 });
  });

  test('memory that an image may want too much of is not', () => {
    expect(plan({ code: 'OutOfMemory', attempt: 4 })).toMatchObject({ fault: { code: 'BudgetExhausted' } });
  });

  test('an interrupted attempt does not count', () => {
    expect(plan({ code: 'Interrupted', attempt: 50 })).toEqual({ retry: true, delayMs: 1_000 });
    expect(plan({ attempt: 50, countedAttempts: 1 })).toEqual({ retry: true, delayMs: 1_000 });
  });
});
