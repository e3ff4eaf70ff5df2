// Bodies that the proxy hands over to a worker of its machine on a socket: only to who shows the ticket, with every end that a body in the request has.
import { once } from 'node:events';
import { chmod, mkdir, readdir, writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { PrivateDirectory } from '../../runtime/private-directory.ts';
import { BodySocket } from '../../uploadproxy/body-socket.ts';
import { handedBodyOf } from '../../worker/handed-body.ts';
import { temporaryDirectory } from '../temporary-directory.ts';
import { bytes, countBody, ProxyFixture } from '../upload-proxy-fixture.ts';

const MiB = 1_048_576;
const parts = new AsyncDisposableStack();
let proxy: ProxyFixture;
/** The worker's sight of the proxy's directory. */
let directory: PrivateDirectory;
beforeAll(async () => {
  proxy = await ProxyFixture.start();
  parts.defer(() => proxy.close());
  directory = parts.use(await privateDirectory(proxy.runDirectory));
});
afterAll(() => parts.disposeAsync());
beforeEach(() => {
  proxy.reset();
  proxy.directoryIdentity = directory.identity;
});

async function privateDirectory(path: string): Promise<PrivateDirectory> {
  const opened = await PrivateDirectory.open(path);
  if (opened === undefined) throw new Error(`${path} is not private`);
  return opened;
}

function fetched(from: IncomingMessage): Socket {
  const handed = handedBodyOf(from, directory);
  if (handed === undefined) throw new Error('the body comes with the request');
  return handed.fetch();
}

/** @returns how many came until the socket ended */
async function countFetched(body: Socket): Promise<number> {
  let count = 0;
  body.on('data', (piece: Buffer) => {
    count += piece.byteLength;
  });
  body.resume();
  await once(body, 'close');
  return count;
}

async function askWith(length: number, body: Readable | Buffer = bytes(length)) {
  return proxy.ask({ headers: { ...(await proxy.bearer()), 'content-length': String(length) }, body });
}

async function expectWhole(): Promise<void> {
  proxy.handleUpload = async (from, response) => response.end(String(await countFetched(fetched(from))));
  expect(await askWith(3 * MiB + 5)).toMatchObject({ status: 200, body: String(3 * MiB + 5) });
}

describe('a body that is handed over', () => {
  test('comes whole beside its request, whatever the client says of its place', async () => {
    let seen: IncomingMessage | undefined;
    const content = Buffer.concat(await bytes(5 * MiB + 17).toArray());
    for (let at = 0; at < content.length; at += 1021) content[at] = at % 251;
    const came: Buffer[] = [];
    proxy.handleUpload = async (from, response) => {
      seen = from;
      const body = fetched(from);
      body.on('data', (piece: Buffer) => came.push(Buffer.from(piece))).resume();
      await once(body, 'close');
      response.end('taken');
    };
    const forged = { 'longshore-body': `bodies-${'0'.repeat(16)}.sock:${'0'.repeat(32)}`, 'longshore-body-bytes': '1' };
    const headers = { ...(await proxy.bearer()), ...forged, 'content-length': String(content.length) };
    expect(await proxy.ask({ headers, body: content })).toMatchObject({ status: 200, body: 'taken' });
    expect(Buffer.concat(came).equals(content)).toBe(true);
    expect(seen?.headers).toMatchObject({ 'content-length': '0', 'longshore-body-bytes': String(content.length) });
  });

  test('holds its client back while the worker does not read', async () => {
    let taken = 0;
    proxy.handleUpload = async (from, response) => {
      const body = fetched(from);
      body.on('data', (piece: Buffer) => {
        taken += piece.byteLength;
        if (taken > 8 * MiB) return;
        body.pause();
        setTimeout(() => body.resume(), 5);
      });
      body.resume();
      await once(body, 'close');
      response.end(String(taken));
    };
    const length = 64 * MiB;
    let [given, ahead] = [0, 0];
    const body = Readable.from(
      (function* chunks() {
        for (; given < length; given += 65_536) {
          ahead = Math.max(ahead, given - taken);
          yield Buffer.alloc(65_536, 7);
        }
      })(),
    );
    expect(await askWith(length, body)).toMatchObject({ status: 200, body: String(length) });
    expect(ahead).toBeLessThan(24 * MiB);
  });

  test('is let go by a worker that refuses, whose answer reaches a client that is still sending', async () => {
    proxy.handleUpload = async (from, response) => {
      const body = fetched(from);
      body.once('data', () => {
        body.destroy();
        response.writeHead(400, { 'longshore-fault': 'ImageTooLarge' });
        setTimeout(() => response.end('too large'), 50);
      });
      body.resume();
    };
    const answer = await askWith(1e12);
    expect(answer).toMatchObject({ status: 400, body: 'too large' });
    expect(answer.headers['longshore-fault']).toBe('ImageTooLarge');
    await expectWhole();
  });

  test('is not asked for where the worker refuses at once', async () => {
    proxy.handleUpload = (_from, response) => response.writeHead(503, { 'longshore-fault': 'UploadBusy' }).end();
    expect((await askWith(1e12)).headers['longshore-fault']).toBe('UploadBusy');
    await expectWhole();
  });

  test('ends early at the worker when the client goes away', async () => {
    const ended = Promise.withResolvers<number>();
    proxy.handleUpload = (from) => void countFetched(fetched(from)).then(ended.resolve);
    const headers = { ...(await proxy.bearer()), 'content-length': String(10 * MiB) };
    const path = { path: '/v1beta1/upload', method: 'POST' };
    const call = request({ ...proxy.address, ...path, ca: proxy.ca, headers, agent: false });
    call.on('error', () => undefined);
    call.write(Buffer.alloc(MiB));
    setTimeout(() => call.destroy(), 100);
    expect(await ended.promise).toBeLessThan(10 * MiB);
    await expectWhole();
  });

  test('of a client that falls silent is given up', async () => {
    const ended = Promise.withResolvers<number>();
    proxy.handleUpload = (from) => void countFetched(fetched(from)).then(ended.resolve);
    const stalled = new Readable({ read: () => undefined });
    stalled.push(Buffer.alloc(1000));
    expect((await askWith(5000, stalled)).headers['longshore-fault']).toBe('UploadInterrupted');
    expect(await ended.promise).toBe(1000);
    stalled.destroy();
  });

  test('is 502 where the worker dies in the middle', async () => {
    proxy.handleUpload = (from) => {
      const body = fetched(from);
      body.once('data', () => {
        from.socket.destroy();
        body.destroy();
      });
      body.resume();
    };
    const answer = await askWith(1e9);
    expect([answer.status, answer.headers['longshore-fault']]).toEqual([502, 'UploadUnreachable']);
    await expectWhole();
  });
});

describe('a body goes with its request', () => {
  test.each(['another directory', undefined])('where the worker reaches %s', async (identity) => {
    proxy.directoryIdentity = identity;
    proxy.handleUpload = async (from, response) => {
      expect(handedBodyOf(from, directory)).toBeUndefined();
      response.end(String(await countBody(from)));
    };
    const forged = { 'longshore-body': `bodies-${'0'.repeat(16)}.sock:${'0'.repeat(32)}`, 'longshore-body-bytes': '1' };
    const headers = { ...(await proxy.bearer()), ...forged, 'content-length': '100000' };
    expect((await proxy.ask({ headers, body: Buffer.alloc(100_000) })).body).toBe('100000');
  });

  test('where its length is not known', async () => {
    proxy.handleUpload = async (from, response) =>
      response.end(`${from.headers['longshore-body']} ${await countBody(from)}`);
    expect((await proxy.ask({ headers: await proxy.bearer(), body: bytes(MiB) })).body).toBe(`undefined ${MiB}`);
  });
});

describe('the socket of bodies', () => {
  async function answered(address: string, ticket: string): Promise<string> {
    const socket = connect(address);
    let text = '';
    socket.setEncoding('latin1').on('data', (part: string) => {
      text += part;
    });
    socket.write(ticket);
    await once(socket, 'close');
    return text;
  }

  test('gives a body once, and only to who shows its ticket', async () => {
    await using undo = new AsyncDisposableStack();
    const path = await temporaryDirectory(undo, 'bodies');
    await chmod(path, 0o700);
    const bodies = await BodySocket.listen(path);
    undo.defer(async () => bodies?.close());
    const [offered, withdrawn] = [bodies?.offer(), bodies?.offer()];
    const [name = '', ticket = ''] = offered?.header.split(':') ?? [];
    expect(await answered(join(path, name), '0'.repeat(32))).toBe('');
    withdrawn?.withdraw();
    expect(await answered(join(path, name), withdrawn?.header.split(':')[1] ?? '')).toBe('');
    void offered?.taken.then((socket) => socket.end('the body'));
    expect(await answered(join(path, name), ticket)).toBe('the body');
    expect(await answered(join(path, name), ticket)).toBe('');
  });

  test('is gone with its proxy, and what a killed one left goes with the next; nothing else does', async () => {
    await using undo = new AsyncDisposableStack();
    const path = await temporaryDirectory(undo, 'bodies');
    await chmod(path, 0o700);
    const living = createServer().listen(join(path, `bodies-${'a'.repeat(16)}.sock`));
    await once(living, 'listening');
    await writeFile(join(path, `bodies-${'b'.repeat(16)}.sock`), '');
    await writeFile(join(path, 'redis.sock'), '');
    const bodies = await BodySocket.listen(path);
    expect(await readdir(path)).toHaveLength(3);
    await bodies?.close();
    expect((await readdir(path)).sort()).toEqual([`bodies-${'a'.repeat(16)}.sock`, 'redis.sock']);
    living.close();
  });

  test('is not made where others could reach it', async () => {
    await using undo = new AsyncDisposableStack();
    const path = join(await temporaryDirectory(undo, 'bodies'), 'open');
    await mkdir(path);
    await chmod(path, 0o750);
    expect(await BodySocket.listen(path)).toBeUndefined();
    expect(await readdir(path)).toEqual([]);
    await expect(PrivateDirectory.open(join(path, 'missing'))).rejects.toMatchObject({ name: 'Fault' });
  });

  test('lets go of who shows nothing in time', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout'] });
    try {
      const socket = connect(join(proxy.runDirectory, (await readdir(proxy.runDirectory))[0] ?? ''));
      await once(socket, 'connect');
      await vi.waitFor(() => expect(vi.getTimerCount()).toBeGreaterThan(0));
      vi.advanceTimersByTime(10_000);
      await once(socket.resume(), 'close');
    } finally {
      vi.useRealTimers();
    }
    await delay(0);
  });
});
