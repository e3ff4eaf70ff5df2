// Requests by a proxy, and to a server that speaks HTTP/2 and nothing else, where either misbehaves.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createSecureServer, type Http2SecureServer, type ServerHttp2Stream } from 'node:http2';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { loadConfig } from '../../runtime/config.ts';
import { temporaryDirectory } from '../../test/temporary-directory.ts';
import { chunksOf } from './answer-chunks.ts';
import { HttpTransport } from './http-transport.ts';

const limits = { idleTimeoutMs: 10_000 };
const half = Buffer.alloc(1_000_000, 7);
let proxy: Server | undefined;

afterEach(() => proxy?.close());

/** Answers with half of a body that has no length, and resets. */
function breakOff(socket: Socket): void {
  socket.on('error', () => undefined);
  socket.write('HTTP/1.0 200 OK\r\n\r\n');
  socket.write(half, () => setTimeout(() => socket.resetAndDestroy(), 50));
}

test('a reset by the proxy is no end of a body that has no length', async () => {
  proxy = createServer((socket) => socket.once('data', () => breakOff(socket))).listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  // `address` is an object for what listens on a port.
  const http = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  const { signal } = new AbortController();
  const trust = { certificates: [], insecureSkipVerify: false };
  const transport = new HttpTransport({ ...trust, proxy: { http } }, loadConfig({}), signal);
  const answer = await transport.send(new URL('http://images.example.test/disk'), {});
  const reading = (async () => {
    for await (const _ of chunksOf(answer, { limits, signal }));
  })();
  await expect(reading).rejects.toMatchObject({ code: 'SourceInterrupted' });
  await transport.close();
});

test('bytes after the end are noticed also by a proxy', async () => {
  const tooMuch = 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nbytes and more';
  proxy = createServer((socket) => socket.once('data', () => socket.write(tooMuch))).listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  // `address` is an object for what listens on a port.
  const http = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  const { signal } = new AbortController();
  const trust = { certificates: [], insecureSkipVerify: false };
  const transport = new HttpTransport({ ...trust, proxy: { http } }, loadConfig({}), signal);
  const answer = await transport.send(new URL('http://images.example.test/disk'), {});
  for await (const _ of chunksOf(answer, { limits, signal }));
  await expect.poll(() => transport.sentTooMuch).toBe(true);
  await transport.close();
});

describe('a server of HTTP/2', () => {
  const undo = new AsyncDisposableStack();
  let server: Http2SecureServer;
  let transport: HttpTransport;
  let answer: (stream: ServerHttp2Stream) => void;
  const { signal } = new AbortController();
  // `address` is an object for what listens on a port.
  const url = () => new URL(`https://127.0.0.1:${(server.address() as AddressInfo).port}/disk`);

  beforeAll(async () => {
    const work = await temporaryDirectory(undo, 'http2');
    const made = [
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
      '-nodes',
      '-keyout',
      'key',
      '-out',
      'cert',
    ];
    const names = ['-subj', '/CN=test', '-addext', 'subjectAltName=IP:127.0.0.1'];
    execFileSync('openssl', ['req', '-x509', ...made, ...names], { cwd: work, stdio: 'ignore' });
    const cert = readFileSync(join(work, 'cert'), 'utf8');
    server = createSecureServer({ key: readFileSync(join(work, 'key')), cert });
    server.on('stream', (stream) => {
      stream.on('error', () => undefined);
      answer(stream);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    undo.defer(() => void server.close());
    const trust = { certificates: [cert], insecureSkipVerify: false };
    transport = new HttpTransport(trust, loadConfig({ LONGSHORE_SOURCE_ALLOW: '127.0.0.0/8' }), signal);
    undo.defer(() => transport.close());
  });

  afterAll(() => undo.disposeAsync());

  test('is found to speak nothing else by several requests at once', async () => {
    answer = (stream) => {
      stream.respond({ ':status': 200 });
      stream.end('whole');
    };
    const answers = await Promise.all([1, 2, 3].map(() => transport.send(url(), {})));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
    for (const { body } of answers) body.destroy();
  });

  test.each<[string, (stream: ServerHttp2Stream) => void]>([
    ['that resets the stream', (stream) => stream.destroy(new Error('reset'))],
    ['that ends the connection', (stream) => stream.session?.destroy()],
  ])('%s has not ended a body that has no length', async (_, breakIt) => {
    answer = (stream) => {
      stream.respond({ ':status': 200 });
      stream.write(half.subarray(0, 10_000), () => setTimeout(() => breakIt(stream), 50));
    };
    const given = await transport.send(url(), {});
    const reading = (async () => {
      for await (const _ of chunksOf(given, { limits, signal }));
    })();
    await expect(reading).rejects.toMatchObject({ code: 'SourceInterrupted' });
  });
});
