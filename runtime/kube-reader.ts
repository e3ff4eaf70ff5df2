// Reads single objects over the Kubernetes-style API, with a client certificate: the same on one machine and on a cluster. What the upload
// proxy knows of claims it knows through this. Connections are kept open and used again.
import { Agent, type RequestOptions, request } from 'node:https';
import { Fault, toFault } from '../domain/fault.ts';
import type { KubeObject, ObjectKey, ObjectReader, ResourceRef } from '../domain/object-store.ts';
import type { TlsPair } from './certificates.ts';

export interface KubeReaderOptions {
  /** host:port of the API. */
  address: { host: string; port: number };
  tls: TlsPair;
  timeoutMs?: number;
}

const defaultTimeoutMs = 10_000;
/** More than the API takes as one request (3 MiB): no object that is asked for here is larger. */
const longestAnswerBytes = 4 * 1024 * 1024;

export class KubeReader implements ObjectReader {
  readonly #agent: Agent;
  readonly #base: RequestOptions;
  readonly #timeoutMs: number;

  constructor(options: KubeReaderOptions) {
    const { key, cert, ca } = options.tls;
    this.#agent = new Agent({ keepAlive: true, maxSockets: 8, key, cert, ca });
    const { options: forConnections } = this.#agent;
    options.tls.onRenewal?.((pair) => Object.assign(forConnections, pair));
    this.#base = { agent: this.#agent, host: options.address.host, port: options.address.port, method: 'GET' };
    this.#timeoutMs = options.timeoutMs ?? defaultTimeoutMs;
  }

  /** @throws Fault ServiceUnreachable, Unauthenticated, Forbidden */
  async get<T extends KubeObject>(resource: ResourceRef<T>, key: ObjectKey): Promise<T | undefined> {
    const path = pathOf(resource, key);
    const answer = await this.#fetch(path);
    if (answer.status === 404) return undefined;
    if (answer.status === 401) throw new Fault('Unauthenticated', `the API refuses our certificate for ${path}`);
    if (answer.status === 403) throw new Fault('Forbidden', `the API does not let us read ${path}`);
    if (answer.status !== 200) throw new Fault('ServiceUnreachable', `the API answered ${answer.status} to ${path}`);
    return parseObject(answer.text, path);
  }

  close(): void {
    this.#agent.destroy();
  }

  async #fetch(path: string): Promise<{ status: number; text: string }> {
    try {
      return await this.#fetchOnce(path);
    } catch (error) {
      // A kept connection may have been closed by the other side just now; reading again does no harm.
      const fault = toFault(error, { otherwise: 'ServiceUnreachable' });
      if (fault.code !== 'ServiceUnreachable') throw fault;
      try {
        return await this.#fetchOnce(path);
      } catch (again) {
        throw toFault(again, { otherwise: 'ServiceUnreachable' });
      }
    }
  }

  #fetchOnce(path: string): Promise<{ status: number; text: string }> {
    const { promise, resolve, reject } = Promise.withResolvers<{ status: number; text: string }>();
    const signal = AbortSignal.timeout(this.#timeoutMs);
    const call = request({ ...this.#base, path, headers: { accept: 'application/json' }, signal }, (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.byteLength;
        if (bytes > longestAnswerBytes) response.destroy(new Fault('TooLarge', `the answer to ${path} is too long`));
        else chunks.push(chunk);
      });
      response.once('end', () =>
        resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') }),
      );
      response.once('error', reject);
    });
    call.once('error', reject);
    call.end();
    return promise;
  }
}

function pathOf(resource: ResourceRef, key: ObjectKey): string {
  const group = resource.group === '' ? `/api/${resource.version}` : `/apis/${resource.group}/${resource.version}`;
  const namespace = key.namespace === undefined ? '' : `/namespaces/${encodeURIComponent(key.namespace)}`;
  return `${group}${namespace}/${resource.plural}/${encodeURIComponent(key.name)}`;
}

function parseObject<T extends KubeObject>(text: string, path: string): T {
  const object: unknown = parseJson(text, path);
  if (typeof object !== 'object' || object === null || !('metadata' in object) || !('kind' in object)) {
    throw new Fault('ServiceUnreachable', `the answer to ${path} is no object`);
  }
  // Safe as far as a remote answer can be: the API validated the object when it was stored, and the collection names its kind.
  return object as T;
}

function parseJson(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Fault('ServiceUnreachable', `the answer to ${path} is not JSON`, { cause: error });
  }
}
