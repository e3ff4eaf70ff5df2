import { mkdtemp, rm } from 'node:fs/promises';
import { request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer, request, type Server } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { connect } from 'node:tls';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { annotations } from '../domain/annotations.ts';
import type { Claim } from '../domain/kube-shapes.ts';
import type { KubeObject, ObjectKey, ObjectReader, ResourceRef } from '../domain/object-store.ts';
import { CertificateAuthority, uploadClientName, workerName } from '../runtime/certificates.ts';
import { closeServer, formatAddress, listenOn } from '../runtime/listen.ts';
import { createLogger } from '../runtime/logger.ts';
import { UploadTokens } from '../runtime/upload-tokens.ts';
import { startUploadProxy, type UploadProxy } from './start-upload-proxy.ts';

const uid = '11111111-2222-3333-4444-555555555555';
const MiB = 1_048_576;

/** Claims as the API would serve them; a test changes them while the proxy waits. */
class ClaimShelf implements ObjectReader {
  readonly claims = new Map<string, Claim>();

  put(noted: Record<string, string>, name = 'disk'): void {
    const metadata = { name, namespace: 'web', uid, annotations: noted };
    this.claims.set(name, { apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata, spec: {} });
  }

  async get<T extends KubeObject>(_resource: ResourceRef<T>, key: ObjectKey): Promise<T | undefined> {
    // Safe here: the proxy reads nothing but claims.
    return this.claims.get(key.name) as unknown as T | undefined;
  }
}

const ready = {
  [annotations.uploadTarget]: '',
  [annotations.podReady]: 'true',
  [annotations.podPhase]: 'Running',
  [annotations.selectedNode]: 'local',
};

let directory: string;
let ca: string;
let tokens: UploadTokens;
let worker: Server;
let proxy: UploadProxy;
const shelf = new ClaimShelf();
let workerAddress: string | undefined;
let handleUpload: (request: IncomingMessage, response: ServerResponse) => void;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'longshore-proxy-'));
  const authority = await CertificateAuthority.openOrCreate(directory);
  ca = authority.certificate;
  const server = await authority.issue({ name: 'server', cn: 'proxy', hosts: ['127.0.0.1'], usages: ['server'] });
  const client = await authority.issue({ name: 'client', cn: uploadClientName, hosts: [], usages: ['client'] });
  tokens = await UploadTokens.open(directory, { lifetimeSeconds: 60 });
  const workerTls = await authority.issue({ name: 'worker', cn: workerName('local'), hosts: [], usages: ['server'] });
  worker = createServer({ ...workerTls, requestCert: true, rejectUnauthorized: true }, (request, response) =>
    handleUpload(request, response),
  );
  workerAddress = formatAddress(await listenOn(worker, { host: '127.0.0.1', port: 0 }));
  proxy = await startUploadProxy({
    config: { listenHost: '127.0.0.1', uploadProxyPort: 0, readyWaitMs: 600, idleTimeoutMs: 400 },
    reader: shelf,
    registry: { lookup: async () => (workerAddress === undefined ? undefined : { uploadAddress: workerAddress }) },
    tokens,
    tls: { server, client },
    logger: createLogger({ logLevel: 'silent' }, 'test'),
  });
});

afterAll(async () => {
  await proxy.close();
  await closeServer(worker);
  await rm(directory, { recursive: true });
});

beforeEach(() => {
  shelf.claims.clear();
  shelf.put(ready);
  handleUpload = (_request, response) => response.writeHead(500).end();
});

interface Answer {
  status: number;
  body: string;
  headers: IncomingMessage['headers'];
}

interface Asking {
  path?: string;
  method?: string;
  headers?: Record<string, string>;
  body?: Readable | Buffer;
}

async function ask({ path = '/v1beta1/upload', method = 'POST', headers = {}, body }: Asking = {}): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const { host, port } = proxy.address;
  const call = request({ host, port, path, method, headers, ca, agent: false }, (response) => {
    let text = '';
    response.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    response.once('end', () => {
      resolve({ status: response.statusCode ?? 0, body: text, headers: response.headers });
      call.destroy();
    });
  });
  call.on('error', reject);
  if (body instanceof Readable)
    pipeline(body, call).catch(() => undefined); // the answer is what counts
  else call.end(body);
  return promise;
}

