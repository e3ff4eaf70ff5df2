// Certificates and proxies as imports meet them: an own CA added, none, verification off; a proxy that forwards or tunnels, and one that wants a password.
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer as createHttpServer, request, type Server } from 'node:http';
import { createSecureServer, type Http2SecureServer } from 'node:http2';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, connect, type Server as NetServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { HttpLocation } from '../../importer/http/http-connection.ts';
import { HostileServer } from './hostile-server.ts';
import { ImportBench } from './import-bench.ts';

const mib = 1_048_576;
const raw = Buffer.concat([Buffer.alloc(1000), randomBytes(2 * mib)]);
const sizeBytes = 4 * mib;
const expected = createHash('sha256')
  .update(Buffer.concat([raw, Buffer.alloc(sizeBytes - raw.length)]))
  .digest('hex');
let bench: ImportBench;
let plain: HostileServer;
let secure: Server;
let proxy: Server;
let authority: string;
/** Speaks HTTP/2 and nothing else. */
let modern: Http2SecureServer;
/** With a certificate that is not to be trusted although its CA is. */
let amiss: Map<string, { server: Server; authority: string }>;
/** What went through the proxy. */
const passed: string[] = [];

function portOf(server: NetServer): number {
  // Safe: it listens on TCP.
  return (server.address() as AddressInfo).port;
}

async function listen(server: NetServer): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, '127.0.0.1', () => resolve());
  await promise;
}

function makeProxy(): Server {
  const right = `Basic ${Buffer.from('me:mine').toString('base64')}`;
  const server = createHttpServer((from, to) => {
    passed.push(`${from.method} ${from.url}`);
    if (from.headers['proxy-authorization'] !== right) return void to.writeHead(407).end();
    const onward = request(from.url ?? '', { headers: from.headers }, (answer) => {
      to.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(to);
    });
    onward.end();
  });
  server.on('connect', (from, socket) => {
    passed.push(`CONNECT ${from.url}`);
    if (from.headers['proxy-authorization'] !== right) return void socket.end('HTTP/1.1 407 No\r\n\r\n');
    const [host = '', port = ''] = (from.url ?? '').split(':');
    const onward = connect(Number(port), host, () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      onward.pipe(socket);
      socket.pipe(onward);
    });
    onward.on('error', () => socket.destroy());
    socket.on('error', () => onward.destroy());
  });
  return server;
}

/** A certificate that signs itself, made by openssl; with `expired` it ended yesterday. */
function certificateOf(work: string, names: string, expired = false): { key: Buffer; cert: string } {
  const openssl = (...words: string[]) => execFileSync('openssl', words, { cwd: work, stdio: 'ignore' });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', 'key'];
  const subject = ['-subj', '/CN=test', '-addext', `subjectAltName=${names}`];
  openssl('req', '-x509', ...key, '-out', 'crt', '-days', '2', ...subject);
  if (expired) openssl('x509', '-in', 'crt', '-signkey', 'key', '-days', '-1', '-out', 'crt');
  return { key: readFileSync(join(work, 'key')), cert: readFileSync(join(work, 'crt'), 'utf8') };
}

function answerRange(from: { headers: Record<string, unknown> }, to: AnyResponse): void {
  const range = /^bytes=(\d+)-(\d+)$/.exec(String(from.headers['range'] ?? ''));
  if (range === null) {
    to.writeHead(200, { 'content-length': raw.length });
    to.end(raw);
    return;
  }
  const part = raw.subarray(Number(range[1]), Number(range[2]) + 1);
  const place = `bytes ${range[1]}-${Number(range[1]) + part.length - 1}/${raw.length}`;
  to.writeHead(206, { 'content-range': place, 'content-length': part.length, etag: '"one"' });
  to.end(part);
}

interface AnyResponse {
  writeHead(status: number, headers: Record<string, string | number>): unknown;
  end(bytes: Buffer): unknown;
}

beforeAll(async () => {
  const work = await mkdtemp(join(tmpdir(), 'longshore-tls-'));
  const good = certificateOf(work, 'IP:127.0.0.1');
  const serve = ({ key, cert }: { key: Buffer; cert: string }) => createHttpsServer({ key, cert }, answerRange);
  authority = good.cert;
  secure = serve(good);
  const [expired, misnamed] = [certificateOf(work, 'IP:127.0.0.1', true), certificateOf(work, 'DNS:elsewhere.example')];
  amiss = new Map([
    ['that has expired', { server: serve(expired), authority: expired.cert }],
    ['of another name', { server: serve(misnamed), authority: misnamed.cert }],
  ]);
  modern = createSecureServer(good, answerRange);
  await rm(work, { recursive: true });
  proxy = makeProxy();
  await Promise.all([secure, proxy, modern, ...[...amiss.values()].map(({ server }) => server)].map(listen));
  plain = await HostileServer.start();
  plain.set('raw', raw);
  bench = await ImportBench.make();
});

