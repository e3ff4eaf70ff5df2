// A TCP relay for tests that makes a server distant: half a round trip each way, and so many bytes a second on each connection. Counts what it passes on.
import { connect, createServer, type Server, type Socket } from 'node:net';
import { closeServer, listenOn } from '../../runtime/listen.ts';

export interface Distance {
  roundTripMs: number;
  bytesPerSecond: number;
}

/** Longest queue of one connection in ms beyond half a round trip, as of the buffers on the way. */
const queueMs = 100;

export class DistantRelay implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #distance: Distance;
  /** Further connections are hung up on. */
  mostConnections = Number.POSITIVE_INFINITY;
  /** Most that were open at the same time. */
  connections = 0;
  /** Bytes that came from the server. */
  passedBytes = 0;
  #open = 0;
  origin = '';

  private constructor(target: number, distance: Distance) {
    this.#distance = distance;
    this.#server = createServer((near) => this.#pass(near, target));
  }

  /** @param target port on loopback */
  static async start(target: number, distance: Distance): Promise<DistantRelay> {
    const relay = new DistantRelay(target, distance);
    const { host, port } = await listenOn(relay.#server, { host: '127.0.0.1', port: 0 });
    relay.origin = `http://${host}:${port}`;
    return relay;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await closeServer(this.#server);
  }

  #pass(near: Socket, target: number): void {
    if (this.#open >= this.mostConnections) return void near.resetAndDestroy();
    this.#open += 1;
    this.connections = Math.max(this.connections, this.#open);
    const far = connect(target, '127.0.0.1');
    near.once('close', () => {
      this.#open -= 1;
    });
    const { roundTripMs, bytesPerSecond } = this.#distance;
    far.on('data', (bytes) => {
      this.passedBytes += bytes.byteLength;
    });
    this.#delay(near, far, roundTripMs / 2, Number.POSITIVE_INFINITY);
    this.#delay(far, near, roundTripMs / 2, bytesPerSecond);
  }

  #delay(from: Socket, to: Socket, delayMs: number, bytesPerSecond: number): void {
    const queue: { bytes: Buffer | undefined; dueAt: number }[] = [];
    let freeAt = 0;
    let timer: NodeJS.Timeout | undefined;
    const pump = (): void => {
      timer = undefined;
      const now = performance.now();
      for (let first = queue[0]; first !== undefined && first.dueAt <= now; first = queue[0]) {
        queue.shift();
        if (first.bytes === undefined) to.destroySoon();
        else to.write(first.bytes);
      }
      const next = queue[0];
      if (next !== undefined && !to.destroyed) timer = setTimeout(pump, Math.max(1, next.dueAt - now));
      if (freeAt - now < queueMs) from.resume();
    };
    const add = (bytes: Buffer | undefined): void => {
      freeAt = Math.max(performance.now(), freeAt) + (1_000 * (bytes?.byteLength ?? 0)) / bytesPerSecond;
      queue.push({ bytes, dueAt: freeAt + delayMs });
      if (timer === undefined) timer = setTimeout(pump, delayMs);
      if (freeAt - performance.now() > queueMs) from.pause();
    };
    this.#sockets.add(from);
    from.on('data', add);
    from.on('error', () => to.destroy());
    from.on('close', () => {
      this.#sockets.delete(from);
      add(undefined);
    });
  }
}
