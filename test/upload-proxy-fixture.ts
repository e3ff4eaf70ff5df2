// An upload proxy for tests: real TLS on both sides, a worker whose answers the test writes, and claims that it puts on a shelf. Everything is gone
// after close().
import { mkdir } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, request } from 'node:https';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { annotations } from '../domain/annotations.ts';
import type { Claim } from '../domain/kube-shapes.ts';
import type { KubeObject, ObjectKey, ObjectReader, ResourceRef } from '../domain/object-store.ts';
import { CertificateAuthority, uploadClientName, workerName } from '../runtime/certificates.ts';
import { closeServer, formatAddress, listenOn } from '../runtime/listen.ts';
import { createLogger } from '../runtime/logger.ts';
import { UploadTokens } from '../runtime/upload-tokens.ts';
import { startUploadProxy, type UploadProxy } from '../uploadproxy/start-upload-proxy.ts';
import { temporaryDirectory } from './temporary-directory.ts';

/** Of every claim on the shelf. */
export const claimUid = '11111111-2222-3333-4444-555555555555';

/** Annotations of a claim that waits for its upload. */
export const ready = {
  [annotations.uploadTarget]: '',
  [annotations.podReady]: 'true',
  [annotations.podPhase]: 'Running',
  [annotations.selectedNode]: 'local',
};

/** Claims as the API would serve them; a test changes them while the proxy waits. */
class ClaimShelf implements ObjectReader {
  readonly claims = new Map<string, Claim>();

  put(noted: Record<string, string>, name = 'disk'): void {
    const metadata = { name, namespace: 'web', uid: claimUid, annotations: noted };
    this.claims.set(name, { apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata, spec: {} });
  }

  async get<T extends KubeObject>(_resource: ResourceRef<T>, key: ObjectKey): Promise<T | undefined> {
    // Safe here: the proxy reads nothing but claims.
    return this.claims.get(key.name) as unknown as T | undefined; // Safe: claims are all that it is asked for.
  }
}

interface Answer {
  status: number;
  body: string;
  headers: IncomingMessage['headers'];
}

interface Asking {
  path?: string;
  method?: string;
  headers?: Record<string, string>;
  body?: Readable | Buffer;
}

type UploadHandler = (request: IncomingMessage, response: ServerResponse) => void;

export class ProxyFixture {
  readonly shelf = new ClaimShelf();
  readonly authority: CertificateAuthority;
  readonly tokens: UploadTokens;
  /** Where the registry says that the worker is. */
  workerAddress: string | undefined;
  /** Which private directory it says that the worker reaches. */
  directoryIdentity: string | undefined;
  /** Private, where the proxy hands bodies over. */
  readonly runDirectory: string;
  /** What the worker does with an upload. */
  handleUpload: UploadHandler = (_request, response) => response.writeHead(500).end();
  readonly #parts = new AsyncDisposableStack();
  #proxy: UploadProxy | undefined;

  private constructor(authority: CertificateAuthority, tokens: UploadTokens, runDirectory: string) {
    this.runDirectory = runDirectory;
    this.authority = authority;
    this.tokens = tokens;
  }

  static async start(): Promise<ProxyFixture> {
    await using undo = new AsyncDisposableStack();
    const directory = await temporaryDirectory(undo, 'proxy');
    const authority = await CertificateAuthority.openOrCreate(directory);
    const runDirectory = join(directory, 'run');
    await mkdir(runDirectory, { mode: 0o700 });
    const tokens = await UploadTokens.open(directory, { lifetimeSeconds: 60 });
    const fixture = new ProxyFixture(authority, tokens, runDirectory);
    await fixture.#serve(undo);
    fixture.#parts.use(undo.move());
    return fixture;
  }

  async #serve(undo: AsyncDisposableStack): Promise<void> {
    const { authority, tokens } = this;
    const server = await authority.issue({ name: 'server', cn: 'proxy', hosts: ['127.0.0.1'], usages: ['server'] });
    const client = await authority.issue({ name: 'client', cn: uploadClientName, hosts: [], usages: ['client'] });
    const tls = await authority.issue({ name: 'worker', cn: workerName('local'), hosts: [], usages: ['server'] });
    const worker = createServer({ ...tls, requestCert: true, rejectUnauthorized: true }, (...call) =>
      this.handleUpload(...call),
    );
    this.workerAddress = formatAddress(await listenOn(worker, { host: '127.0.0.1', port: 0 }));
    undo.defer(() => closeServer(worker));
    const lookup = async () => {
      if (this.workerAddress === undefined) return undefined;
      const reached = this.directoryIdentity === undefined ? {} : { directoryIdentity: this.directoryIdentity };
      return { uploadAddress: this.workerAddress, ...reached };
    };
    const proxy = await startUploadProxy({
      config: { listenHost: '127.0.0.1', uploadProxyPort: 0, readyWaitMs: 600, idleTimeoutMs: 400 },
      reader: this.shelf,
      registry: { lookup },
      tokens,
      tls: { server, client },
      runDirectory: this.runDirectory,
      logger: createLogger({ logLevel: 'silent' }, 'test'),
    });
    undo.defer(() => proxy.close());
    this.#proxy = proxy;
  }

  get address(): { host: string; port: number } {
    if (this.#proxy === undefined) throw new Error('the proxy was not started');
    return this.#proxy.address;
  }

  /** PEM, for clients of the proxy. */
  get ca(): string {
    return this.authority.certificate;
  }

  /** One claim that is ready, and a worker that refuses. */
  reset(): void {
    this.shelf.claims.clear();
    this.shelf.put(ready);
    this.directoryIdentity = undefined;
    this.handleUpload = (_request, response) => response.writeHead(500).end();
  }

  async close(): Promise<void> {
    await this.#parts.disposeAsync();
  }

  async ask({ path = '/v1beta1/upload', method = 'POST', headers = {}, body }: Asking = {}): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const call = request({ ...this.address, path, method, headers, ca: this.ca, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.once('end', () => {
        resolve({ status: response.statusCode ?? 0, body: text, headers: response.headers });
        call.destroy();
      });
    });
    call.on('error', reject);
    if (body instanceof Readable)
      pipeline(body, call).catch(() => undefined); // the answer is what counts
    else call.end(body);
    return promise;
  }

  /** The header of a client that may upload into the claim. */
  async bearer(target: { uid?: string } = {}): Promise<Record<string, string>> {
    const token = await this.tokens.issue({ namespace: 'web', name: 'disk', uid: claimUid, ...target });
    return { authorization: `Bearer ${token}` };
  }
}

/** A body of that many bytes that comes as fast as it is taken. */
export function bytes(count: number): Readable {
  return Readable.from(
    (function* chunks() {
      for (let left = count; left > 0; left -= 65_536) yield Buffer.alloc(Math.min(left, 65_536), 7);
    })(),
  );
}

export async function countBody(request: IncomingMessage): Promise<number> {
  let count = 0;
  for await (const chunk of request) count += chunk.length;
  return count;
}
