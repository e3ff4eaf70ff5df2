import { mkdtemp, rm } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { resources } from '../domain/resources.ts';
import { CertificateAuthority, type TlsPair } from '../runtime/certificates.ts';
import { ApiClient } from './api-client.ts';
import { followVolume } from './follow-volume.ts';
import { makeVolume } from './make-volume.ts';
import { ProgressDisplay } from './progress-display.ts';

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

const name = { namespace: 'ns', name: 'disk' };
const signal = AbortSignal.timeout(30_000);
let directory = '';
let tls: TlsPair;
let foreign: CertificateAuthority;
const servers: Server[] = [];
const clients: ApiClient[] = [];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'longshore-cli-'));
  const authority = await CertificateAuthority.openOrCreate(join(directory, 'own'));
  foreign = await CertificateAuthority.openOrCreate(join(directory, 'foreign'));
  tls = await authority.issue({ name: 'api', cn: 'api', hosts: ['127.0.0.1'], usages: ['server'] });
});

afterEach(async () => {
  for (const client of clients.splice(0)) await client.close();
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

afterAll(() => rm(directory, { recursive: true }));

async function serve(answer: Answer): Promise<string> {
  const server = createServer({ key: tls.key, cert: tls.cert }, answer);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  // Safe: a server that listens on a port has an address of this shape.
  return `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function clientFor(answer: Answer, ca = tls.ca): Promise<ApiClient> {
  return clientOf(await serve(answer), ca);
}

function clientOf(server: string, ca = tls.ca): ApiClient {
  const client = new ApiClient({ server, ca, token: 'secret', kubeconfigPath: '' }, signal);
  clients.push(client);
  return client;
}

function reply(status: number, body: unknown): Answer {
  return (_request, response) => response.writeHead(status).end(typeof body === 'string' ? body : JSON.stringify(body));
}

describe('an answer that refuses', () => {
  test.each([
    [404, { kind: 'Status', reason: 'NotFound', message: 'datavolumes "disk" not found' }, 'NotFound'],
    [409, { kind: 'Status', reason: 'AlreadyExists', message: 'it exists' }, 'AlreadyExists'],
    [422, { kind: 'Status', reason: 'Invalid', message: ' bad source' }, 'InvalidRequest'],
    [403, { kind: 'Status', reason: 'Forbidden', message: 'no' }, 'Forbidden'],
    [500, { kind: 'Status', reason: 'InternalError', message: 'oh' }, 'Internal'],
    [507, { code: 'PoolFull', detail: 'no room' }, 'PoolFull'],
    [502, 'error in upload-proxy: gone', 'ServiceUnreachable'],
  ])('%i %j is the fault %s', async (status, body, code) => {
    const client = await clientFor(reply(status, body));
    await expect(client.get(resources.dataVolumes, name)).rejects.toMatchObject({ code });
  });

  test('what is not there is not found without a fault', async () => {
    const client = await clientFor(reply(404, { kind: 'Status', reason: 'NotFound', message: 'none' }));
    expect(await client.find(resources.dataVolumes, name)).toBeUndefined();
  });
});

test('a server that another CA vouches for is not talked to', async () => {
  let asked = 0;
  const answer: Answer = (_request, response) => {
    asked += 1;
    response.end('{}');
  };
  const client = await clientFor(answer, foreign.certificate);
  await expect(client.get(resources.dataVolumes, name)).rejects.toMatchObject({ code: 'ServiceUnreachable' });
  expect(asked).toBe(0);
});

test('an upload carries token, length and the bytes', async () => {
  const seen: unknown[] = [];
  const server = await serve((request, response) => {
    const { authorization, 'content-length': length } = request.headers;
    text(request).then(
      (body) => {
        seen.push([request.method, request.url, authorization, length, body]);
        response.end();
      },
      () => response.destroy(),
    );
  });
  async function* bytes() {
    yield Buffer.from('boot ');
    yield Buffer.from('sector');
  }
  await clientOf(server).upload(`${server}/v1beta1/upload-async`, 'once', bytes(), 11);
  expect(seen).toEqual([['POST', '/v1beta1/upload-async', 'Bearer once', '11', 'boot sector']]);
});

test('an upload that is refused is the fault that the headers tell of', async () => {
  const server = await serve((request, response) => {
    request.resume();
    const headers = { 'longshore-fault': 'ImageTooLarge', 'longshore-detail': encodeURIComponent('it needs 5 GiB') };
    response.writeHead(400, headers).end('Saving stream failed: effective image size is larger …');
  });
  async function* bytes() {
    yield Buffer.from('boot');
  }
  const upload = clientOf(server).upload(`${server}/v1beta1/upload-async`, 'once', bytes(), 4);
  await expect(upload).rejects.toMatchObject({ code: 'ImageTooLarge', detail: 'it needs 5 GiB' });
});

describe('following a volume', () => {
  const volume = (status: object) => ({ type: 'MODIFIED', object: { ...makeVolume(name, { blank: {} }), status } });

  async function follow(rounds: readonly (readonly object[])[]) {
    let round = 0;
    const client = await clientFor((request, response) => {
      expect(request.url).toContain('/namespaces/ns/datavolumes?watch=true&fieldSelector=metadata.name%3Ddisk');
      const lines = rounds[round]?.map((line) => JSON.stringify(line)).join('\n');
      round += 1;
      // In two pieces that do not end where lines end.
      response.write(lines?.slice(0, 20) ?? '');
      response.end(`${lines?.slice(20) ?? ''}\n`);
    });
    const written: string[] = [];
    const display = new ProgressDisplay({ write: (line: string) => written.push(line) });
    const isReached = ({ status }: { status?: { phase?: string } }) => status?.phase === 'Succeeded';
    const reached = followVolume(name, isReached, { client, display, signal });
    return { reached, written, rounds: () => round };
  }

  test('ends at what was waited for, over a watch that was closed in between', async () => {
    const { reached, written, rounds } = await follow([
      [volume({ phase: 'Pending' }), { type: 'BOOKMARK', object: {} }],
      [
        volume({ phase: 'ImportInProgress', longshore: { step: 'transfer', bytesDone: 5, bytesTotal: 10 } }),
        volume({ phase: 'Succeeded' }),
      ],
    ]);
    expect((await reached).status?.phase).toBe('Succeeded');
    expect(rounds()).toBe(2);
    expect(written).toEqual(['ns/disk: Pending\n', 'ns/disk: transfer 50 %, 5 B of 10 B\n']);
  });

  test('a failed volume is its fault; an attempt that failed before is told once', async () => {
    const fault = { code: 'SourceUnreachable', detail: 'refused', retryable: true, nextStep: 'wait' };
    const trying = volume({
      phase: 'ImportInProgress',
      longshore: { attempt: 1, fault, nextAttemptAt: '2026-01-01T00:00:00Z' },
    });
    const { reached, written } = await follow([
      [
        trying,
        trying,
        volume({ phase: 'Failed', longshore: { fault: { ...fault, code: 'SourceNotFound', detail: '404' } } }),
      ],
    ]);
    await expect(reached).rejects.toMatchObject({ code: 'SourceNotFound', detail: '404' });
    expect(written.filter((line) => line.includes('next attempt'))).toEqual([
      'ns/disk: SourceUnreachable: refused; next attempt at 2026-01-01T00:00:00Z\n',
    ]);
  });

  test('a volume that is deleted meanwhile is not waited for', async () => {
    const { reached } = await follow([[{ ...volume({ phase: 'Pending' }), type: 'DELETED' }]]);
    await expect(reached).rejects.toMatchObject({ code: 'NotFound' });
  });
});
