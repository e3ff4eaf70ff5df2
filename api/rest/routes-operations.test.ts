import { request } from 'node:https';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ApiUnderTest } from '../../test/kubectl/running-api.ts';

type Told = ReturnType<typeof Promise.withResolvers<AbortSignal>>;

let asked: Told;
let under: ApiUnderTest;
beforeAll(async () => {
  const endless = (signal: AbortSignal): Promise<never> => {
    asked.resolve(signal);
    return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  };
  under = await ApiUnderTest.start({
    operations: {
      digest: (_namespace, _name, _sha256, signal) => endless(signal),
      probe: (_source, _namespace, signal) => endless(signal),
    },
  });
});
afterAll(() => under.close());

const base = '/apis/longshore.dev/v1alpha1/namespaces/default';

test.each([
  ['a digest', 'GET', `${base}/datavolumes/a/digest`, undefined],
  [
    'a look at a source',
    'POST',
    `${base}/imageprobes`,
    JSON.stringify({ spec: { source: { http: { url: 'http://127.0.0.1:1/a' } } } }),
  ],
])('%s ends when the client hangs up', async (_what, method, path, body) => {
  asked = Promise.withResolvers();
  const headers = { authorization: `Bearer ${under.adminToken}`, 'content-type': 'application/json' };
  const asking = request(`${under.api.address}${path}`, {
    method,
    headers,
    ca: under.authority.certificate,
    agent: false,
  });
  asking.on('error', () => undefined);
  asking.end(body);
  const signal = await asked.promise;
  expect(signal.aborted).toBe(false);
  const ended = new Promise((resolve) => signal.addEventListener('abort', resolve));
  asking.destroy();
  await ended;
  expect(signal.reason).toMatchObject({ code: 'Cancelled' });
});
