// Uploads through a proxy to a worker, also where one end fails.
import type { IncomingMessage } from 'node:http';
import { createServer, request } from 'node:https';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { workerName } from '../runtime/certificates.ts';
import { closeServer, formatAddress, listenOn } from '../runtime/listen.ts';
import { bytes, claimUid, countBody, ProxyFixture } from '../test/upload-proxy-fixture.ts';

const MiB = 1_048_576;

let proxy: ProxyFixture;
beforeAll(async () => {
  proxy = await ProxyFixture.start();
});
afterAll(() => proxy.close());
beforeEach(() => proxy.reset());

describe('what reaches the worker', () => {
  test('the body, its length and the volume, but no token and no volume that the client names', async () => {
    let seen: IncomingMessage | undefined;
    proxy.handleUpload = async (request, response) => {
      seen = request;
      response.end(String(await countBody(request)));
    };
    const headers = { ...(await proxy.bearer()), 'longshore-volume': 'pvc-other', 'x-cdi-content-type': 'x' };
    const length = 5 * MiB + 17;
    const answer = await proxy.ask({ headers: { ...headers, 'content-length': String(length) }, body: bytes(length) });
    expect(answer).toMatchObject({ status: 200, body: String(length) });
    expect(seen?.headers).toMatchObject({
      'longshore-volume': `pvc-${claimUid}`,
      'content-length': String(length),
      'x-cdi-content-type': 'x',
    });
    expect(seen?.headers.authorization).toBeUndefined();
    expect(seen?.httpVersion).toBe('1.1');
  });

  test('a body without length arrives chunked; v1alpha1 is the same door', async () => {
    proxy.handleUpload = async (request, response) =>
      response.end(`${request.url} ${request.headers['transfer-encoding']} ${await countBody(request)}`);
    const answer = await proxy.ask({
      path: '/v1alpha1/upload-async',
      headers: await proxy.bearer(),
      body: bytes(3 * MiB),
    });
    expect(answer.body).toBe(`/v1beta1/upload-async chunked ${3 * MiB}`);
  });

  test('HEAD on the async path is authenticated and answered by the worker', async () => {
    proxy.handleUpload = (request, response) => response.writeHead(request.method === 'HEAD' ? 200 : 500).end();
    expect(
      (await proxy.ask({ path: '/v1beta1/upload-async', method: 'HEAD', headers: await proxy.bearer() })).status,
    ).toBe(200);
    expect((await proxy.ask({ path: '/v1beta1/upload-async', method: 'HEAD' })).status).toBe(400);
  });

  test('nothing, where the worker of another node answers', async () => {
    const pair = await proxy.authority.issue({
      name: 'elsewhere',
      cn: workerName('elsewhere'),
      hosts: [],
      usages: ['server'],
    });
    const impostor = createServer({ ...pair, requestCert: true }, (_request, response) => response.end('taken'));
    const trueAddress = proxy.workerAddress;
    proxy.workerAddress = formatAddress(await listenOn(impostor, { host: '127.0.0.1', port: 0 }));
    try {
      const answer = await proxy.ask({ headers: await proxy.bearer(), body: Buffer.alloc(10) });
      expect(answer.status).toBe(502);
      expect(answer.body).not.toContain('taken');
    } finally {
      proxy.workerAddress = trueAddress;
      await closeServer(impostor);
    }
  });

  test('one connection serves one upload after the other', async () => {
    const ports = new Set<number | undefined>();
    proxy.handleUpload = async (request, response) => {
      ports.add(request.socket.remotePort);
      response.end(String(await countBody(request)));
    };
    for (let round = 0; round < 3; round += 1) {
      expect((await proxy.ask({ headers: await proxy.bearer(), body: Buffer.alloc(100_000) })).body).toBe('100000');
    }
    expect(ports.size).toBe(1);
  });
});

