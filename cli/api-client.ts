// The command's end of the Kubernetes-style API: requests as JSON over HTTPS, watches as lines, refusals as faults.
// Trusts the service's own CA and nothing else.
import { dirname } from 'node:path';
import { Readable } from 'node:stream';
import { Agent, type Dispatcher, request } from 'undici';
import { Fault, isFaultCode, toFault } from '../domain/fault.ts';
import type { FaultCode } from '../domain/fault-catalogue.ts';
import type { KubeObject, ObjectKey, ResourceRef } from '../domain/object-store.ts';
import { readServiceAccess, type ServiceAccess } from './service-access.ts';

export type WatchLine<T> = { type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR'; object: T };

export interface ObjectList<T> extends KubeObject {
  items: T[];
}

interface Ask {
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  path: string;
  query?: Record<string, string>;
  body?: unknown;
  contentType?: string;
}

export class ApiClient {
  #access: ServiceAccess;
  readonly #agent: Agent;
  readonly #signal: AbortSignal;

  constructor(access: ServiceAccess, signal: AbortSignal) {
    this.#access = access;
    this.#signal = signal;
    this.#agent = new Agent({ connect: { ca: access.ca }, allowH2: false, headersTimeout: 0, bodyTimeout: 0 });
  }

  /** @returns undefined where there is none. */
  async find<T extends KubeObject>(resource: ResourceRef<T>, key: ObjectKey): Promise<T | undefined> {
    try {
      return await this.get(resource, key);
    } catch (error) {
      if (error instanceof Fault && error.code === 'NotFound') return undefined;
      throw error;
    }
  }

  get<T extends KubeObject>(resource: ResourceRef<T>, key: ObjectKey): Promise<T> {
    return this.call<T>({ method: 'GET', path: pathOf(resource, key.namespace, key.name) });
  }

  /** @param namespace undefined: all */
  list<T extends KubeObject>(
    resource: ResourceRef<T>,
    namespace?: string,
    query: Record<string, string> = {},
  ): Promise<ObjectList<T>> {
    return this.call<ObjectList<T>>({ method: 'GET', path: pathOf(resource, namespace), query });
  }

  create<T extends KubeObject>(resource: ResourceRef<T>, object: T): Promise<T> {
    return this.call<T>({ method: 'POST', path: pathOf(resource, object.metadata.namespace), body: object });
  }

  mergePatch<T extends KubeObject>(resource: ResourceRef<T>, key: ObjectKey, patch: unknown): Promise<T> {
    const path = pathOf(resource, key.namespace, key.name);
    return this.call<T>({ method: 'PATCH', path, body: patch, contentType: 'application/merge-patch+json' });
  }

  async delete(resource: ResourceRef, key: ObjectKey): Promise<void> {
    await this.call({ method: 'DELETE', path: pathOf(resource, key.namespace, key.name) });
  }

  /** One object as it is now (ADDED), then every change. Ends when the service closes the watch. */
  async *watch<T extends KubeObject>(resource: ResourceRef<T>, key: ObjectKey): AsyncGenerator<WatchLine<T>> {
    const query = { watch: 'true', fieldSelector: `metadata.name=${key.name}` };
    const answer = await this.#send({ method: 'GET', path: pathOf(resource, key.namespace), query });
    for await (const line of linesOf(answer.body)) {
      // Safe as far as a remote answer can be: the API validated the object when it was stored.
      yield JSON.parse(line) as WatchLine<T>;
    }
  }

  /** Sends the bytes of an upload, in chunks where their length is not known, and waits for the answer: they are durable then. */
  async upload(url: string, token: string, bytes: AsyncIterable<Buffer>, length?: number): Promise<void> {
    const headers = {
      authorization: `Bearer ${token}`,
      'content-type': 'application/octet-stream',
      ...(length === undefined ? {} : { 'content-length': String(length) }),
    };
    const body = Readable.from(bytes, { objectMode: false });
    const answer = await this.#dispatch(new URL(url), { method: 'POST', headers, body });
    const text = await answer.body.text();
    if (answer.statusCode !== 200) throw faultOfUpload(answer.headers, answer.statusCode, text);
  }

  /** @returns the JSON of an answer that is none of the collections above */
  async call<T>(ask: Ask): Promise<T> {
    const answer = await this.#send(ask);
    const text = await answer.body.text();
    try {
      // Safe as far as a remote answer can be: who calls knows what this path answers.
      return JSON.parse(text) as T;
    } catch (error) {
      throw new Fault('ServiceUnreachable', `the answer to ${ask.path} is not JSON`, { cause: error });
    }
  }

  /** To where the service is now: one that was started again may have another port. @throws Fault as readServiceAccess */
  async readAccessAgain(): Promise<void> {
    const access = await readServiceAccess(dirname(this.#access.kubeconfigPath));
    this.#access = { ...this.#access, server: access.server, token: access.token };
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }

  async #send(ask: Ask): Promise<Dispatcher.ResponseData> {
    const url = new URL(this.#access.server + ask.path);
    for (const [name, value] of Object.entries(ask.query ?? {})) url.searchParams.set(name, value);
    const headers: Record<string, string> = {
      authorization: `Bearer ${this.#access.token}`,
      accept: 'application/json',
    };
    if (ask.body !== undefined) headers['content-type'] = ask.contentType ?? 'application/json';
    const body = ask.body === undefined ? {} : { body: JSON.stringify(ask.body) };
    const answer = await this.#dispatch(url, { method: ask.method, headers, ...body });
    if (answer.statusCode >= 300) throw faultOfAnswer(answer, await answer.body.text());
    return answer;
  }

  async #dispatch(
    url: URL,
    options: Omit<Dispatcher.RequestOptions, 'path' | 'origin'>,
  ): Promise<Dispatcher.ResponseData> {
    try {
      return await request(url, { ...options, dispatcher: this.#agent, signal: this.#signal });
    } catch (error) {
      const fault = toFault(error, { signal: this.#signal, otherwise: 'ServiceUnreachable' });
      throw fault.code === 'ServiceUnreachable'
        ? new Fault(fault.code, `${url.host}: ${fault.detail}`, { cause: error })
        : fault;
    }
  }
}

function pathOf(resource: ResourceRef, namespace?: string, name?: string): string {
  const group = resource.group === '' ? `/api/${resource.version}` : `/apis/${resource.group}/${resource.version}`;
  const inside = namespace === undefined || !resource.namespaced ? '' : `/namespaces/${encodeURIComponent(namespace)}`;
  return `${group}${inside}/${resource.plural}${name === undefined ? '' : `/${encodeURIComponent(name)}`}`;
}

async function* linesOf(body: Readable): AsyncGenerator<string> {
  let rest = '';
  const decoder = new TextDecoder();
  for await (const chunk of body) {
    rest += decoder.decode(chunk, { stream: true });
    const lines = rest.split('\n');
    rest = lines.pop() ?? '';
    yield* lines.filter((line) => line !== '');
  }
}

const codeOfReason: Readonly<Record<string, FaultCode>> = {
  Invalid: 'InvalidRequest',
  BadRequest: 'MalformedRequest',
  NotFound: 'NotFound',
  AlreadyExists: 'AlreadyExists',
  Conflict: 'Conflict',
  Expired: 'Gone',
  Unauthorized: 'Unauthenticated',
  Forbidden: 'Forbidden',
  MethodNotAllowed: 'MethodNotAllowed',
  UnsupportedMediaType: 'UnsupportedMediaType',
  RequestEntityTooLarge: 'TooLarge',
  Timeout: 'TimedOut',
  ServiceUnavailable: 'ServiceUnreachable',
};

const codeOfStatus: Readonly<Record<number, FaultCode>> = {
  400: 'MalformedRequest',
  401: 'Unauthenticated',
  403: 'Forbidden',
  404: 'NotFound',
  409: 'Conflict',
  422: 'InvalidRequest',
  502: 'ServiceUnreachable',
  503: 'ServiceUnreachable',
};

const wordsOfCdi = /^Saving stream failed: (effective image size is larger than the reported available storage: )?/;

/** The upload proxy answers in CDI's words; our own code and detail come in headers. */
function faultOfUpload(headers: Dispatcher.ResponseData['headers'], status: number, text: string): Fault {
  const [code, detail] = [headers['longshore-fault'], headers['longshore-detail']];
  if (!isFaultCode(code)) return faultOfAnswer({ headers, statusCode: status }, text);
  const said = typeof detail === 'string' ? decodeURIComponent(detail) : text.trim().replace(wordsOfCdi, '');
  return new Fault(code, said, { facts: { [ownAnswer]: true } });
}

const ownAnswer = 'ownAnswer';

/** The proxy itself told this fault, in its own code; it was not guessed from a status or a cut connection. */
export function isOwnAnswer({ facts }: Fault): boolean {
  return facts[ownAnswer] === true;
}

type Answer = Pick<Dispatcher.ResponseData, 'headers' | 'statusCode'>;

/** A Status of the API, problem+json, or plain text; our code is in a header. */
function faultOfAnswer({ headers, statusCode }: Answer, text: string): Fault {
  const body = parsed(text);
  const said = memberOf(body, 'message') ?? memberOf(body, 'detail') ?? text.trim();
  const code = headers['longshore-fault'] ?? memberOf(body, 'code');
  if (isFaultCode(code)) return new Fault(code, said);
  const reason = memberOf(body, 'reason') ?? '';
  return new Fault(
    codeOfReason[reason] ?? codeOfStatus[statusCode] ?? 'Internal',
    said === '' ? `status ${statusCode}` : said,
  );
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // not JSON: the text itself is what was said
  }
}

function memberOf(body: unknown, name: string): string | undefined {
  if (typeof body !== 'object' || body === null || !Object.hasOwn(body, name)) return undefined;
  const value: unknown = Reflect.get(body, name);
  return typeof value === 'string' ? value : undefined;
}
