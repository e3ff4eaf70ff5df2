// A proxy for tests that leads every name to a port of this machine, forwarded or tunnelled, and remembers who was asked for. It may want a password.
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { closeServer, listenOn } from '../../runtime/listen.ts';

export class LeadingProxy implements AsyncDisposable {
  readonly #server: Server;
  readonly #tunnels = new Set<Socket>();
  readonly #portOf: (host: string) => number;
  /** `user:password` that is asked for. */
  readonly #user: string | undefined;
  /** Hosts that were asked for, with their port where it is not the usual one. */
  readonly hosts = new Set<string>();
  #address = '';

  private constructor(portOf: (host: string) => number, user: string | undefined) {
    this.#portOf = portOf;
    this.#user = user;
    this.#server = createServer((from, to) => this.#forward(from, to));
    this.#server.on('connect', (from: IncomingMessage, socket: Duplex) => this.#tunnel(from, socket));
  }

  /** @param portOf the port on loopback where a host really is */
  static async start(portOf: (host: string) => number, user?: string): Promise<LeadingProxy> {
    const proxy = new LeadingProxy(portOf, user);
    const { host, port } = await listenOn(proxy.#server, { host: '127.0.0.1', port: 0 });
    proxy.#address = `${host}:${port}`;
    return proxy;
  }

  get url(): string {
    return `http://${this.#user === undefined ? '' : `${this.#user}@`}${this.#address}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const tunnel of this.#tunnels) tunnel.destroy();
    this.#server.closeAllConnections();
    await closeServer(this.#server);
  }

  #isLetIn({ headers }: IncomingMessage): boolean {
    if (this.#user === undefined) return true;
    return headers['proxy-authorization'] === `Basic ${Buffer.from(this.#user).toString('base64')}`;
  }

  #forward(from: IncomingMessage, to: ServerResponse): void {
    if (!this.#isLetIn(from)) return void to.writeHead(407).end();
    const { host, hostname, pathname, search } = new URL(from.url ?? '');
    this.hosts.add(host);
    const place = { host: '127.0.0.1', port: this.#portOf(hostname), path: `${pathname}${search}` };
    const { 'proxy-authorization': _, ...headers } = from.headers;
    const onward = request({ ...place, method: from.method, headers }, (answer) => {
      to.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(to);
    });
    onward.on('error', () => to.destroy());
    from.pipe(onward);
  }

  #tunnel(from: IncomingMessage, socket: Duplex): void {
    if (!this.#isLetIn(from)) return void socket.end('HTTP/1.1 407 No\r\n\r\n');
    const [host = ''] = (from.url ?? '').split(':');
    this.hosts.add(from.url ?? '');
    const onward = connect(this.#portOf(host), '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      onward.pipe(socket);
      socket.pipe(onward);
    });
    this.#tunnels.add(onward);
    onward.on('close', () => this.#tunnels.delete(onward));
    onward.on('error', () => socket.destroy());
    socket.on('error', () => onward.destroy());
  }
}