async function bearer(target: { name?: string; uid?: string } = {}): Promise<Record<string, string>> {
  const token = await tokens.issue({ namespace: 'web', name: 'disk', uid, ...target });
  return { authorization: `Bearer ${token}` };
}

/** A body of that many bytes that comes as fast as it is taken. */
function bytes(count: number): Readable {
  return Readable.from(
    (function* chunks() {
      for (let left = count; left > 0; left -= 65_536) yield Buffer.alloc(Math.min(left, 65_536), 7);
    })(),
  );
}

async function countBody(request: IncomingMessage): Promise<number> {
  let count = 0;
  for await (const chunk of request) count += chunk.length;
  return count;
}

describe('who may upload', () => {
  test('no token or one of another form is 400 with an empty body', async () => {
    for (const headers of [{}, { authorization: 'Basic abc' }, { authorization: 'Bearer a b' }]) {
      const answer = await ask({ headers });
      expect([answer.status, answer.body, answer.headers['longshore-fault']]).toEqual([400, '', 'TokenMissing']);
    }
  });

  test('a forged token is 401', async () => {
    const { authorization = '' } = await bearer();
    const answer = await ask({ headers: { authorization: `${authorization.slice(0, -8)}AAAAAAAA` } });
    expect([answer.status, answer.body, answer.headers['longshore-fault']]).toEqual([401, '', 'TokenInvalid']);
  });

  test('an expired token is 401', async () => {
    const token = await tokens.issue({ namespace: 'web', name: 'disk', uid }, new Date(Date.now() - 80_000));
    const answer = await ask({ headers: { authorization: `bearer ${token}` } });
    expect([answer.status, answer.headers['longshore-fault']]).toEqual([401, 'TokenExpired']);
  });

  test('a token for a deleted claim does not open the next one of that name', async () => {
    const answer = await ask({ headers: await bearer({ uid: '99999999-2222-3333-4444-555555555555' }) });
    expect([answer.status, answer.headers['longshore-fault']]).toEqual([403, 'TokenForeign']);
  });
});

describe('claims that take no bytes are 503 with what CDI says', () => {
  test.each([
    ['NotAnUploadTarget', {}, 'PVC disk is not an upload target'],
    [
      'UploadFinished',
      { ...ready, [annotations.podPhase]: 'Succeeded' },
      'rejecting Upload Request for PVC disk that already finished uploading',
    ],
    ['UploadNotReady', { ...ready, [annotations.podReady]: 'false' }, 'context deadline exceeded'],
    [
      'InvalidRequest',
      { ...ready, [annotations.contentType]: '<b>' },
      'rejecting upload request for PVC disk - upload content-type &lt;b&gt; is invalid',
    ],
  ])('%s', async (code, noted, sentence) => {
    shelf.put(noted);
    const answer = await ask({ headers: await bearer(), body: Buffer.alloc(10) });
    expect([answer.status, answer.body, answer.headers['longshore-fault']]).toEqual([503, sentence, code]);
  });

  test('a claim that is missing', async () => {
    shelf.claims.clear();
    const answer = await ask({ headers: await bearer() });
    expect(answer.status).toBe(503);
    expect(answer.body).toBe('rejecting Upload Request for PVC disk that doesn&#39;t exist');
  });
});

test('a claim that becomes ready while the proxy waits is uploaded to', async () => {
  shelf.put({ ...ready, [annotations.podReady]: 'false' });
  handleUpload = async (request, response) => response.end(String(await countBody(request)));
  const asked = ask({ headers: await bearer(), body: Buffer.alloc(1000) });
  setTimeout(() => shelf.put(ready), 100);
  expect(await asked).toMatchObject({ status: 200, body: '1000' });
});

