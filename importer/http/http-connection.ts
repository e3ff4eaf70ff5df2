// The connections of one attempt to a web server: trust, proxy, credentials, time limits and redirects. Nothing is shared between attempts.
// Credentials and extra headers go to the origin that the user named and to no other.
import { Agent, type Dispatcher, ProxyAgent, request } from 'undici';
import { Fault } from '../../domain/fault.ts';
import { cameAfterTheEnd, faultOfHttpError, placeOf } from './http-faults.ts';
import { trustedContext } from './http-trust.ts';
import type { Limits } from './plain-connection.ts';
import { PlainConnections } from './plain-connections.ts';
import { chooseProxy, type ProxySettings } from './proxy-choice.ts';

/** Where to read, and with what right. */
export interface HttpLocation {
  url: string;
  credentials?: { username: string; password: string };
  headers: readonly (readonly [string, string])[];
  certificates: readonly string[];
  insecureSkipVerify: boolean;
  proxy?: ProxySettings;
}

/** Not to be read to its end unless it is the content. A piece may be overwritten once the next one is asked for. */
export interface AnswerBody extends AsyncIterable<Buffer> {
  /** As that of PlainBody. */
  landIn?(memory: Buffer): AsyncIterable<Buffer> | undefined;
  destroy(): void;
}

export interface HttpAnswer {
  status: number;
  headers: Dispatcher.ResponseData['headers'];
  body: AnswerBody;
  /** The URL that answered, after redirects. */
  url: string;
}

const redirectLimit = 10;
const redirectStatuses = [301, 302, 303, 307, 308];
/** Bytes of a body that wait in memory for us. */
const bodyBufferBytes = 1_048_576;
/** Refusals that an address found by a redirect gives once it has expired. */
const expiredStatuses = [400, 401, 403, 404, 410];
/** Headers that are ours to set: they decide what the answer means. */
const ownHeaders = [
  'accept-encoding',
  'connection',
  'content-length',
  'host',
  'if-range',
  'range',
  'transfer-encoding',
];

export class HttpConnection {
  readonly #location: HttpLocation;
  readonly #start: URL;
  readonly #limits: Limits;
  readonly #signal: AbortSignal;
  readonly #dispatchers = new Map<string, Dispatcher>();
  readonly #plain: PlainConnections;
  #resolved: URL | undefined;
  #sentTooMuch = false;

