// A registry of the tests' own, in memory: what it holds is put there digest by digest, and a test may say how it answers a path. With a token server.
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { gzipSync } from 'node:zlib';
import { closeServer, listenOn } from '../../runtime/listen.ts';

export const types = {
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  index: 'application/vnd.oci.image.index.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
};

export interface Descriptor {
  mediaType: string;
  digest: string;
  size: number;
}

export interface ImageParts {
  /** The lowest first; packed as they are to be served. */
  layers: readonly Buffer[];
  architecture?: string;
  environment?: readonly string[];
  labels?: Readonly<Record<string, string>>;
}

/** True where it has answered. */
type Answer = (request: IncomingMessage, response: ServerResponse) => boolean;

export class TestRegistry {
  readonly #server: Server;
  readonly #contents = new Map<string, { bytes: Buffer; type: string }>();
  /** Asked first, with each request. */
  answer: Answer = () => false;
  /** Where set, only a bearer of a token that is still good is let in. */
  tokens: { good: Set<string>; user?: string; usesOfEach: number } | undefined;
  /** Method and path of what was asked, tokens apart. */
  readonly requests: string[] = [];
  readonly asked: IncomingMessage['headers'][] = [];
  servesRanges = true;
  host = '';
  /** Where its token server is said to be; its own by default. */
  tokenOrigin: string | undefined;
  #tokensMade = 0;
  readonly #uses = new Map<string, number>();

  private constructor() {
    this.#server = createServer((request, response) => this.#serve(request, response));
  }

  static async start(): Promise<TestRegistry> {
    const registry = new TestRegistry();
    const { host, port } = await listenOn(registry.#server, { host: '127.0.0.1', port: 0 });
    registry.host = `${host}:${port}`;
    return registry;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await closeServer(this.#server);
  }

  /** Forgets how a test wanted it. */
  reset(): void {
    this.answer = () => false;
    this.tokens = undefined;
    this.servesRanges = true;
    this.requests.length = 0;
    this.asked.length = 0;
  }

  url(reference: string): string {
    return `docker://${this.host}/disks${reference}`;
  }

  blob(bytes: Buffer, mediaType: string = types.layer): Descriptor {
    const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
    this.#contents.set(`/v2/disks/blobs/${digest}`, { bytes, type: 'application/octet-stream' });
    return { mediaType, digest, size: bytes.length };
  }

  /** @param value object, or the very bytes */
  manifest(value: object | Buffer, options: { tag?: string; type?: string } = {}): Descriptor {
    const bytes = Buffer.isBuffer(value) ? value : Buffer.from(JSON.stringify(value));
    const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
    const type = options.type ?? types.manifest;
    for (const name of [digest, options.tag]) {
      if (name !== undefined) this.#contents.set(`/v2/disks/manifests/${name}`, { bytes, type });
    }
    return { mediaType: type, digest, size: bytes.length };
  }

  /** A whole image under a tag. */
  image(tag: string, { layers, architecture = 'amd64', environment = [], labels = {} }: ImageParts): Descriptor {
    const config = { architecture, os: 'linux', config: { Env: environment, Labels: labels } };
    return this.manifest(
      {
        ...{ schemaVersion: 2, mediaType: types.manifest },
        config: this.blob(Buffer.from(JSON.stringify(config)), types.config),
        layers: layers.map((layer) => this.blob(layer)),
      },
      { tag },
    );
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const { pathname } = new URL(request.url ?? '/', `http://${this.host}`);
    if (pathname === '/token') this.#giveToken(request, response);
    else this.#giveContent(request, response, pathname);
  }

  #giveContent(request: IncomingMessage, response: ServerResponse, pathname: string): void {
    this.requests.push(`${request.method} ${pathname}`);
    this.asked.push(request.headers);
    if (!this.#isLetIn(request, response) || this.answer(request, response)) return;
    const content = this.#contents.get(pathname);
    if (content === undefined) {
      const code = pathname.includes('/manifests/') ? 'MANIFEST_UNKNOWN' : 'BLOB_UNKNOWN';
      response.writeHead(404, { 'content-type': 'application/json' });
      return void response.end(JSON.stringify({ errors: [{ code, message: 'secret words of the registry' }] }));
    }
    this.send(request, response, content.bytes, content.type);
  }

  /** As a server of files answers. */
  send(request: IncomingMessage, response: ServerResponse, bytes: Buffer, type = 'application/octet-stream'): void {
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
    if (range === null || !this.servesRanges) {
      return void response.writeHead(200, { 'content-type': type, 'content-length': bytes.length }).end(bytes);
    }
    const start = Number(range[1]);
    const part = bytes.subarray(start, Number(range[2]) + 1);
    const told = `bytes ${start}-${start + part.length - 1}/${bytes.length}`;
    response.writeHead(206, { 'content-type': type, 'content-range': told, 'content-length': part.length }).end(part);
  }

  #isLetIn({ headers }: IncomingMessage, response: ServerResponse): boolean {
    if (this.tokens === undefined) return true;
    const token = headers.authorization?.replace('Bearer ', '') ?? '';
    const uses = this.#uses.get(token) ?? 0;
    this.#uses.set(token, uses + 1);
    if (this.tokens.good.has(token) && uses < this.tokens.usesOfEach) return true;
    const challenge = `Bearer realm="${this.tokenOrigin ?? `http://${this.host}`}/token",service="test",scope="repository:disks:pull"`;
    response.writeHead(401, { 'www-authenticate': challenge }).end();
    return false;
  }

  #giveToken(request: IncomingMessage, response: ServerResponse): void {
    const wanted = this.tokens?.user;
    const isUser = request.headers.authorization === `Basic ${Buffer.from(wanted ?? '').toString('base64')}`;
    if (wanted !== undefined && !isUser) return void response.writeHead(401).end();
    this.#tokensMade += 1;
    const token = `token-${this.#tokensMade}`;
    this.tokens?.good.add(token);
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ token, expires_in: 60 }));
  }
}

export function packed(bytes: Buffer): Buffer {
  return gzipSync(bytes, { level: 1 });
}
