import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, request as startRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Writable } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { passBody } from './pass-body.ts';

/** The two memories of a passing, and more: the end of such a body is told while its last bytes still wait for one of them. */
const content = randomBytes(300_000);

/** Keeps what it gets, a few turns late. */
function slowTarget(kept: Buffer[]): Writable {
  return new Writable({
    highWaterMark: 1,
    write: (piece: Buffer, _encoding, done) => {
      kept.push(Buffer.from(piece));
      turn()
        .then(turn)
        .then(() => done(), done);
    },
  });
}

test('a body whose last bytes have to wait is passed on whole', async () => {
  const kept: Buffer[] = [];
  const passed = Promise.withResolvers<void>();
  const server = createServer({ highWaterMark: 1_048_576 }, async (request: IncomingMessage, response) => {
    while (!request.complete) await turn();
    passBody(request, slowTarget(kept), AbortSignal.timeout(10_000)).then(passed.resolve, passed.reject);
    await passed.promise.catch(() => undefined); // told to the test
    response.end();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  // `address` is an object for what listens on a port.
  const { port } = server.address() as AddressInfo;
  const client = startRequest({ port, host: '127.0.0.1', method: 'POST' });
  client.on('response', (response) => response.resume());
  client.end(content);
  await passed.promise;
  await once(client, 'close');
  server.close();
  expect(Buffer.concat(kept).equals(content)).toBe(true);
});
