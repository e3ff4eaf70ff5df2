// Certificates and proxies as imports meet them: an own CA added, none, verification off; a proxy that forwards or tunnels, and one that wants a password.
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer as createHttpServer, request, type Server } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, connect } from 'node:net';
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
/** What went through the proxy. */
const passed: string[] = [];

function portOf(server: Server): number {
  // Safe: it listens on TCP.
  return (server.address() as AddressInfo).port;
}

async function listen(server: Server): Promise<void> {
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

beforeAll(async () => {
  const work = await mkdtemp(join(tmpdir(), 'longshore-tls-'));
  const names = ['-addext', 'subjectAltName=IP:127.0.0.1', '-subj', '/CN=test'];
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  execFileSync('openssl', ['req', '-x509', ...key, '-keyout', 'key', '-out', 'crt', '-days', '2', ...names], {
    cwd: work,
    stdio: 'ignore',
  });
  authority = await readFile(join(work, 'crt'), 'utf8');
  secure = createHttpsServer({ key: await readFile(join(work, 'key')), cert: authority }, (_from, to) => {
    to.writeHead(200, { 'content-length': raw.length }).end(raw);
  });
  await rm(work, { recursive: true });
  proxy = makeProxy();
  await Promise.all([listen(secure), listen(proxy)]);
  plain = await HostileServer.start();
  plain.set('raw', raw);
  bench = await ImportBench.make();
});

beforeEach(() => {
  passed.length = 0;
});

afterAll(async () => {
  expect(await bench.stagings()).toEqual([]);
  for (const server of [secure, proxy]) {
    server.closeAllConnections();
    server.close();
  }
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

  test('what is no certificate is told', async () => {
    const broken = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
    expect(await importFrom(url(), { certificates: [broken] })).toMatchObject({ code: 'SourceUntrusted', left: [] });
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
