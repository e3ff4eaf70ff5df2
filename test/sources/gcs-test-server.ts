// Google Cloud Storage for tests, as far as reading goes: the XML API with ranges, generations and its conditions, and the token service, which checks what
// a service account signs. As the real one it knows no If-Range, and unpacks what is stored packed for who does not take it packed.
import { createHash, generateKeyPairSync } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { gunzipSync } from 'node:zlib';
import { importSPKI, jwtVerify } from 'jose';
import { closeServer, listenOn } from '../../runtime/listen.ts';

interface StoredObject {
  bytes: Buffer;
  generation: number;
  /** Anybody may read it. */
  isPublic: boolean;
  /** Content-Encoding that was stored with it. */
  encoding?: string;
}

export interface AskedRequest {
  path: string;
  headers: IncomingMessage['headers'];
}

const scope = 'https://www.googleapis.com/auth/devstorage.read_only';
const email = 'reader@tests.iam.gserviceaccount.example';

export class GcsTestServer implements AsyncDisposable {
  readonly #server: Server;
  readonly #keys = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  readonly #objects = new Map<string, StoredObject[]>();
  readonly #goodTokens = new Set<string>();
  readonly asked: AskedRequest[] = [];
  /** Names that the token service goes by beside its own. */
  readonly tokenUrls = new Set<string>();
  /** What it says of the life of a token. */
  tokenSeconds = 3_600;
  /** Reads that a token is good for. */
  readsOfToken = Number.POSITIVE_INFINITY;
  tokensMade = 0;
  origin = '';
  port = 0;

  private constructor() {
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch((error: Error) => response.destroy(error));
    });
  }

  static async start(): Promise<GcsTestServer> {
    const gcs = new GcsTestServer();
    const { host, port } = await listenOn(gcs.#server, { host: '127.0.0.1', port: 0 });
    gcs.port = port;
    gcs.origin = `http://${host}:${port}`;
    gcs.tokenUrls.add(`${gcs.origin}/token`);
    return gcs;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await closeServer(this.#server);
  }

  /** Forgets how a test wanted it. */
  reset(): void {
    this.tokenSeconds = 3_600;
    this.readsOfToken = Number.POSITIVE_INFINITY;
    this.tokensMade = 0;
    this.asked.length = 0;
  }

  /** @param path bucket and object, as in a URL. @returns the new generation of it */
  put(path: string, bytes: Buffer, more: Partial<Pick<StoredObject, 'isPublic' | 'encoding'>> = {}): number {
    const former = this.#objects.get(path) ?? [];
    const generation = 1_700_000_000_000_000 + 1_000 * this.#objects.size + former.length;
    this.#objects.set(path, [...former, { bytes, generation, isPublic: false, ...more }]);
    return generation;
  }

  /** As Google gives it out. */
  keyFile(more: Record<string, string> = {}): string {
    const { privateKey } = this.#keys;
    const account = { type: 'service_account', client_email: email, private_key: privateKey, private_key_id: 'k1' };
    return JSON.stringify({ ...account, token_uri: `${this.origin}/token`, ...more });
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname: path, searchParams } = new URL(request.url ?? '/', this.origin);
    this.asked.push({ path, headers: request.headers });
    if (request.method === 'POST' && path === '/token') return this.#giveToken(request, response);
    const versions = this.#objects.get(path.slice(1));
    const wanted = searchParams.get('generation');
    const found = wanted === null ? versions?.at(-1) : versions?.find(({ generation }) => `${generation}` === wanted);
    if (!this.#mayRead(request, found)) {
      const isAnonymous = request.headers.authorization === undefined;
      return refuse(response, isAnonymous ? 403 : 401, isAnonymous ? 'AccessDenied' : 'AuthenticationRequired');
    }
    if (found === undefined) return refuse(response, 404, 'NoSuchKey');
    return give(request, response, found);
  }

  async #giveToken(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const form = new URLSearchParams(Buffer.concat(await request.toArray()).toString());
    try {
      if (form.get('grant_type') !== 'urn:ietf:params:oauth:grant-type:jwt-bearer') throw new Error('grant_type');
      const key = await importSPKI(this.#keys.publicKey, 'RS256');
      const checks = { issuer: email, audience: [...this.tokenUrls], algorithms: ['RS256'], maxTokenAge: '1h' };
      const { payload } = await jwtVerify(form.get('assertion') ?? '', key, checks);
      if (payload['scope'] !== scope) throw new Error('scope');
    } catch {
      return json(response, 400, { error: 'invalid_grant', error_description: 'secret words of the token service' });
    }
    this.tokensMade += 1;
    const token = `ya29.${this.tokensMade}`;
    this.#goodTokens.clear();
    this.#goodTokens.add(token);
    return json(response, 200, { access_token: token, expires_in: this.tokenSeconds, token_type: 'Bearer' });
  }

  #mayRead({ headers }: IncomingMessage, found: StoredObject | undefined): boolean {
    if (found?.isPublic === true && headers.authorization === undefined) return true;
    const token = headers.authorization?.replace('Bearer ', '') ?? '';
    if (!this.#goodTokens.has(token)) return false;
    this.readsOfToken -= 1;
    if (this.readsOfToken >= 0) return true;
    this.#goodTokens.delete(token);
    this.readsOfToken = 2;
    return false;
  }
}

function give({ headers }: IncomingMessage, response: ServerResponse, object: StoredObject): void {
  const { bytes, generation, encoding } = object;
  const etag = `"${createHash('md5').update(bytes).digest('hex')}"`;
  const wanted = headers['x-goog-if-generation-match'];
  const isOther = wanted !== undefined && wanted !== `${generation}`;
  const range = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? '');
  const start = Number(range?.[1] ?? 0);
  const part = bytes.subarray(start, range === null || range[2] === '' ? undefined : Number(range[2]) + 1);
  const told = {
    ...{ etag, 'x-goog-generation': `${generation}`, 'x-goog-stored-content-length': bytes.length },
    ...(encoding === undefined ? {} : { 'content-encoding': encoding }),
    'content-length': part.length,
  };
  if (isOther || (headers['if-match'] !== undefined && headers['if-match'] !== etag)) {
    refuse(response, 412, 'PreconditionFailed');
  } else if (encoding === 'gzip' && !/\bgzip\b/.test(`${headers['accept-encoding']}`)) {
    response.writeHead(200, { etag, 'transfer-encoding': 'chunked' }).end(gunzipSync(bytes));
  } else if (range === null) {
    response.writeHead(200, told).end(part);
  } else if (start >= bytes.length) {
    refuse(response, 416, 'InvalidRange');
  } else {
    const place = `bytes ${start}-${start + part.length - 1}/${bytes.length}`;
    response.writeHead(206, { ...told, 'content-range': place }).end(part);
  }
}

function refuse(response: ServerResponse, status: number, code: string): void {
  const body = `<?xml version='1.0' encoding='UTF-8'?><Error><Code>${code}</Code><Message>No.</Message></Error>`;
  response.writeHead(status, { 'content-type': 'application/xml; charset=UTF-8' }).end(body);
}

function json(response: ServerResponse, status: number, value: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}
