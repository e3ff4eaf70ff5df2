import { expect, test } from 'vitest';
import { Fault } from '../domain/fault.ts';
import { beginLeading, lossOf } from './begin-leading.ts';

const never = () => new Promise<never>(() => undefined);
const held = () => new AbortController();

test('what was begun in time is handed on', async () => {
  expect(await beginLeading(held().signal, 60_000, async () => 'addresses')).toBe('addresses');
});

test('a beginning that waits for something in vain ends, so that another may lead', async () => {
  await expect(beginLeading(held().signal, 10, never)).rejects.toMatchObject({ code: 'TimedOut' });
});

test('a lease that is lost in the beginning, or was lost before it, ends it', async () => {
  const lease = held();
  const begun = beginLeading(lease.signal, 60_000, never);
  lease.abort(new Fault('Conflict', 'the lease was taken by another'));
  await expect(begun).rejects.toMatchObject({ code: 'Conflict' });
  await expect(beginLeading(lease.signal, 60_000, never)).rejects.toMatchObject({ code: 'Conflict' });
  await expect(lossOf(lease.signal)).rejects.toMatchObject({ code: 'Conflict' });
});

test('a beginning that fails tells why', async () => {
  const fails = async () => {
    throw new Fault('RedisUnavailable', 'x');
  };
  await expect(beginLeading(held().signal, 60_000, fails)).rejects.toMatchObject({ code: 'RedisUnavailable' });
});