describe('what reaches the worker', () => {
  test('the body, its length and the volume, but no token and no volume that the client names', async () => {
    let seen: IncomingMessage | undefined;
    handleUpload = async (request, response) => {
      seen = request;
      response.end(String(await countBody(request)));
    };
    const headers = { ...(await bearer()), 'longshore-volume': 'pvc-other', 'x-cdi-content-type': 'x' };
    const length = 5 * MiB + 17;
    const answer = await ask({ headers: { ...headers, 'content-length': String(length) }, body: bytes(length) });
    expect(answer).toMatchObject({ status: 200, body: String(length) });
    expect(seen?.headers).toMatchObject({
      'longshore-volume': `pvc-${uid}`,
      'content-length': String(length),
      'x-cdi-content-type': 'x',
    });
    expect(seen?.headers.authorization).toBeUndefined();
    expect(seen?.httpVersion).toBe('1.1');
  });

  test('a body without length arrives chunked; v1alpha1 is the same door', async () => {
    handleUpload = async (request, response) =>
      response.end(`${request.url} ${request.headers['transfer-encoding']} ${await countBody(request)}`);
    const answer = await ask({ path: '/v1alpha1/upload-async', headers: await bearer(), body: bytes(3 * MiB) });
    expect(answer.body).toBe(`/v1beta1/upload-async chunked ${3 * MiB}`);
  });

  test('HEAD on the async path is authenticated and answered by the worker', async () => {
    handleUpload = (request, response) => response.writeHead(request.method === 'HEAD' ? 200 : 500).end();
    expect((await ask({ path: '/v1beta1/upload-async', method: 'HEAD', headers: await bearer() })).status).toBe(200);
    expect((await ask({ path: '/v1beta1/upload-async', method: 'HEAD' })).status).toBe(400);
  });

  test('nothing, where the worker of another node answers', async () => {
    const other = await CertificateAuthority.openOrCreate(directory);
    const pair = await other.issue({ name: 'elsewhere', cn: workerName('elsewhere'), hosts: [], usages: ['server'] });
    const impostor = createServer({ ...pair, requestCert: true }, (_request, response) => response.end('taken'));
    const trueAddress = workerAddress;
    workerAddress = formatAddress(await listenOn(impostor, { host: '127.0.0.1', port: 0 }));
    try {
      const answer = await ask({ headers: await bearer(), body: Buffer.alloc(10) });
      expect(answer.status).toBe(502);
      expect(answer.body).not.toContain('taken');
    } finally {
      workerAddress = trueAddress;
      await closeServer(impostor);
    }
  });

  test('one connection serves one upload after the other', async () => {
    const ports = new Set<number | undefined>();
    handleUpload = async (request, response) => {
      ports.add(request.socket.remotePort);
      response.end(String(await countBody(request)));
    };
    for (let round = 0; round < 3; round += 1) {
      expect((await ask({ headers: await bearer(), body: Buffer.alloc(100_000) })).body).toBe('100000');
    }
    expect(ports.size).toBe(1);
  });
});

