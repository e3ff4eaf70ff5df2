// The connection against a real socket whose other side misbehaves in each way that a server can.
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { errors } from 'undici';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AddressGuard } from './address-guard.ts';
import { PlainConnection } from './plain-connection.ts';

const guard = new AddressGuard({ sourceAllow: '127.0.0.0/8', sourceRefuse: '', kubeHost: '' });
/** So long that a test which runs into the wrong one fails. */
const limits = { connectTimeoutMs: 600_000, firstByteTimeoutMs: 600_000, idleTimeoutMs: 600_000 };
const body = Buffer.from(Array.from({ length: 2_000_000 }, (_, index) => (index * 7 + (index >> 8)) & 0xff));

let server: Server;
let sockets: Socket[];
/** What the server does with each request, told by its number on the connection. */
let answer: (socket: Socket, request: number) => unknown;
let abort: AbortController;

beforeEach(async () => {
  sockets = [];
  abort = new AbortController();
  server = createServer((socket) => {
    sockets.push(socket.setNoDelay());
    socket.on('error', () => undefined); // the other side may hang up at any time
    let asked = '';
    let requests = 0;
    socket.on('data', (bytes) => {
      asked += bytes.toString('latin1');
      for (let end = asked.indexOf('\r\n\r\n'); end >= 0; end = asked.indexOf('\r\n\r\n')) {
        asked = asked.slice(end + 4);
        requests += 1;
        answer(socket, requests);
      }
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
});

afterEach(async () => {
  abort.abort();
  for (const socket of sockets) socket.destroy();
  server.close();
  await once(server, 'close');
});

function place(): URL {
  // `address` is an object for what listens on a port.
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/disk`);
}

function open(changed: Partial<typeof limits> = {}): Promise<PlainConnection> {
  return PlainConnection.open(place(), { limits: { ...limits, ...changed }, guard, signal: abort.signal });
}

function headFor(lengthBytes: number, more = ''): string {
  return `HTTP/1.1 206 Partial Content\r\ncontent-length: ${lengthBytes}\r\n${more}\r\n`;
}

async function ask(connection: PlainConnection) {
  const given = await connection.ask(place(), { range: 'bytes=0-' });
  if (given === undefined) throw new Error('the answer was not understood');
  return given.body;
}

/** Reads the body into memory with a margin, which has to stay as it is. */
async function land(connection: PlainConnection, memory: Buffer): Promise<number> {
  const landing = (await ask(connection)).landIn(memory);
  if (landing === undefined) throw new Error('the body was longer than the memory');
  let filled = 0;
  for await (const piece of landing) {
    expect(piece.buffer).toBe(memory.buffer);
    expect(piece.byteOffset).toBe(memory.byteOffset + filled);
    filled += piece.byteLength;
  }
  return filled;
}

async function collect(pieces: AsyncIterable<Buffer>): Promise<Buffer> {
  const copies: Buffer[] = [];
  for await (const piece of pieces) copies.push(Buffer.from(piece));
  return Buffer.concat(copies);
}

describe('a plain connection', () => {
  it('understands a head that is split at any byte', async () => {
    const whole = Buffer.concat([Buffer.from(headFor(5)), Buffer.from('bytes')]);
    answer = async (socket, request) => {
      socket.write(whole.subarray(0, request));
      // Sockets are read between two turns, so the first part comes alone.
      await turn();
      await turn();
      socket.write(whole.subarray(request));
    };
    const connection = await open();
    for (let split = 1; split < whole.byteLength; split += 1) {
      const memory = Buffer.alloc(5);
      expect(await land(connection, memory)).toBe(5);
      expect(memory.toString()).toBe('bytes');
      expect(connection.tryTake()).toBe(true);
    }
    expect(sockets).toHaveLength(1);
  });

  it('puts large bodies one after the other into the memory of each, and nothing beside it', async () => {
    answer = (socket) => socket.write(Buffer.concat([Buffer.from(headFor(body.byteLength)), body]));
    const connection = await open();
    const memories = [0, 1, 2].map(() => Buffer.alloc(body.byteLength + 1000, 0xee));
    for (const memory of memories) {
      expect(await land(connection, memory)).toBe(body.byteLength);
      expect(connection.tryTake()).toBe(true);
    }
    for (const memory of memories) {
      expect(memory.subarray(0, body.byteLength).equals(body)).toBe(true);
      expect(memory.subarray(body.byteLength).every((byte) => byte === 0xee)).toBe(true);
    }
    expect(sockets).toHaveLength(1);
  });

  it('gives the body in pieces where no memory is given, in turn with bodies that land', async () => {
    answer = (socket) => socket.write(Buffer.concat([Buffer.from(headFor(body.byteLength)), body]));
    const connection = await open();
    expect((await collect(await ask(connection))).equals(body)).toBe(true);
    expect(connection.tryTake()).toBe(true);
    const memory = Buffer.alloc(body.byteLength);
    await land(connection, memory);
    expect(connection.tryTake()).toBe(true);
    expect((await collect(await ask(connection))).equals(body)).toBe(true);
    expect(memory.equals(body)).toBe(true);
  });

  it('does not put a body into memory that is too small for it', async () => {
    answer = (socket) => socket.write(`${headFor(5)}bytes`);
    const given = await ask(await open());
    expect(given.landIn(Buffer.alloc(4))).toBeUndefined();
    expect((await collect(given)).toString()).toBe('bytes');
  });

  it('does not understand a head that never ends, and hangs up', async () => {
    answer = (socket) => socket.write(`HTTP/1.1 206 Partial Content\r\nx: ${'y'.repeat(40_000)}`);
    const connection = await open();
    expect(await connection.ask(place(), {})).toBeUndefined();
    expect(connection.ended).toBe(true);
  });

  it('does not understand a body of unknown length', async () => {
    answer = (socket) => socket.write('HTTP/1.1 206 Partial Content\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n');
    const connection = await open();
    expect(await connection.ask(place(), {})).toBeUndefined();
    expect(connection.ended).toBe(true);
  });
});

describe('a plain connection whose server', () => {
  it('closes within the head fails', async () => {
    answer = (socket) => socket.end('HTTP/1.1 206 Partial');
    await expect((await open()).ask(place(), {})).rejects.toThrow(errors.SocketError);
  });

  it('closes within the body gives what came and then fails', async () => {
    answer = (socket) => socket.end(Buffer.concat([Buffer.from(headFor(body.byteLength)), body.subarray(0, 900_000)]));
    const connection = await open();
    const memory = Buffer.alloc(body.byteLength);
    let filled = 0;
    const landing = (await ask(connection)).landIn(memory) ?? [];
    const reading = (async () => {
      for await (const piece of landing) filled += piece.byteLength;
    })();
    await expect(reading).rejects.toThrow(errors.SocketError);
    expect(filled).toBe(900_000);
    expect(memory.subarray(0, filled).equals(body.subarray(0, filled))).toBe(true);
    expect(connection.tryTake()).toBe(false);
  });

  it('says that it closes is not asked again', async () => {
    answer = (socket) => socket.write(`${headFor(5, 'connection: close\r\n')}bytes`);
    const connection = await open();
    await land(connection, Buffer.alloc(5));
    expect(connection.tryTake()).toBe(false);
  });

  it('sends more than it declared is noticed, and nothing of it lands', async () => {
    answer = (socket) => socket.write(`${headFor(5)}bytes and more`);
    const connection = await open();
    const memory = Buffer.alloc(20, 0xee);
    expect(await land(connection, memory)).toBe(5);
    expect(memory.subarray(5).every((byte) => byte === 0xee)).toBe(true);
    expect(connection.sentTooMuch).toBe(true);
    expect(connection.tryTake()).toBe(false);
  });

  it('sends more once it was read to its end is noticed, and nothing of it lands', async () => {
    answer = (socket) => socket.write(Buffer.concat([Buffer.from(headFor(body.byteLength)), body]));
    const connection = await open();
    const memory = Buffer.alloc(body.byteLength + 1000, 0xee);
    await land(connection, memory);
    sockets[0]?.write('too much');
    await expect.poll(() => connection.sentTooMuch).toBe(true);
    expect(connection.tryTake()).toBe(false);
    expect(memory.subarray(body.byteLength).every((byte) => byte === 0xee)).toBe(true);
  });

  it('is silent after the request runs into the limit of the head', async () => {
    answer = () => undefined;
    const connection = await open({ firstByteTimeoutMs: 50 });
    await expect(connection.ask(place(), {})).rejects.toThrow(errors.HeadersTimeoutError);
    expect(connection.ended).toBe(true);
  });

  it('stalls within the body runs into the limit of the body', async () => {
    answer = (socket) => socket.write(`${headFor(10)}bytes`);
    const connection = await open({ idleTimeoutMs: 50 });
    await expect(land(connection, Buffer.alloc(10))).rejects.toThrow(errors.BodyTimeoutError);
    expect(connection.ended).toBe(true);
  });
});

describe('a body that its reader', () => {
  it('leaves early does not touch the memory any more', async () => {
    let sending = true;
    answer = (socket) => {
      socket.write(headFor(body.byteLength * 50));
      const send = (): void => {
        if (sending && !socket.destroyed) socket.write(body, send);
      };
      send();
    };
    const connection = await open();
    const memory = Buffer.alloc(body.byteLength * 50);
    for await (const piece of (await ask(connection)).landIn(memory) ?? []) if (piece.byteLength > 0) break;
    memory.fill(0xee);
    expect(connection.ended).toBe(true);
    await expect.poll(() => sockets[0]?.destroyed).toBe(true);
    sending = false;
    expect(memory.every((byte) => byte === 0xee)).toBe(true);
  });

  it('waits for ends when the attempt is cancelled', async () => {
    answer = (socket) => socket.write(`${headFor(10)}bytes`);
    const connection = await open();
    const landing = (await ask(connection)).landIn(Buffer.alloc(10)) ?? [];
    const reading = (async () => {
      for await (const piece of landing) if (piece.byteLength > 0) abort.abort();
    })();
    await expect(reading).rejects.toThrow(errors.SocketError);
    expect(connection.ended).toBe(true);
  });
});
