// A whole API for tests: own store, own certificates, real HTTPS, real users. No controller: tests write status themselves.
import { writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { join } from 'node:path';
import type { Operations } from '../../api/rest/request-context.ts';
import { type RunningApi, startApi } from '../../api/start-api.ts';
import { SqliteStore } from '../../api/store/sqlite-store.ts';
import { Users } from '../../api/users.ts';
import { CertificateAuthority, type TlsPair } from '../../runtime/certificates.ts';
import { type Config, loadConfig } from '../../runtime/config.ts';
import { createLogger } from '../../runtime/logger.ts';
import { UploadTokens } from '../../runtime/upload-tokens.ts';
import { temporaryDirectory } from '../temporary-directory.ts';

export interface Answer {
  status: number;
  headers: Readonly<Record<string, string | string[] | undefined>>;
  text: string;
  /** Parsed; members are looked up with `toMatchObject`. */
  body: unknown;
}

export interface Asked {
  method?: string;
  path: string;
  /** undefined: the administrator's; null: none. */
  token?: string | null;
  headers?: Record<string, string>;
  /** Text goes as it is, everything else as JSON. */
  body?: unknown;
  /** A client certificate. */
  certificate?: TlsPair;
}

export class ApiUnderTest {
  readonly directory: string;
  readonly store: SqliteStore;
  readonly users: Users;
  readonly tokens: UploadTokens;
  readonly authority: CertificateAuthority;
  readonly api: RunningApi;
  readonly adminToken: string;
  readonly #undo: AsyncDisposableStack;

  private constructor(parts: Omit<ApiUnderTest, 'ask' | 'user' | 'kubeconfig' | 'close'>, undo: AsyncDisposableStack) {
    this.#undo = undo;
    this.directory = parts.directory;
    this.store = parts.store;
    this.users = parts.users;
    this.tokens = parts.tokens;
    this.authority = parts.authority;
    this.api = parts.api;
    this.adminToken = parts.adminToken;
  }

  static async start(
    other: { config?: Partial<Config>; operations?: Partial<Operations> } = {},
  ): Promise<ApiUnderTest> {
    await using undo = new AsyncDisposableStack();
    const directory = await temporaryDirectory(undo, 'api');
    const config = { ...loadConfig({}), apiPort: 0, logLevel: 'silent', ...other.config };
    const authority = await CertificateAuthority.openOrCreate(join(directory, 'pki'));
    const hosts = ['127.0.0.1', 'localhost'];
    const tls = await authority.issue({ name: 'api', cn: 'longshore-api', hosts, usages: ['server'] });
    const tokens = await UploadTokens.open(join(directory, 'pki'), { lifetimeSeconds: config.tokenLifetimeSeconds });
    const store = await SqliteStore.open(directory);
    undo.defer(() => store.close());
    const users = new Users(store);
    const api = await startApi({
      config,
      store,
      users,
      tls,
      tokens,
      logger: createLogger(config, 'api'),
      operations: {
        digest: async (namespace, name, sha256) => ({
          contentDigest: `tree-sha256:${namespace}.${name}`,
          path: '/nowhere',
          ...(sha256 ? { sha256: 'sha256:00' } : {}),
        }),
        doctor: async () => ({ findings: [] }),
        removeFinding: async () => undefined,
        restoreFinding: async () => undefined,
        largestVolumeBytes: () => undefined,
        probe: async () => ({ format: 'qcow2', virtualSizeBytes: 1 << 30 }),
        ...other.operations,
      },
    });
    undo.defer(() => api.close());
    const adminToken = api.adminToken ?? '';
    return new ApiUnderTest({ directory, store, users, tokens, authority, api, adminToken }, undo.move());
  }

  ask({ method = 'GET', path, token = this.adminToken, headers = {}, body, certificate }: Asked): Promise<Answer> {
    const text = body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body);
    const sent = {
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
      ...(text === undefined
        ? {}
        : { 'content-type': 'application/json', 'content-length': `${Buffer.byteLength(text)}` }),
      ...headers,
    };
    const identity = certificate === undefined ? {} : { key: certificate.key, cert: certificate.cert };
    const options = { method, headers: sent, ca: this.authority.certificate, agent: false, ...identity };
    return new Promise((resolve, reject) => {
      const asking = request(`${this.api.address}${path}`, options, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const answer = Buffer.concat(chunks).toString();
          const isJson = response.headers['content-type']?.startsWith('application/json') === true;
          const parsed: unknown = isJson && !path.includes('watch=') ? JSON.parse(answer) : undefined;
          resolve({ status: response.statusCode ?? 0, headers: response.headers, text: answer, body: parsed });
        });
      });
      asking.on('error', reject);
      asking.end(text);
    });
  }

  /** Makes a user. @returns its token */
  async user(name: string, role: 'admin' | 'edit' | 'view', namespaces: string[] = []): Promise<string> {
    const metadata = { name };
    const spec = { role, namespaces };
    const made = await this.users.create({ apiVersion: 'longshore.dev/v1alpha1', kind: 'User', metadata, spec });
    return made.status?.token ?? '';
  }

  /** Writes a kubeconfig of the administrator. @returns its path */
  async kubeconfig(): Promise<string> {
    const path = join(this.directory, 'kubeconfig');
    const ca = Buffer.from(this.authority.certificate).toString('base64');
    const cluster = { server: this.api.address, 'certificate-authority-data': ca };
    const written = {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'longshore', cluster }],
      users: [{ name: 'admin', user: { token: this.adminToken } }],
      contexts: [{ name: 'longshore', context: { cluster: 'longshore', user: 'admin', namespace: 'default' } }],
      'current-context': 'longshore',
    };
    await writeFile(path, JSON.stringify(written), { mode: 0o600 });
    return path;
  }

  async close(): Promise<void> {
    await this.#undo.disposeAsync();
  }
}

export function dataVolume(name: string, members: object = {}): object {
  return {
    apiVersion: 'cdi.kubevirt.io/v1beta1',
    kind: 'DataVolume',
    metadata: { name },
    spec: { source: { blank: {} }, storage: { resources: { requests: { storage: '1Gi' } } } },
    ...members,
  };
}

export const dataVolumesPath = '/apis/cdi.kubevirt.io/v1beta1/namespaces/default/datavolumes';
export const claimsPath = '/api/v1/namespaces/default/persistentvolumeclaims';

export function claim(name: string): object {
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name },
    spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
  };
}
