// One connection to a web server without TLS and without a proxy, for many ranges of a large file one after the other. The kernel puts the body right
// where it is wanted, or in large pieces into one buffer, which takes a third of the work of a general client. It understands the one plain answer that
// file servers give, and says of any other one that it is not for it: the general client then asks again and judges.
import { connect, type Socket } from 'node:net';
import { errors } from 'undici';
import type { Config } from '../../runtime/config.ts';
import type { AddressGuard } from './address-guard.ts';
import { Landing } from './landing.ts';
import { type PlainHead, parsePlainHead } from './plain-head.ts';

export type Limits = Pick<Config, 'connectTimeoutMs' | 'firstByteTimeoutMs' | 'idleTimeoutMs'>;

/** What all connections of one attempt share. */
export interface Surroundings {
  limits: Limits;
  guard: AddressGuard;
  /** Ends them. */
  signal: AbortSignal;
}

/** An answer whose body, for 206, has a known length. */
export interface PlainAnswer {
  status: number;
  headers: Record<string, string>;
  body: PlainBody;
}

/** A piece may be overwritten once the next one is asked for. */
export interface PlainBody extends AsyncIterable<Buffer> {
  /** The body in place of the iteration: its pieces lie in the memory, in order from the beginning, and stay. @returns undefined where it is longer */
  landIn(memory: Buffer): AsyncIterable<Buffer> | undefined;
  destroy(): void;
}

const bufferBytes = 512 * 1024;
const longestHeadBytes = 16 * 1024;

export class PlainConnection {
  readonly #socket: Socket;
  readonly #limits: Limits;
  readonly #memory = Buffer.allocUnsafeSlow(bufferBytes);
  /** Small, so that little of a body comes with its head. */
  readonly #headMemory = this.#memory.subarray(0, longestHeadBytes);
  readonly #opened = Promise.withResolvers<void>();
  /** Anything but idle: one request has it. */
  #state: 'idle' | 'head' | 'body' = 'head';
  #sentTooMuch = false;
  #failure: Error | undefined;
  /** What came and was not taken yet. Reading stands still while there is something. */
  #piece: Buffer | undefined;
  /** Where the body is to lie; reading goes on until it does. */
  #landing: Landing | undefined;
  /** Settles when something came. */
  #waiting: PromiseWithResolvers<void> | undefined;
  /** Of the body, not taken yet. */
  #left = 0;
  #limitMs: number;

