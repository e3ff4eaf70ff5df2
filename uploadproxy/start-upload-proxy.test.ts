// What else the public door answers.
import { request as httpRequest } from 'node:http';
import { connect } from 'node:tls';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ProxyFixture } from '../test/upload-proxy-fixture.ts';

let proxy: ProxyFixture;
beforeAll(async () => {
  proxy = await ProxyFixture.start();
});
afterAll(() => proxy.close());
beforeEach(() => proxy.reset());

describe('a request target of any form', () => {
  /** Sends the text as it is. @returns the first line that comes back, '' where there is none */
  async function sendRaw(text: string): Promise<string> {
    const { promise, resolve } = Promise.withResolvers<string>();
    const socket = connect({ ...proxy.address, ca: proxy.ca }, () => socket.end(text));
    let answer = '';
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      answer += chunk;
    });
    socket.on('error', () => resolve('')); // refused by the parser
    socket.once('close', () => resolve(answer.split('\r\n', 1)[0] ?? ''));
    return promise;
  }

  const rejections: unknown[] = [];
  const keep = (reason: unknown): void => {
    rejections.push(reason);
  };
  beforeAll(() => {
    process.on('unhandledRejection', keep);
  });
  afterAll(() => {
    process.off('unhandledRejection', keep);
  });

  test.each([
    ['GET //', '404'],
    ['GET ///?#', '404'],
    ['POST //v1beta1/upload', '404'],
    ['GET http://[::1', '40'],
    ['GET http://[::1]:99999/', '40'],
    ['GET https://proxy/healthz', '200'],
    ['GET https://proxy/healthz?a=//#b', '200'],
    ['GET https://proxy', '40'],
    ['OPTIONS *', '404'],
    ['GET /%', '404'],
    ['GET /\xff\xfe', '40'],
    [`GET /${'a'.repeat(12_000)}`, '404'],
    [`GET /${'a'.repeat(200_000)}`, ''],
    [`GET ${'/'.repeat(10_000)}`, '404'],
    ['CONNECT worker:443', ''],
  ])('%.40s is answered and hurts nobody', async (line, status) => {
    const answer = await sendRaw(`${line} HTTP/1.1\r\nhost: proxy\r\nconnection: close\r\n\r\n`);
    if (status !== '') expect(answer.split(' ')[1]).toMatch(new RegExp(`^${status}`));
    expect(await proxy.ask({ path: '/healthz', method: 'GET' })).toMatchObject({ status: 200 });
    expect(rejections).toEqual([]);
  });
});

describe('web pages', () => {
  test('a preflight is answered without a token', async () => {
    const headers = {
      origin: 'https://console',
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization',
    };
    const answer = await proxy.ask({ method: 'OPTIONS', headers });
    expect([answer.status, answer.body]).toEqual([200, '']);
    expect(answer.headers).toMatchObject({
      'access-control-allow-origin': '*',
      'access-control-allow-methods': 'POST',
      'access-control-allow-headers': 'authorization',
    });
  });

  test('errors carry the header too, and every answer varies by origin', async () => {
    const answer = await proxy.ask({ headers: { origin: 'https://console' } });
    expect(answer.headers).toMatchObject({ 'access-control-allow-origin': '*', vary: 'Origin' });
    expect((await proxy.ask()).headers['access-control-allow-origin']).toBeUndefined();
  });

  test('health, and nothing else, is open', async () => {
    expect(await proxy.ask({ path: '/healthz', method: 'GET' })).toMatchObject({ status: 200, body: 'OK' });
    expect((await proxy.ask({ path: '/v1beta1/upload-archive', headers: await proxy.bearer() })).status).toBe(404);
  });

  test('plain HTTP is not spoken', async () => {
    const { host, port } = proxy.address;
    const outcome = Promise.withResolvers<string>();
    httpRequest({ host, port }, () => outcome.resolve('answered'))
      .on('error', () => outcome.resolve('refused'))
      .end();
    expect(await outcome.promise).toBe('refused');
  });
});