  /** @throws Fault SourceRefused for what is no http or https URL */
  constructor(location: HttpLocation, limits: Limits, signal: AbortSignal) {
    this.#location = location;
    this.#start = parseUrl(location.url);
    refuseUnreadableUser(this.#start);
    this.#limits = limits;
    this.#signal = signal;
    this.#plain = new PlainConnections(limits, signal);
  }

  /** True once a server sent bytes after the end that it had declared. */
  get sentTooMuch(): boolean {
    return this.#sentTooMuch || this.#plain.sentTooMuch;
  }

  /** One GET with redirects followed; they are followed once, later requests go to where they led. Any status is an answer. */
  async get(headers: Record<string, string>): Promise<HttpAnswer> {
    if (this.#resolved !== undefined && this.#resolved.href !== this.#start.href) {
      const answer = await this.#ask(this.#resolved, headers);
      if (!expiredStatuses.includes(answer.status)) return answer;
      await discard(answer);
    }
    return this.#follow(headers);
  }

  /** As `get`, for a range of the content once `get` has found it: the quickest way that there is to the place. */
  async getRange(headers: Record<string, string>): Promise<HttpAnswer> {
    const url = this.#resolved;
    if (url?.protocol !== 'http:' || chooseProxy(url, this.#location.proxy) !== undefined) return this.get(headers);
    const answer = await this.#askPlainly(url, headers);
    const expired = url.href !== this.#start.href && answer !== undefined && expiredStatuses.includes(answer.status);
    if (answer !== undefined && !expired) return answer;
    answer?.body.destroy();
    return expired ? this.#follow(headers) : this.get(headers);
  }

  async close(): Promise<void> {
    this.#plain.close();
    const closing = [...this.#dispatchers.values()].map((dispatcher) => dispatcher.destroy());
    this.#dispatchers.clear();
    await Promise.all(closing);
  }

  async #follow(headers: Record<string, string>): Promise<HttpAnswer> {
    let url = this.#start;
    for (let hops = 0; hops <= redirectLimit; hops += 1) {
      const answer: HttpAnswer = await this.#ask(url, headers);
      if (!redirectStatuses.includes(answer.status)) {
        this.#resolved = url;
        return answer;
      }
      await discard(answer);
      url = redirectTarget(url, answer.headers['location']);
    }
    throw new Fault('RedirectRefused', `${placeOf(this.#start.href)} redirects more than ${redirectLimit} times`);
  }

  async #ask(url: URL, headers: Record<string, string>): Promise<HttpAnswer> {
    try {
      const {
        statusCode,
        headers: answered,
        body,
      } = await request(url, {
        method: 'GET',
        dispatcher: this.#dispatcherFor(url),
        headers: this.#allHeaders(url, headers),
        headersTimeout: this.#limits.firstByteTimeoutMs,
        bodyTimeout: this.#limits.idleTimeoutMs,
        signal: this.#signal,
        highWaterMark: bodyBufferBytes,
      });
      // Errors reach whoever reads the body; one that nobody reads any more must not end the process.
      body.on('error', () => undefined);
      return { status: statusCode, headers: answered, body, url: url.href };
    } catch (error) {
      throw faultOfHttpError(error, url.href, { signal: this.#signal, bodyBegan: false });
    }
  }

  async #askPlainly(url: URL, headers: Record<string, string>): Promise<HttpAnswer | undefined> {
    try {
      const answer = await this.#plain.ask(url, this.#allHeaders(url, headers));
      return answer === undefined ? undefined : { ...answer, url: url.href };
    } catch (error) {
      throw faultOfHttpError(error, url.href, { signal: this.#signal, bodyBegan: false });
    }
  }

  #allHeaders(url: URL, headers: Record<string, string>): Record<string, string> {
    return { ...this.#privateHeaders(url), 'user-agent': 'longshore', 'accept-encoding': 'identity', ...headers };
  }

  #privateHeaders(url: URL): Record<string, string> {
    if (url.origin !== this.#start.origin) return {};
    const { username, password } = this.#location.credentials ?? userOf(this.#start);
    const basic = Buffer.from(`${username}:${password}`).toString('base64');
    const headers: Record<string, string> =
      username === '' && password === '' ? {} : { authorization: `Basic ${basic}` };
    for (const [name, value] of this.#location.headers) {
      const key = name.trim().toLowerCase();
      if (!ownHeaders.includes(key)) headers[key] = value.trim();
    }
    return headers;
  }

  #dispatcherFor(url: URL): Dispatcher {
    const proxy = chooseProxy(url, this.#location.proxy);
    const key = `${url.protocol} ${proxy ?? ''}`;
    const known = this.#dispatchers.get(key);
    if (known !== undefined) return known;
    const made = this.#makeDispatcher(url, proxy);
    made.on('disconnect', (_origin, _targets, error) => {
      if (cameAfterTheEnd(error)) this.#sentTooMuch = true;
    });
    this.#dispatchers.set(key, made);
    return made;
  }

  #makeDispatcher(url: URL, proxy: string | undefined): Dispatcher {
    const secure = url.protocol === 'https:' || proxy?.startsWith('https:') === true;
    const secureContext = secure ? trustedContext(this.#location.certificates) : undefined;
    const timeout = this.#limits.connectTimeoutMs;
    const trust = secureContext === undefined ? {} : { secureContext };
    const tls = { ...trust, rejectUnauthorized: !this.#location.insecureSkipVerify, timeout };
    if (proxy === undefined) return new Agent({ allowH2: false, connect: tls });
    const proxyUrl = parseUrl(proxy);
    const { username, password } = userOf(proxyUrl);
    const token = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
    return new ProxyAgent({
      uri: `${proxyUrl.protocol}//${proxyUrl.host}`,
      ...(username === '' ? {} : { token }),
      allowH2: false,
      requestTls: tls,
      proxyTls: { ...trust, timeout },
      connect: { timeout },
    });
  }
}

async function discard(answer: HttpAnswer): Promise<void> {
  let bytes = 0;
  try {
    for await (const piece of answer.body) {
      bytes += piece.byteLength;
      if (bytes > 65_536) break;
    }
  } catch {
    answer.body.destroy();
  }
}

function redirectTarget(from: URL, location: string | string[] | undefined): URL {
  const first = Array.isArray(location) ? location[0] : location;
  if (first === undefined || !URL.canParse(first, from.href)) {
    throw new Fault('RedirectRefused', `${placeOf(from.href)} redirects to no valid place`);
  }
  const target = new URL(first, from.href);
  if (target.protocol !== 'http:' && target.protocol !== 'https:') {
    throw new Fault('RedirectRefused', `${placeOf(from.href)} redirects to ${target.protocol}`);
  }
  return target;
}

function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new Fault('SourceRefused', 'the URL is not a valid http or https URL');
  }
  return url;
}

/** @throws Fault SourceRefused for a user or password with a broken percent encoding */
function refuseUnreadableUser(url: URL): void {
  try {
    userOf(url);
  } catch (cause) {
    throw new Fault('SourceRefused', `${placeOf(url.href)}: user or password is not percent-encoded`, { cause });
  }
}

function userOf(url: URL): { username: string; password: string } {
  return { username: decodeURIComponent(url.username), password: decodeURIComponent(url.password) };
}
