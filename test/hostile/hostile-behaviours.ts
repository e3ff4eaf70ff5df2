// The ways in which the hostile server misbehaves, each by its name.
import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { gzipSync } from 'node:zlib';
import type { HostileServer } from './hostile-server.ts';

type Behaviour = (content: Buffer, request: IncomingMessage, response: ServerResponse, server: HostileServer) => void;

function etagOf(content: Buffer): string {
  return `"${createHash('sha256').update(content).digest('hex').slice(0, 16)}"`;
}

/** Body of an honest answer with ranges; `change` may spoil it. */
function ranged(
  content: Buffer,
  request: IncomingMessage,
  response: ServerResponse,
  server: HostileServer,
  change: { etag?: string; noValidator?: boolean; total?: string } = {},
): void {
  const match = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
  const etag = change.etag ?? etagOf(content);
  const validator = change.noValidator === true ? {} : { etag };
  const ifRange = [request.headers['if-range']].flat()[0];
  if (match === null || (ifRange !== undefined && ifRange !== etag)) {
    response.writeHead(200, { 'content-length': content.length, 'accept-ranges': 'bytes', ...validator });
    send(server, response, content);
    return;
  }
  const start = Number(match[1]);
  const end = Math.min(content.length, match[2] === '' ? content.length : Number(match[2]) + 1);
  if (start >= content.length) {
    response.writeHead(416, { 'content-range': `bytes */${content.length}` }).end();
    return;
  }
  const total = change.total ?? String(content.length);
  response.writeHead(206, {
    'content-length': end - start,
    'content-range': `bytes ${start}-${end - 1}/${total}`,
    ...validator,
  });
  send(server, response, content.subarray(start, end));
}

function send(server: HostileServer, response: ServerResponse, bytes: Buffer): void {
  server.sentBytes += bytes.length;
  response.end(bytes);
}

/** Sends a part and breaks the connection. */
function sendAndBreak(server: HostileServer, response: ServerResponse, bytes: Buffer): void {
  server.sentBytes += bytes.length;
  response.write(bytes, () => response.socket?.destroySoon());
}

function status(code: number): Behaviour {
  return (_content, _request, response) => response.writeHead(code).end('no');
}