  private constructor(url: URL, { limits, guard, signal }: Surroundings) {
    guard.assertLiteral(url.hostname);
    this.#limits = limits;
    this.#limitMs = limits.firstByteTimeoutMs;
    this.#socket = connect({
      host: url.hostname.replace(/^\[|\]$/g, ''),
      port: url.port === '' ? 80 : Number(url.port),
      lookup: guard.lookup,
      onread: { buffer: () => this.#nextMemory(), callback: (bytes, memory) => this.#came(bytes, memory) },
    });
    const onAbort = (): void => this.destroy();
    signal.addEventListener('abort', onAbort, { once: true });
    this.#socket.once('connect', () => this.#opened.resolve());
    this.#socket.once('end', () => this.destroy());
    this.#socket.once('error', (error) => this.#fail(error));
    this.#socket.once('close', () => {
      signal.removeEventListener('abort', onAbort);
      this.#fail(new errors.SocketError('other side closed'));
    });
    this.#socket.on('timeout', () => this.#timeOut());
    this.#opened.promise.catch(() => undefined); // whoever opens it awaits it
  }

  /** Taken for a first request. @throws Fault SourceAddressRefused, the error of the socket, or of undici for a time limit */
  static async open(url: URL, surroundings: Surroundings): Promise<PlainConnection> {
    const connection = new PlainConnection(url, surroundings);
    if (surroundings.signal.aborted) connection.destroy();
    connection.#socket.setTimeout(surroundings.limits.connectTimeoutMs);
    await connection.#opened.promise;
    connection.#socket.setNoDelay();
    return connection;
  }

  /** Takes it for the next request, as `open` does for the first. @returns false where another one has it, or it has ended */
  tryTake(): boolean {
    if (this.ended || this.#state !== 'idle') return false;
    this.#state = 'head';
    return true;
  }

  get ended(): boolean {
    return this.#failure !== undefined || this.#socket.destroyed;
  }

  /** True once bytes came that no answer had declared. */
  get sentTooMuch(): boolean {
    return this.#sentTooMuch;
  }

  /** Of who took it. @returns undefined for an answer that it does not understand; the connection is ended then. @throws as `open` */
  async ask(url: URL, headers: Record<string, string>): Promise<PlainAnswer | undefined> {
    const lines = Object.entries({ host: url.host, ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
    this.#socket.write(`GET ${url.pathname}${url.search} HTTP/1.1\r\n${lines.join('')}\r\n`, 'latin1');
    const head = await this.#head();
    if (head === undefined || (head.status === 206 && head.lengthBytes === undefined)) {
      this.destroy();
      return undefined;
    }
    this.#left = head.lengthBytes ?? 0;
    const { status } = head;
    return { status, headers: head.headers, body: this.#bodyOf(head) };
  }

  destroy(): void {
    this.#socket.destroy();
  }

  async #head(): Promise<PlainHead | undefined> {
    let bytes = Buffer.alloc(0);
    this.#limitMs = this.#limits.firstByteTimeoutMs;
    while (bytes.byteLength < longestHeadBytes) {
      bytes = Buffer.concat([bytes, await this.#next()]);
      const end = bytes.indexOf('\r\n\r\n');
      if (end < 0) continue;
      this.#state = 'body';
      if (end + 4 < bytes.byteLength) this.#piece = bytes.subarray(end + 4);
      return parsePlainHead(bytes.toString('latin1', 0, end));
    }
    return undefined;
  }

  #bodyOf(head: PlainHead): PlainBody {
    const pieces = { [Symbol.asyncIterator]: () => this.#pieces(head) };
    const landIn = (memory: Buffer): typeof pieces | undefined => {
      if (this.#left > memory.byteLength) return undefined;
      this.#landing = new Landing(memory.subarray(0, this.#left));
      if (this.#piece !== undefined) this.#land(this.#piece);
      this.#piece = undefined;
      return pieces;
    };
    return { ...pieces, landIn, destroy: () => this.destroy() };
  }

  async *#pieces({ keepsAlive }: PlainHead): AsyncGenerator<Buffer, void, undefined> {
    this.#limitMs = this.#limits.idleTimeoutMs;
    try {
      while (this.#left > 0) {
        const piece = await this.#next();
        const own = piece.byteLength > this.#left ? piece.subarray(0, this.#left) : piece;
        this.#left -= own.byteLength;
        if (own.byteLength < piece.byteLength) this.#sentTooMuch = true;
        yield own;
      }
    } finally {
      this.#landing = undefined;
      if (this.#left > 0 || this.#piece !== undefined || this.#sentTooMuch || !keepsAlive) this.destroy();
      else this.#rest();
    }
  }

  /** Reads on, so that a hang-up or a byte too much is noticed. */
  #rest(): void {
    this.#state = 'idle';
    this.#socket.setTimeout(0);
    this.#socket.resume();
  }

  async #next(): Promise<Buffer> {
    for (;;) {
      const piece = this.#piece ?? this.#landing?.take();
      this.#piece = undefined;
      if (piece !== undefined) return piece;
      if (this.#failure !== undefined) throw this.#failure;
      this.#waiting = Promise.withResolvers<void>();
      this.#socket.setTimeout(this.#limitMs);
      this.#socket.resume();
      await this.#waiting.promise;
    }
  }

  #nextMemory(): Buffer {
    if (this.#state !== 'body') return this.#headMemory;
    const memory = this.#landing?.rest ?? this.#memory;
    return memory.byteLength > 0 ? memory : this.#headMemory;
  }

  /** @returns whether reading goes on; else it stands still until something is waited for */
  #came(bytes: number, memory: Uint8Array): boolean {
    if (this.#state === 'idle') {
      this.#sentTooMuch = true;
      this.destroy();
      return false;
    }
    const piece = Buffer.from(memory.buffer, memory.byteOffset, bytes);
    if (this.#landing === undefined) this.#piece = piece;
    else this.#land(piece);
    this.#waiting?.resolve();
    this.#waiting = undefined;
    return this.#landing !== undefined && this.#landing.rest.byteLength > 0;
  }

  #land(piece: Buffer): void {
    if (this.#landing?.add(piece) === false) this.#sentTooMuch = true;
  }

  #timeOut(): void {
    if (this.#socket.connecting) this.#fail(new errors.ConnectTimeoutError());
    else if (this.#state === 'head') this.#fail(new errors.HeadersTimeoutError());
    else if (this.#waiting !== undefined) this.#fail(new errors.BodyTimeoutError());
    else return; // nobody waits for the server now
    this.destroy();
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#opened.reject(this.#failure);
    this.#waiting?.reject(this.#failure);
    this.#waiting = undefined;
  }
}