describe('ends', () => {
  test('an early refusal of the worker reaches a client that is still sending', async () => {
    handleUpload = (request, response) => {
      response.writeHead(400, { 'longshore-fault': 'ImageTooLarge', connection: 'close' });
      response.write('Saving stream failed: too large');
      request.resume();
      request.once('close', () => response.end());
      setTimeout(() => response.end(), 50);
    };
    const answer = await ask({ headers: { ...(await bearer()), 'content-length': String(1e12) }, body: bytes(1e12) });
    expect(answer).toMatchObject({ status: 400, body: 'Saving stream failed: too large' });
    expect(answer.headers['longshore-fault']).toBe('ImageTooLarge');
  });

  test('a client that goes away ends the upload at the worker, and the next one works', async () => {
    const ended = Promise.withResolvers<string>();
    handleUpload = (request) => {
      countBody(request).then(
        () => ended.resolve('whole'),
        () => ended.resolve('cut'),
      );
    };
    const { host, port } = proxy.address;
    const headers = { ...(await bearer()), 'content-length': String(10 * MiB) };
    const call = request({ host, port, ca, path: '/v1beta1/upload', method: 'POST', headers });
    call.on('error', () => undefined);
    call.write(Buffer.alloc(MiB));
    setTimeout(() => call.destroy(), 100);
    expect(await ended.promise).toBe('cut');
    handleUpload = async (request, response) => response.end(String(await countBody(request)));
    expect((await ask({ headers: await bearer(), body: Buffer.alloc(10) })).body).toBe('10');
  });

  test('a client that falls silent is given up', async () => {
    const ended = Promise.withResolvers<void>();
    handleUpload = (request) => {
      countBody(request).catch(() => ended.resolve());
    };
    const stalled = new Readable({ read: () => undefined });
    stalled.push(Buffer.alloc(1000));
    const answer = await ask({ headers: { ...(await bearer()), 'content-length': '5000' }, body: stalled });
    expect(answer.headers['longshore-fault']).toBe('UploadInterrupted');
    await ended.promise;
    stalled.destroy();
  });

  test('a worker that dies in the middle is 502', async () => {
    handleUpload = (request) => {
      request.once('data', () => request.socket.destroy());
    };
    const answer = await ask({ headers: { ...(await bearer()), 'content-length': String(1e9) }, body: bytes(1e9) });
    expect([answer.status, answer.headers['longshore-fault']]).toEqual([502, 'UploadUnreachable']);
    expect(answer.body).toMatch(/^error in upload-proxy: /);
  });

  test('no worker at all is 502', async () => {
    const before = workerAddress;
    workerAddress = undefined;
    const answer = await ask({ headers: await bearer(), body: Buffer.alloc(10) });
    workerAddress = before;
    expect([answer.status, answer.headers['longshore-fault']]).toEqual([502, 'UploadUnreachable']);
  });

  test('a slow worker holds the client back instead of filling memory', async () => {
    let taken = 0;
    handleUpload = async (request, response) => {
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
    const answer = await ask({ headers: { ...(await bearer()), 'content-length': String(length) }, body });
    expect(answer.status).toBe(200);
    expect(ahead).toBeLessThan(24 * MiB);
  });

  test('100 is sent only to an upload that is let in', async () => {
    handleUpload = async (request, response) => response.end(String(await countBody(request)));
    const expectContinue = async (headers: Record<string, string>) => {
      const { host, port } = proxy.address;
      const outcome = Promise.withResolvers<string>();
      const options = { host, port, ca, path: '/v1beta1/upload', method: 'POST', agent: false } as const;
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
    expect(await expectContinue(await bearer())).toBe('200');
    expect(await expectContinue({})).toBe('400');
  });
});

describe('a request target of any form', () => {
  /** Sends the text as it is. @returns the first line that comes back, '' where there is none */
  async function sendRaw(text: string): Promise<string> {
    const { promise, resolve } = Promise.withResolvers<string>();
    const socket = connect({ ...proxy.address, ca }, () => socket.end(text));
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
    expect(await ask({ path: '/healthz', method: 'GET' })).toMatchObject({ status: 200 });
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
    const answer = await ask({ method: 'OPTIONS', headers });
    expect([answer.status, answer.body]).toEqual([200, '']);
    expect(answer.headers).toMatchObject({
      'access-control-allow-origin': '*',
      'access-control-allow-methods': 'POST',
      'access-control-allow-headers': 'authorization',
    });
  });

  test('errors carry the header too, and every answer varies by origin', async () => {
    const answer = await ask({ headers: { origin: 'https://console' } });
    expect(answer.headers).toMatchObject({ 'access-control-allow-origin': '*', vary: 'Origin' });
    expect((await ask()).headers['access-control-allow-origin']).toBeUndefined();
  });

  test('health, and nothing else, is open', async () => {
    expect(await ask({ path: '/healthz', method: 'GET' })).toMatchObject({ status: 200, body: 'OK' });
    expect((await ask({ path: '/v1beta1/upload-archive', headers: await bearer() })).status).toBe(404);
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