export const behaviours: Readonly<Record<string, Behaviour>> = {
  ranges: ranged,
  'no-ranges': (content, _request, response, server) => {
    response.writeHead(200, { 'content-length': content.length });
    send(server, response, content);
  },
  'no-length': (content, _request, response, server) => {
    response.writeHead(200, { 'transfer-encoding': 'chunked' });
    send(server, response, content);
  },
  'two-lengths': (content, _request, response) => {
    response.socket?.write(`HTTP/1.1 200 OK\r\nContent-Length: ${content.length}\r\nContent-Length: 1\r\n\r\n`);
    response.socket?.end(content);
  },
  'length-and-chunks': (content, _request, response) => {
    response.socket?.write('HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n');
    response.socket?.write(`${content.length.toString(16)}\r\n`);
    response.socket?.write(content);
    response.socket?.end('\r\n0\r\n\r\n');
  },
  'large-headers': (_content, _request, response) => response.writeHead(200, { 'x-large': 'x'.repeat(100_000) }).end(),
  'close-delimited': (content, _request, response, server) => {
    response.socket?.write('HTTP/1.0 200 OK\r\n\r\n');
    response.socket?.end(content);
    server.sentBytes += content.length;
  },
  'no-validator': (content, request, response, server) =>
    ranged(content, request, response, server, { noValidator: true }),
  'unknown-total': (content, request, response, server) => ranged(content, request, response, server, { total: '*' }),
  'declares-more': (content, _request, response, server) => {
    response.writeHead(200, { 'content-length': content.length + 100_000 });
    sendAndBreak(server, response, content);
  },
  'declares-less': (content, _request, response, server) => {
    const less = content.length - 1000;
    response.socket?.write(`HTTP/1.1 200 OK\r\nContent-Length: ${less}\r\n\r\n`);
    response.socket?.end(content);
    server.sentBytes += content.length;
  },
  'breaks-chunked': (content, _request, response, server) => {
    response.writeHead(200, { 'transfer-encoding': 'chunked' });
    sendAndBreak(server, response, content.subarray(0, content.length / 2));
  },
  /** The second request, which asks for the rest, is broken in the middle; the third is served. */
  'drops-once': (content, request, response, server) => {
    if (server.seen.length !== 2) return ranged(content, request, response, server);
    const start = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
    const end = start + Math.floor((content.length - start) / 2);
    const range = `bytes ${start}-${content.length - 1}/${content.length}`;
    response.writeHead(206, {
      'content-range': range,
      'content-length': content.length - start,
      etag: etagOf(content),
    });
    sendAndBreak(server, response, content.subarray(start, end));
  },
  /** Resets the connection (RST) in the middle of the rest, once. */
  'resets-once': (content, request, response, server) => {
    if (server.seen.length !== 2) return ranged(content, request, response, server);
    const start = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
    const range = `bytes ${start}-${content.length - 1}/${content.length}`;
    response.writeHead(206, {
      'content-range': range,
      'content-length': content.length - start,
      etag: etagOf(content),
    });
    response.write(content.subarray(start, start + 500_000), () => response.socket?.resetAndDestroy());
  },
  /** Takes a range that reaches beyond the end for one that cannot be had. */
  'strict-end': (content, request, response, server) => {
    const last = Number(/^bytes=\d+-(\d+)$/.exec(request.headers.range ?? '')?.[1] ?? 0);
    if (last < content.length) return ranged(content, request, response, server);
    response.writeHead(416, { 'content-range': `bytes */${content.length}` }).end();
  },
  /** Another content each time, always with the same ETag. */
  'etag-lies': (content, request, response, server) => {
    const other = Buffer.from(content);
    other.fill(server.seen.length, content.length - 100_000);
    ranged(other, request, response, server, { etag: '"always"' });
  },
  /** HTTP/1.0, without a length: nobody tells the end from a break. */
  'half-and-closed': (content, _request, response, server) => {
    response.socket?.write('HTTP/1.0 200 OK\r\n\r\n');
    response.socket?.end(content.subarray(0, content.length / 2));
    server.sentBytes += content.length / 2;
  },
  'half-and-reset': (content, _request, response, server) => {
    response.socket?.write('HTTP/1.0 200 OK\r\n\r\n');
    const { socket } = response;
    socket?.write(content.subarray(0, content.length / 2), () => setTimeout(() => socket.resetAndDestroy(), 50));
    server.sentBytes += content.length / 2;
  },
  /** The rest of the content fails three times, without a word when to come again. */
  'fails-thrice': (content, request, response, server) => {
    if (server.seen.length === 1 || server.seen.length > 4) return ranged(content, request, response, server);
    response.writeHead(500).end();
  },
  'always-drops': (content, request, response, server) => {
    if (server.seen.length === 1) return ranged(content, request, response, server);
    response.socket?.destroy();
  },
  'changes-etag': (content, request, response, server) =>
    ranged(content, request, response, server, { etag: `"${server.seen.length}"` }),
  /** Ignores If-Range and the change shows only in the ETag. */
  'changes-silently': (content, request, response, server) => {
    delete request.headers['if-range'];
    ranged(content, request, response, server, { etag: `"${server.seen.length}"` });
  },
  shrinks: (content, request, response, server) => {
    delete request.headers['if-range'];
    const now = server.seen.length === 1 ? content : content.subarray(0, 65_536);
    ranged(now, request, response, server, { etag: '"same"' });
  },
  stalls: (content, _request, response, server) => {
    response.writeHead(200, { 'content-length': content.length });
    response.write(content.subarray(0, 1000));
    server.sentBytes += 1000;
  },
  'never-answers': () => undefined,
  redirect: (_content, _request, response, server) => response.writeHead(302, { location: server.redirectTo }).end(),
  /** `/redirects-5/name`: five redirects, then the content. */
  'redirects-5': (content, request, response, server) => {
    const [path = '', left = '5'] = (request.url ?? '').split('?');
    if (left === '0') return ranged(content, request, response, server);
    response.writeHead(307, { location: `${path}?${Number(left) - 1}` }).end();
  },
  /** Each request is sent to another mirror in turn, of which the second is broken. */
  mirrors: (content, request, response, server) => {
    const [path = '', mirror] = (request.url ?? '').split('?');
    if (mirror === undefined) {
      const turn = server.seen.filter((seen) => seen.path === path).length;
      return void response.writeHead(302, { location: `${path}?${turn % 3}` }).end();
    }
    if (mirror === '2') return void response.socket?.destroy();
    // The first mirror goes away after its first answer.
    if (mirror === '1' && request.headers['if-range'] !== undefined) return void response.writeHead(503).end();
    ranged(content, request, response, server);
  },
  /** Content-Encoding although none was accepted: the bytes on the wire are not the content. */
  'gzip-on-the-wire': (content, _request, response, server) => {
    const packed = gzipSync(content);
    response.writeHead(200, { 'content-length': packed.length, 'content-encoding': 'gzip' });
    send(server, response, packed);
  },
  'wrong-type': (content, request, response, server) => {
    response.setHeader('content-type', 'text/html; charset=utf-8');
    ranged(content, request, response, server);
  },
  /** Little by little, without an end in sight. */
  trickles: (content, _request, response, server) => {
    response.writeHead(200, { 'content-length': content.length });
    let at = 65_536;
    response.write(content.subarray(0, at));
    const timer = setInterval(() => {
      response.write(content.subarray(at, at + 1));
      at += 1;
      server.sentBytes += 1;
    }, 20);
    response.on('close', () => clearInterval(timer));
  },
  /** The rest of the content is refused twice, with a wish for a pause, then given. */
  'busy-twice': (content, request, response, server) => {
    if (server.seen.length === 1 || server.seen.length > 3) return ranged(content, request, response, server);
    response.writeHead(503, { 'retry-after': '1' }).end();
  },
  /** More than two answers at a time are refused. */
  'few-at-once': (content, request, response, server) => {
    if (server.answering > 2) return void response.writeHead(429).end('too many');
    ranged(content, request, response, server);
  },
  /** From the sixth request on it has another ETag. */
  'changes-late': (content, request, response, server) => {
    if (server.seen.length <= 5) return ranged(content, request, response, server);
    delete request.headers['if-range'];
    ranged(content, request, response, server, { etag: '"other"' });
  },
  'asks-for-a-pause': (_content, _request, response) => response.writeHead(429, { 'retry-after': '120' }).end('no'),
  'asks-for-a-date': (_content, _request, response) => {
    response.writeHead(503, { 'retry-after': new Date(Date.now() + 100_000).toUTCString() }).end('no');
  },
  'redirects-later': (content, request, response, server) => {
    if (server.seen.length === 1) return ranged(content, request, response, server);
    response.writeHead(302, { location: server.redirectTo }).end();
  },
  'redirect-loop': (_content, request, response) => response.writeHead(302, { location: request.url ?? '/' }).end(),
  'redirect-file': (_content, _request, response) => response.writeHead(301, { location: 'file:///etc/passwd' }).end(),
  'redirect-nowhere': (_content, _request, response) => response.writeHead(301).end(),
  password: (content, request, response, server) => {
    const right = `Basic ${Buffer.from('user:secret').toString('base64')}`;
    if (request.headers.authorization !== right) return void response.writeHead(401).end();
    ranged(content, request, response, server);
  },
  'no-http': (_content, _request, response) => response.socket?.end('this is not HTTP\r\n\r\n'),
  '400': status(400),
  '403': status(403),
  '404': status(404),
  '408': status(408),
  '410': status(410),
  '416': (content, request, response, server) => {
    if (request.headers.range !== undefined) return void response.writeHead(416).end();
    ranged(content, request, response, server);
  },
  '429': status(429),
  '451': status(451),
  '500': status(500),
  '503': status(503),
};