beforeEach(() => {
  passed.length = 0;
});

afterAll(async () => {
  expect(await bench.stagings()).toEqual([]);
  for (const server of [secure, proxy, ...[...amiss.values()].map((one) => one.server)]) {
    server.closeAllConnections();
    server.close();
  }
  modern.close();
  await plain.stop();
  await bench.close();
});

function importFrom(url: string, more: Partial<HttpLocation>) {
  const source = { kind: 'http' as const, url, headers: [], certificates: [], insecureSkipVerify: false, ...more };
  return bench.import('', sizeBytes, { source });
}

describe('trust', () => {
  const url = () => `https://127.0.0.1:${portOf(secure)}/raw`;

  test('an unknown CA is refused, permanently', async () => {
    expect(await importFrom(url(), {})).toMatchObject({ code: 'SourceUntrusted', left: [] });
  });

  test('a CA that the user adds is trusted', async () => {
    expect(await importFrom(url(), { certificates: [authority] })).toMatchObject({ sha256: expected });
  });

  test('verification can be turned off', async () => {
    expect(await importFrom(url(), { insecureSkipVerify: true })).toMatchObject({ sha256: expected });
  });

  test.each(['that has expired', 'of another name'])('a certificate %s is refused', async (what) => {
    const { server, authority: own } = amiss.get(what) ?? expect.unreachable();
    const place = `https://127.0.0.1:${portOf(server)}/raw`;
    expect(await importFrom(place, { certificates: [own] })).toMatchObject({ code: 'SourceUntrusted', left: [] });
    expect(await importFrom(place, { insecureSkipVerify: true })).toMatchObject({ sha256: expected });
  });

  test('many certificates in one text, and in several, are all trusted', async () => {
    const others = [...amiss.values()].map((one) => one.authority);
    const certificates = [others.join(''), `of our own:\n${authority}`];
    expect(await importFrom(url(), { certificates })).toMatchObject({ sha256: expected });
  });

  test('what is no certificate is told', async () => {
    const broken = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
    expect(await importFrom(url(), { certificates: [broken] })).toMatchObject({ code: 'SourceUntrusted', left: [] });
  });
});

describe('a server that speaks HTTP/2 and nothing else', () => {
  const url = () => `https://127.0.0.1:${portOf(modern)}/raw`;

  test('is read, with its certificate looked at', async () => {
    expect(await importFrom(url(), { certificates: [authority] })).toMatchObject({ detail: '', sha256: expected });
    expect(await importFrom(url(), {})).toMatchObject({ code: 'SourceUntrusted', left: [] });
  });

  test('is read by a proxy', async () => {
    const way = { certificates: [authority], proxy: { https: `http://me:mine@127.0.0.1:${portOf(proxy)}` } };
    expect(await importFrom(url(), way)).toMatchObject({ detail: '', sha256: expected });
  });
});

describe('a proxy', () => {
  const address = (user: string) => `http://${user}127.0.0.1:${portOf(proxy)}`;

  test('forwards http and tunnels https, with its own password', async () => {
    const both = { http: address('me:mine@'), https: address('me:mine@') };
    const overHttp = await importFrom(plain.url('ranges', 'raw'), { proxy: both });
    expect(overHttp).toMatchObject({ sha256: expected });
    expect(passed.every((line) => line.startsWith('GET http://'))).toBe(true);
    passed.length = 0;
    const secured = { proxy: both, certificates: [authority] };
    expect(await importFrom(`https://127.0.0.1:${portOf(secure)}/raw`, secured)).toMatchObject({ sha256: expected });
    expect(passed).toEqual([`CONNECT 127.0.0.1:${portOf(secure)}`]);
  });

  test('is left aside for what NO_PROXY names', async () => {
    const settings = { http: address('me:mine@'), no: 'localhost,127.0.0.0/8' };
    expect(await importFrom(plain.url('ranges', 'raw'), { proxy: settings })).toMatchObject({ sha256: expected });
    expect(passed).toEqual([]);
  });

  test('that refuses its password ends the import', async () => {
    const both = { http: address(''), https: address('') };
    const overHttp = await importFrom(plain.url('ranges', 'raw'), { proxy: both });
    const overHttps = await importFrom(`https://127.0.0.1:${portOf(secure)}/raw`, { proxy: both });
    expect(overHttp).toMatchObject({ code: 'SourceRefused', left: [] });
    expect(overHttps).toMatchObject({ code: 'SourceUnreachable', left: [] });
    expect(overHttps.detail).toContain('the proxy refused the tunnel');
  });
});
