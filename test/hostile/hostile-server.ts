// A web server that misbehaves on purpose. A path is `/<behaviour>/<name>`; what lies under the name is set by the test. Counts the requests
// and the bytes of bodies that it handed out, so that a test can say how much a refusal may cost.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { behaviours } from './hostile-behaviours.ts';

export interface SeenRequest {
  path: string;
  range: string | undefined;
  ifRange: string | undefined;
  authorization: string | undefined;
  userAgent: string | undefined;
  extra: string | undefined;
}

export class HostileServer {
  readonly #server: Server;
  readonly #contents = new Map<string, Buffer>();
  readonly seen: SeenRequest[] = [];
  /** Set by a test: `redirect` goes there. */
  redirectTo = '';
  sentBytes = 0;
  /** Requests that are being answered. */
  answering = 0;

  private constructor() {
    this.#server = createServer((request, response) => this.#answer(request, response));
  }

  static async start(): Promise<HostileServer> {
    const server = new HostileServer();
    const { promise, resolve } = Promise.withResolvers<void>();
    server.#server.listen(0, '127.0.0.1', () => resolve());
    await promise;
    return server;
  }

  set(name: string, content: Buffer): void {
    this.#contents.set(name, content);
  }

  contentOf(name: string): Buffer {
    return this.#contents.get(name) ?? Buffer.alloc(0);
  }

  get origin(): string {
    // Safe: it listens on TCP.
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  url(behaviour: string, name: string): string {
    return `${this.origin}/${behaviour}/${name}`;
  }

  /** Forgets what was seen. */
  forget(): void {
    this.seen.length = 0;
    this.sentBytes = 0;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    await promise;
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const { range, 'if-range': ifRange, authorization, 'user-agent': userAgent, 'x-extra': extra } = request.headers;
    const path = request.url ?? '/';
    this.seen.push({ path, range, ifRange: one(ifRange), authorization, userAgent, extra: one(extra) });
    const [, behaviour = '', name = ''] = path.replace(/\?.*$/, '').split('/');
    const act = behaviours[behaviour];
    const content = this.contentOf(name);
    if (act === undefined || request.method !== 'GET') {
      response.writeHead(act === undefined ? 404 : 405).end();
      return;
    }
    response.on('error', () => undefined);
    this.answering += 1;
    response.on('close', () => {
      this.answering -= 1;
    });
    act(content, request, response, this);
  }
}

function one(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}
