// A long, narrow line in front of a server: every byte arrives after half a round trip, and each connection carries only so many a second. To connect takes a
// round trip too. It does not model lost packets, nor that a new connection begins slowly.
import { connect, createServer, type Server, type Socket } from 'node:net';
import { closeServer, listenOn } from '../runtime/listen.ts';

export interface Line {
  roundTripMs: number;
  bytesPerSecond: number;
}

export class SlowRelay implements AsyncDisposable {
  readonly url: string;
  readonly #server: Server;
  readonly #sockets: Set<Socket>;

  private constructor(url: string, server: Server, sockets: Set<Socket>) {
    this.url = url;
    this.#server = server;
    this.#sockets = sockets;
  }

  /** @param target of a server on this machine, without TLS */
  static async start(target: string, line: Line): Promise<SlowRelay> {
    const { hostname, port } = new URL(target);
    const sockets = new Set<Socket>();
    const server = createServer((client) => {
      const upstream = connect(Number(port), hostname);
      for (const socket of [client, upstream]) {
        sockets.add(socket.setNoDelay());
        socket.once('close', () => sockets.delete(socket));
        socket.on('error', () => undefined); // its close ends the other side
      }
      carry(client, upstream, line, performance.now() + line.roundTripMs);
      carry(upstream, client, line, 0);
    });
    const address = await listenOn(server, { host: '127.0.0.1', port: 0 });
    return new SlowRelay(`http://127.0.0.1:${address.port}`, server, sockets);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await closeServer(this.#server);
  }
}

/** One direction of one connection. @param openedAt nothing leaves before */
function carry(from: Socket, to: Socket, { roundTripMs, bytesPerSecond }: Line, openedAt: number): void {
  const delayMs = roundTripMs / 2;
  // As much as is on the line, and as much again that waits for its turn.
  const mostBytes = (2 * bytesPerSecond * delayMs) / 1000 + 262_144;
  const onTheLine: { bytes: Buffer | undefined; dueMs: number }[] = [];
  let [queuedBytes, freeAt, isFull] = [0, openedAt, false];
  let timer: NodeJS.Timeout | undefined;
  const deliver = (): void => {
    timer = undefined;
    while (!isFull && (onTheLine[0]?.dueMs ?? Number.POSITIVE_INFINITY) <= performance.now()) {
      const bytes = onTheLine.shift()?.bytes;
      if (bytes === undefined) return void to.end();
      queuedBytes -= bytes.byteLength;
      isFull = !to.write(bytes);
    }
    if (queuedBytes < mostBytes) from.resume();
    const next = onTheLine[0];
    if (!isFull && next !== undefined) timer ??= setTimeout(deliver, Math.max(0, next.dueMs - performance.now()));
  };
  const send = (bytes: Buffer | undefined): void => {
    freeAt = Math.max(freeAt, performance.now()) + ((bytes?.byteLength ?? 0) / bytesPerSecond) * 1000;
    onTheLine.push({ bytes, dueMs: freeAt + delayMs });
    queuedBytes += bytes?.byteLength ?? 0;
    if (queuedBytes >= mostBytes) from.pause();
    if (onTheLine.length === 1 && !isFull)
      timer ??= setTimeout(deliver, Math.max(0, freeAt + delayMs - performance.now()));
  };
  from.on('data', send).once('end', () => send(undefined));
  from.once('close', () => from.readableEnded || to.destroy());
  to.on('drain', () => {
    isFull = false;
    deliver();
  });
  to.once('close', () => clearTimeout(timer));
}
