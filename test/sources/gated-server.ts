// A web server with ranges for what a test sets: it holds everything behind the first 64 KiB back until it is let go, wants a user where the test says so, and
// counts the bytes of content that it handed out.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { closeServer, formatAddress, listenOn } from '../../runtime/listen.ts';

export interface Content {
  bytes: Buffer;
  /** Sent as they are; a range is served only with an ETag. */
  headers: Readonly<Record<string, string>>;
  /** `user:password` pairs that are let in; all are where there are none. */
  users?: readonly string[];
}

const freeBytes = 65_536;
const pieceBytes = 65_536;

export class GatedServer {
  readonly #server: Server;
  readonly #contents = new Map<string, Content>();
  #address = '';
  #gate = Promise.withResolvers<void>();
  sentBytes = 0;
  /** Requests for what lies behind the first 64 KiB. */
  heldRequests = 0;

  private constructor() {
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch(() => response.destroy()); // the client went away
    });
  }

  static async start(): Promise<GatedServer> {
    const server = new GatedServer();
    server.#address = formatAddress(await listenOn(server.#server, { host: '127.0.0.1', port: 0 }));
    return server;
  }

  set(name: string, content: Content): string {
    this.#contents.set(name, content);
    return `http://${this.#address}/${name}`;
  }

  /** What was asked for so far, and is asked for later, is sent. */
  letGo(): void {
    this.#gate.resolve();
  }

  /** Counts from nothing, and holds back again. */
  reset(): void {
    this.#gate.resolve();
    this.#gate = Promise.withResolvers<void>();
    this.sentBytes = 0;
    this.heldRequests = 0;
  }

  async stop(): Promise<void> {
    this.letGo();
    this.#server.closeAllConnections();
    await closeServer(this.#server);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const content = this.#contents.get((request.url ?? '').slice(1).replace(/\?.*$/, ''));
    if (content === undefined) return void response.writeHead(404).end();
    const user = Buffer.from((request.headers.authorization ?? '').replace('Basic ', ''), 'base64').toString();
    if (content.users !== undefined && !content.users.includes(user)) return void response.writeHead(401).end();
    const { bytes, headers } = content;
    const asked = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
    const isRange = asked !== null && 'etag' in headers;
    const start = isRange ? Number(asked[1]) : 0;
    const end = isRange ? Math.min(bytes.length, Number(asked[2]) + 1) : bytes.length;
    const range = isRange ? { 'content-range': `bytes ${start}-${end - 1}/${bytes.length}` } : {};
    response.writeHead(isRange ? 206 : 200, { 'content-length': end - start, ...headers, ...range });
    await pipeline(this.#pieces(bytes.subarray(0, end), start), response);
  }

  async *#pieces(bytes: Buffer, start: number): AsyncGenerator<Buffer> {
    for (let at = start; at < bytes.length; at += pieceBytes) {
      if (at >= freeBytes) await this.#pass();
      const piece = bytes.subarray(at, at + pieceBytes);
      this.sentBytes += piece.length;
      yield piece;
    }
  }

  async #pass(): Promise<void> {
    this.heldRequests += 1;
    await this.#gate.promise;
  }
}
