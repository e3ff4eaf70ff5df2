// What the API asks of a worker through the controller ends in the worker when nobody waits for it. Over a real channel; the pool is scripted.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ControllerFixture } from '../../test/controller-fixture.ts';
import type { ControllerOperations } from './operations.ts';

let fixture: ControllerFixture;
beforeEach(async () => {
  fixture = await ControllerFixture.start();
});
afterEach(() => fixture.close());

test.each<['volume.digest' | 'source.probe', (asked: ControllerOperations, signal: AbortSignal) => Promise<unknown>]>([
  ['volume.digest', (asked, signal) => asked.digest('default', 'disk', false, signal)],
  ['source.probe', (asked, signal) => asked.probe({ http: { url: 'http://127.0.0.1:1/disk' } }, 'default', signal)],
])('%s ends with who asked', async (call, ask) => {
  const worker = await fixture.worker();
  await fixture.dataVolume('disk', { source: { blank: {} } });
  await fixture.phase('disk', 'Succeeded');
  const begun = Promise.withResolvers<AbortSignal>();
  worker.channel?.handle(call, (_asked, signal) => {
    begun.resolve(signal);
    return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  });
  const { operations } = fixture.controller ?? {};
  if (operations === undefined) throw new Error('no controller runs');
  const waits = new AbortController();
  const asking = ask(operations, waits.signal);
  const signal = await begun.promise;
  const ended = new Promise((resolve) => signal.addEventListener('abort', resolve));
  const reason = new Error('gone');
  waits.abort(reason);
  await expect(asking).rejects.toMatchObject({ code: 'Cancelled' });
  await ended;
});
