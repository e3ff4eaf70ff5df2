// One client of the NBD server: handshake, then requests, answered in the order in which they came.
import type { Socket } from 'node:net';
import { Fault } from '../../domain/fault.ts';
import {
  commands,
  errnos,
  exportInfo,
  exportSummary,
  greeting,
  longestReadBytes,
  type NbdRequest,
  optionHeaderBytes,
  optionReply,
  options,
  parseOptionHeader,
  parseRequest,
  replies,
  requestBytes,
  simpleReply,
} from './nbd-protocol.ts';
import type { Piece, RandomReader } from './random-reader.ts';

const longestOptionBytes = 8192;
const mostQueued = 64;
/** Bytes of answers that may wait for the client, so that it finds the next answer when it has taken one. */
const mostUnsentBytes = 4 * 1024 * 1024;
const clientNoZeroes = 2;

export class NbdSession {
  readonly #socket: Socket;
  readonly #reader: RandomReader;
  readonly #size: bigint;
  #tail: Promise<void> = Promise.resolve();
  #queued = 0;
  #unsentBytes = 0;
  /** Settles when a piece has left. */
  #sent = Promise.withResolvers<void>();
  /** Settles when there may be something to read, or nothing ever again. */
  #came = Promise.withResolvers<void>();

  constructor(socket: Socket, reader: RandomReader, size: bigint) {
    this.#socket = socket;
    this.#reader = reader;
    this.#size = size;
    for (const event of ['readable', 'end', 'close']) socket.on(event, () => this.#tellCame());
  }

  /** Serves until the client goes. @throws whatever the reader fails with; the client is cut off then */
  async run(): Promise<void> {
    try {
      if (await this.#shakeHands()) await this.#serve();
      await this.#tail;
      this.#socket.end();
    } finally {
      this.#socket.destroy();
    }
  }

  /** @returns true once the client wants to transfer */
  async #shakeHands(): Promise<boolean> {
    await this.#send(greeting());
    const flags = await this.#take(4);
    if (flags === undefined) return false;
    for (;;) {
      const header = await this.#take(optionHeaderBytes);
      const parsed = header === undefined ? undefined : parseOptionHeader(header);
      if (parsed === undefined || parsed.length > longestOptionBytes) return false;
      if (parsed.length > 0 && (await this.#take(parsed.length)) === undefined) return false;
      switch (parsed.option) {
        case options.go:
          await this.#send(exportInfo(parsed.option, this.#size));
          return true;
        case options.info:
          await this.#send(exportInfo(parsed.option, this.#size));
          break;
        case options.exportName:
          await this.#send(exportSummary(this.#size));
          if ((flags.readUInt32BE(0) & clientNoZeroes) === 0) await this.#send(Buffer.alloc(124));
          return true;
        case options.list:
          await this.#send(optionReply(parsed.option, replies.server, Buffer.alloc(4)));
          await this.#send(optionReply(parsed.option, replies.ack));
          break;
        case options.abort:
          await this.#send(optionReply(parsed.option, replies.ack));
          return false;
        default:
          await this.#send(optionReply(parsed.option, replies.unsupported));
      }
    }
  }

  async #serve(): Promise<void> {
    for (;;) {
      const bytes = await this.#take(requestBytes);
      const request = bytes === undefined ? undefined : parseRequest(bytes);
      if (request === undefined || request.command === commands.disconnect) return;
      if (request.command === commands.read) this.#reader.prepare(Number(request.offset), request.length);
      this.#queued += 1;
      const answer = this.#tail.then(() => this.#answer(request));
      this.#tail = answer.finally(() => {
        this.#queued -= 1;
      });
      this.#tail.catch(() => this.#socket.destroy()); // awaited by run, which then throws it
      if (this.#queued >= mostQueued) await this.#tail;
    }
  }

  async #answer(request: NbdRequest): Promise<void> {
    const { command, cookie, length } = request;
    if (command === commands.flush) return this.#send(simpleReply(cookie, errnos.none));
    if (command !== commands.read) throw new Fault('Internal', `the NBD client sent command ${command}`);
    if (length === 0 || length > longestReadBytes) return this.#send(simpleReply(cookie, errnos.invalid));
    this.#socket.cork();
    this.#socket.write(simpleReply(cookie, errnos.none));
    let corked = true;
    for await (const piece of this.#reader.read(Number(request.offset), length)) {
      this.#sendPiece(piece);
      if (corked) this.#socket.uncork();
      corked = false;
      while (this.#unsentBytes > mostUnsentBytes) await this.#sent.promise;
      if (this.#socket.destroyed) return; // the client has gone
    }
  }

  /** Does not wait until it has left: the memory is held until then, and the next pieces are prepared meanwhile. */
  #sendPiece({ bytes, release }: Piece): void {
    this.#unsentBytes += bytes.byteLength;
    this.#socket.write(bytes, () => {
      // Also after a failure: the session ends then, as the next request or the end of the socket tells.
      release();
      this.#unsentBytes -= bytes.byteLength;
      this.#sent.resolve();
      this.#sent = Promise.withResolvers<void>();
    });
  }

  /** @returns undefined where the client has gone */
  async #take(bytes: number): Promise<Buffer | undefined> {
    for (;;) {
      // Safe: no encoding is set on the socket.
      const taken = this.#socket.read(bytes) as Buffer | null;
      if (taken !== null) return taken.byteLength === bytes ? taken : undefined;
      if (this.#socket.readableEnded || this.#socket.destroyed) return undefined;
      await this.#came.promise;
    }
  }

  /** An error shows as `close`. */
  #tellCame(): void {
    this.#came.resolve();
    this.#came = Promise.withResolvers<void>();
  }

  /** Settles when the bytes have left this process, so that their memory may be used again. */
  async #send(bytes: Buffer): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#socket.write(bytes, (error) => (error === null || error === undefined ? resolve() : reject(error)));
    await promise;
  }
}