describe('ends', () => {
  test('an early refusal of the worker reaches a client that is still sending', async () => {
    proxy.handleUpload = (request, response) => {
      response.writeHead(400, { 'longshore-fault': 'ImageTooLarge', connection: 'close' });
      response.write('Saving stream failed: too large');
      request.resume();
      request.once('close', () => response.end());
      setTimeout(() => response.end(), 50);
    };
    const answer = await proxy.ask({
      headers: { ...(await proxy.bearer()), 'content-length': String(1e12) },
      body: bytes(1e12),
    });
    expect(answer).toMatchObject({ status: 400, body: 'Saving stream failed: too large' });
    expect(answer.headers['longshore-fault']).toBe('ImageTooLarge');
  });

  test('a client that goes away ends the upload at the worker, and the next one works', async () => {
    const ended = Promise.withResolvers<string>();
    proxy.handleUpload = (request) => {
      countBody(request).then(
        () => ended.resolve('whole'),
        () => ended.resolve('cut'),
      );
    };
    const { host, port } = proxy.address;
    const headers = { ...(await proxy.bearer()), 'content-length': String(10 * MiB) };
    const call = request({ host, port, ca: proxy.ca, path: '/v1beta1/upload', method: 'POST', headers });
    call.on('error', () => undefined);
    call.write(Buffer.alloc(MiB));
    setTimeout(() => call.destroy(), 100);
    expect(await ended.promise).toBe('cut');
    proxy.handleUpload = async (request, response) => response.end(String(await countBody(request)));
    expect((await proxy.ask({ headers: await proxy.bearer(), body: Buffer.alloc(10) })).body).toBe('10');
  });

  test('a client that falls silent is given up', async () => {
    const ended = Promise.withResolvers<void>();
    proxy.handleUpload = (request) => {
      countBody(request).catch(() => ended.resolve());
    };
    const stalled = new Readable({ read: () => undefined });
    stalled.push(Buffer.alloc(1000));
    const answer = await proxy.ask({ headers: { ...(await proxy.bearer()), 'content-length': '5000' }, body: stalled });
    expect(answer.headers['longshore-fault']).toBe('UploadInterrupted');
    await ended.promise;
    stalled.destroy();
  });

  test('a worker that dies in the middle is 502', async () => {
    proxy.handleUpload = (request) => {
      request.once('data', () => request.socket.destroy());
    };
    const answer = await proxy.ask({
      headers: { ...(await proxy.bearer()), 'content-length': String(1e9) },
      body: bytes(1e9),
    });
    expect([answer.status, answer.headers['longshore-fault']]).toEqual([502, 'UploadUnreachable']);
    expect(answer.body).toMatch(/^error in upload-proxy: /);
  });

  test('no worker at all is 502', async () => {
    const before = proxy.workerAddress;
    proxy.workerAddress = undefined;
    const answer = await proxy.ask({ headers: await proxy.bearer(), body: Buffer.alloc(10) });
    proxy.workerAddress = before;
    expect([answer.status, answer.headers['longshore-fault']]).toEqual([502, 'UploadUnreachable']);
  });

  test('a slow worker holds the client back instead of filling memory', async () => {
    let taken = 0;
    proxy.handleUpload = async (request, response) => {
      for await (const chunk of request) {
        taken += chunk.length;
        if (taken < 8 * MiB) await new Promise((resolve) => setTimeout(resolve, 1));
      }
      response.end();
    };
    let given = 0;
    let ahead = 0;
    const length = 64 * MiB;
    const body = Readable.from(
      (function* chunks() {
        for (; given < length; given += 65_536) {
          ahead = Math.max(ahead, given - taken);
          yield Buffer.alloc(65_536, 7);
        }
      })(),
    );
    const answer = await proxy.ask({ headers: { ...(await proxy.bearer()), 'content-length': String(length) }, body });
    expect(answer.status).toBe(200);
    expect(ahead).toBeLessThan(24 * MiB);
  });

  test('100 is sent only to an upload that is let in', async () => {
    proxy.handleUpload = async (request, response) => response.end(String(await countBody(request)));
    const expectContinue = async (headers: Record<string, string>) => {
      const { host, port } = proxy.address;
      const outcome = Promise.withResolvers<string>();
      const options = { host, port, ca: proxy.ca, path: '/v1beta1/upload', method: 'POST', agent: false } as const;
      const call = request({ ...options, headers: { ...headers, expect: '100-continue', 'content-length': '4' } });
      call.once('continue', () => call.end('abcd'));
      call.once('response', (response) => {
        outcome.resolve(String(response.statusCode));
        call.destroy();
      });
      call.on('error', outcome.reject);
      call.flushHeaders();
      return outcome.promise;
    };
    expect(await expectContinue(await proxy.bearer())).toBe('200');
    expect(await expectContinue({})).toBe('400');
  });
});
