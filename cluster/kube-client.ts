// Requests to kube-apiserver: one connection pool, JSON in and out, refusals as Faults. A server that is busy (429, or 503 with Retry-After) is asked
// again a few times; everything else is the caller's to repeat.
import { Agent, type Dispatcher, request } from 'undici';
import { Fault, toFault } from '../domain/fault.ts';
import type { KubeObject } from '../domain/object-store.ts';
import type { Licence } from '../runtime/licence.ts';
import { metrics } from '../runtime/metrics.ts';
import { pauseFor } from '../runtime/pause-for.ts';
import type { KubeCredentials } from './kube-credentials.ts';
import { kubeFault, retryAfterSeconds } from './kube-faults.ts';

export interface KubeRequest {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Absolute path without a query. */
  path: string;
  query?: Readonly<Record<string, string>>;
  body?: unknown;
  /** Default: application/json. */
  contentType?: string;
  signal?: AbortSignal;
}

const connectTimeoutMs = 10_000;
const answerTimeoutMs = 30_000;
/** A watch is silent between its bookmarks, which come about once a minute. */
const watchIdleMs = 150_000;
const mostTries = 4;
const longestPauseSeconds = 10;

export class KubeClient {
  readonly #credentials: KubeCredentials;
  readonly #agent: Agent;
  readonly #licence: Licence | undefined;

  constructor(credentials: KubeCredentials, shared?: { agent: Agent; licence: Licence }) {
    const { ca, client } = credentials;
    this.#credentials = credentials;
    this.#licence = shared?.licence;
    this.#agent =
      shared?.agent ??
      new Agent({
        // Watches hold connections for long, so there may be as many as are needed.
        connections: null,
        allowH2: false,
        headersTimeout: answerTimeoutMs,
        bodyTimeout: answerTimeoutMs,
        connect: { timeout: connectTimeoutMs, ...(ca === undefined ? {} : { ca }), ...client },
      });
  }

  /**
   * The same connections for who may write only while a licence is held: it is asked before each time that a write is sent, also when that is sent again.
   */
  withLicence(licence: Licence): KubeClient {
    return new KubeClient(this.#credentials, { agent: this.#agent, licence });
  }

  /**
   * One request, one answer.
   * @throws Fault by the Status that refuses it; ServiceUnreachable where no answer came: a write may then have been done or not
   */
  async json(asked: KubeRequest): Promise<KubeObject> {
    for (let attempt = 1; ; attempt += 1) {
      const { statusCode, headers, body } = await this.#send(asked);
      metrics.count('longshore_kube_requests_total', { verb: asked.method, status: String(statusCode) });
      // Safe as far as a remote answer can be: the server validated the object when it was stored, and the path names its kind.
      if (statusCode < 300) return parseJson(await textOf(body, asked), asked) as KubeObject;
      const refusal = await refusalOf(body, asked);
      const pause = retryAfterSeconds(headers['retry-after']);
      const busy = statusCode === 429 || (statusCode === 503 && pause !== undefined);
      if (!busy || attempt === mostTries) throw kubeFault(statusCode, refusal, nameOf(asked));
      await pauseFor(Math.min(pause ?? 1, longestPauseSeconds) * 1_000, asked.signal);
    }
  }

  /** The lines of an answer that goes on, each a JSON value; ends when the server ends it. @throws Fault as json() does */
  async *lines(asked: KubeRequest): AsyncGenerator<unknown> {
    const { statusCode, body } = await this.#send(asked, watchIdleMs);
    metrics.count('longshore_kube_requests_total', { verb: 'WATCH', status: String(statusCode) });
    if (statusCode >= 300) throw kubeFault(statusCode, await refusalOf(body, asked), nameOf(asked));
    try {
      let rest = '';
      body.setEncoding('utf8');
      // Safe: with an encoding set, the chunks are strings.
      for await (const chunk of body as AsyncIterable<string>) {
        const lines = (rest + chunk).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) if (line !== '') yield parseJson(line, asked);
      }
    } catch (error) {
      throw toFault(error, { otherwise: 'ServiceUnreachable', ...(asked.signal ? { signal: asked.signal } : {}) });
    } finally {
      body.destroy();
    }
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }

  async #send(asked: KubeRequest, bodyTimeout = answerTimeoutMs): Promise<Dispatcher.ResponseData> {
    const { method, path, query, body } = asked;
    const token = await this.#credentials.token();
    const search = query === undefined ? '' : `?${new URLSearchParams(query)}`;
    const licence = method === 'GET' ? undefined : this.#licence;
    const signals = [asked.signal, licence?.signal].filter((each) => each !== undefined);
    const signal = signals.length > 1 ? AbortSignal.any(signals) : signals[0];
    licence?.assertHeld();
    try {
      return await request(`${this.#credentials.server}${path}${search}`, {
        ...{ method, dispatcher: this.#agent, bodyTimeout },
        headers: {
          accept: 'application/json',
          'user-agent': 'longshore',
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...(body === undefined ? {} : { 'content-type': asked.contentType ?? 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        ...(signal === undefined ? {} : { signal }),
      });
    } catch (error) {
      throw toFault(error, { otherwise: 'ServiceUnreachable', ...(signal === undefined ? {} : { signal }) });
    }
  }
}

function nameOf({ method, path }: KubeRequest): string {
  return `${method} ${path}`;
}

async function textOf(body: Dispatcher.ResponseData['body'], { signal }: KubeRequest): Promise<string> {
  try {
    return await body.text();
  } catch (error) {
    throw toFault(error, { otherwise: 'ServiceUnreachable', ...(signal === undefined ? {} : { signal }) });
  }
}

/** The Status of a refusal; undefined where it is something else, such as the plain words of a server that is overloaded. */
async function refusalOf(body: Dispatcher.ResponseData['body'], asked: KubeRequest): Promise<unknown> {
  const text = await textOf(body, asked);
  return text.trimStart().startsWith('{') ? parseJson(text, asked) : undefined;
}

function parseJson(text: string, asked: KubeRequest): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Fault('ServiceUnreachable', `the answer to ${nameOf(asked)} is not JSON`, { cause: error });
  }
}
