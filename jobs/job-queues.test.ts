// The asking end against a real Redis; what becomes of jobs is tried in job-consumer.test.ts.
import { expect, test } from 'vitest';
import { Fault } from '../domain/fault.ts';
import { RedisFixture } from '../test/redis-fixture.ts';
import { openRedis } from './connection.ts';
import { JobQueues } from './job-queues.ts';
import type { JobPayload } from './payload.ts';

const payload: JobPayload = {
  ...{ schemaVersion: 1, operation: 'import', attempt: 1, generation: 1 },
  volumeId: 'pvc-00000000-0000-0000-0000-000000000001',
};

test('who has lost its licence puts no job into a queue and takes none out', async () => {
  await using undo = new AsyncDisposableStack();
  const server = await RedisFixture.start();
  undo.defer(() => server.close());
  const redis = await openRedis(server.url);
  undo.defer(() => redis.disconnect());
  let isHeld = true;
  const assertHeld = () => {
    if (!isHeld) throw new Fault('Interrupted', 'another leads');
  };
  const licensed = new JobQueues(redis, { assertHeld });
  const queues = new JobQueues(redis);
  undo.defer(() => Promise.all([licensed.close(), queues.close()]).then(() => undefined));

  await licensed.add('n1', payload);
  isHeld = false;
  const taken = { code: 'Interrupted', detail: 'another leads' };
  await expect(licensed.add('n1', { ...payload, attempt: 2 })).rejects.toMatchObject(taken);
  await expect(licensed.remove('n1', payload)).rejects.toMatchObject(taken);
  expect(await queues.has('n1', payload)).toBe(true);
  expect(await queues.has('n1', { ...payload, attempt: 2 })).toBe(false);
});
