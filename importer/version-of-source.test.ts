// What version a web server tells, seen over real connections.
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadConfig } from '../runtime/config.ts';
import { findPrograms } from '../runtime/programs.ts';
import { versionOfSource } from './version-of-source.ts';

const content = Buffer.alloc(100_000, 7);
const monday = 'Mon, 23 Nov 2026 10:00:00 GMT';
const config = loadConfig({ LONGSHORE_SOURCE_ALLOW: '127.0.0.0/8' });
/** By path; each may look at the request. */
const answers: Record<string, (response: ServerResponse, range: string | undefined) => void> = {
  '/whole': (response) => response.setHeader('etag', '"v1"').end(content),
  '/dated': (response) => response.setHeader('last-modified', monday).end(content),
  '/both': (response) => response.setHeader('last-modified', monday).setHeader('etag', '"v1"').end(content),
  // Written just now: what comes within the same second may have the same date.
  '/new': (response) =>
    response.setHeader('last-modified', new Date().toUTCString()).setHeader('etag', '"v1"').end(content),
  '/new-and-dated': (response) => {
    const headers = { date: monday, 'last-modified': monday, etag: '"v1"', 'content-length': content.length };
    response.sendDate = false;
    response.writeHead(200, headers).end(content);
  },
  '/weak': (response) => response.setHeader('etag', 'W/"v1"').end(content),
  '/chunked': (response) => {
    response.setHeader('etag', '"v1"').write(content);
    response.end(content);
  },
  '/mute': (response) => response.end(content),
  '/gone': (response) => response.writeHead(404).end(),
  '/ranges': (response, range) => {
    if (range !== 'bytes=0-65535') return response.writeHead(400).end();
    const headers = { etag: '"v1"', 'content-range': `bytes 0-65535/${content.length}` };
    return response.writeHead(206, headers).end(content.subarray(0, 65_536));
  },
  '/moved': (response) => response.writeHead(302, { location: '/whole' }).end(),
  // Headers, and then silence: the version is told without waiting for the content.
  '/slow': (response) => response.writeHead(200, { etag: '"v1"', 'content-length': content.length }).write('x'),
};
let server: Server;
let origin: string;

beforeAll(async () => {
  server = createServer((request, response) => answers[request.url ?? '']?.(response, request.headers.range));
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, '127.0.0.1', () => resolve());
  await promise;
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`; // Safe: it listens on TCP.
});

afterAll(() => {
  server.closeAllConnections();
  server.close();
});

function look(path: string, signal = new AbortController().signal) {
  const location = { kind: 'http' as const, url: `${origin}${path}` };
  const source = { ...location, headers: [], certificates: [], insecureSkipVerify: false };
  return versionOfSource(source, { config, programs: findPrograms([]), signal });
}

const bytes = content.length;

test.for([
  ['/whole', { etag: '"v1"', bytes }],
  ['/ranges', { etag: '"v1"', bytes }],
  ['/dated', { lastModified: monday, bytes }],
  ['/both', { etag: '"v1"', lastModified: monday, bytes }],
  ['/new', { etag: '"v1"', bytes }],
  ['/new-and-dated', { etag: '"v1"', bytes }],
  ['/weak', { etag: 'W/"v1"', bytes }],
  ['/chunked', { etag: '"v1"' }],
  ['/moved', { etag: '"v1"', bytes }],
  ['/slow', { etag: '"v1"', bytes }],
] as const)('the version of %s is told', async ([path, version]) => {
  expect(await look(path)).toEqual(version);
});

test.for([
  ['/mute', 'UnsupportedSource'],
  ['/gone', 'SourceNotFound'],
])('%s ends in %s', async ([path = '', code]) => {
  await expect(look(path)).rejects.toMatchObject({ code });
});

test('an abort ends the look', async () => {
  await expect(look('/whole', AbortSignal.abort())).rejects.toMatchObject({ code: 'Cancelled' });
});
