// The connections of one attempt to a web server: trust, proxy, credentials, time limits and redirects. Nothing is shared between attempts.
// Credentials and extra headers go to the origin that the user named and to no other.
import { type Dispatcher, request } from 'undici';
import { Fault } from '../../domain/fault.ts';
import type { Config } from '../../runtime/config.ts';
import { AddressGuard } from './address-guard.ts';
import { Dispatchers, type ProxyAddress } from './dispatchers.ts';
import { faultOfHttpError, isPassingFault, placeOf } from './http-faults.ts';
import type { Surroundings } from './plain-connection.ts';
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
  readonly #surroundings: Surroundings;
  readonly #dispatchers: Dispatchers;
  readonly #plain: PlainConnections;
  #resolved: URL | undefined;

  /** @throws Fault SourceRefused for what is no http or https URL */
  constructor(location: HttpLocation, config: Config, signal: AbortSignal) {
    this.#location = location;
    this.#start = parseUrl(location.url);
    refuseUnreadableUser(this.#start);
    this.#surroundings = { limits: config, guard: new AddressGuard(config), signal };
    this.#dispatchers = new Dispatchers(location, this.#surroundings);
    this.#plain = new PlainConnections(this.#surroundings);
  }

  /** True once a server sent bytes after the end that it had declared. */
  get sentTooMuch(): boolean {
    return this.#dispatchers.sentTooMuch || this.#plain.sentTooMuch;
  }

  /**
   * One GET with redirects followed. They are followed once: later requests go to where they led, until that place fails or leads on, as one of many
   * mirrors may. Any status is an answer.
   */
  async get(headers: Record<string, string>): Promise<HttpAnswer> {
    const url = this.#resolved;
    if (url === undefined || !this.#wasLed(url)) return this.#follow(headers);
    return (await this.#askAgain(url, () => this.#ask(url, headers))) ?? this.#follow(headers);
  }

  /** As `get`, for a range of the content once `get` has found it: the quickest way that there is to the place. */
  async getRange(headers: Record<string, string>): Promise<HttpAnswer> {
    const url = this.#resolved;
    if (url?.protocol !== 'http:' || chooseProxy(url, this.#location.proxy) !== undefined) return this.get(headers);
    return (await this.#askAgain(url, () => this.#askPlainly(url, headers))) ?? this.get(headers);
  }

  #wasLed(url: URL): boolean {
    return url.href !== this.#start.href;
  }

  /** @returns undefined where it is to be asked from the beginning */
  async #askAgain(url: URL, ask: () => Promise<HttpAnswer | undefined>): Promise<HttpAnswer | undefined> {
    try {
      const answer = await ask();
      if (answer === undefined || !this.#leadsOn(answer.status, url)) return answer;
      await discard(answer);
    } catch (error) {
      if (!this.#wasLed(url) || !(error instanceof Fault) || !isPassingFault(error)) throw error;
    }
    this.#resolved = undefined;
    return undefined;
  }

  #leadsOn(status: number, url: URL): boolean {
    if (redirectStatuses.includes(status)) return true;
    return this.#wasLed(url) && (expiredStatuses.includes(status) || status >= 500);
  }

  async close(): Promise<void> {
    this.#plain.close();
    await this.#dispatchers.close();
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
    const { limits, guard, signal } = this.#surroundings;
    guard.assertLiteral(url.hostname);
    try {
      const {
        statusCode,
        headers: answered,
        body,
      } = await request(url, {
        method: 'GET',
        dispatcher: this.#dispatchers.for(url, this.#proxyOf(url)),
        headers: this.#allHeaders(url, headers),
        headersTimeout: limits.firstByteTimeoutMs,
        bodyTimeout: limits.idleTimeoutMs,
        signal,
        highWaterMark: bodyBufferBytes,
      });
      // Errors reach whoever reads the body; one that nobody reads any more must not end the process.
      body.on('error', () => undefined);
      return { status: statusCode, headers: answered, body, url: url.href };
    } catch (error) {
      throw faultOfHttpError(error, url.href, { signal, bodyBegan: false });
    }
  }

  async #askPlainly(url: URL, headers: Record<string, string>): Promise<HttpAnswer | undefined> {
    try {
      const answer = await this.#plain.ask(url, this.#allHeaders(url, headers));
      return answer === undefined ? undefined : { ...answer, url: url.href };
    } catch (error) {
      throw faultOfHttpError(error, url.href, { signal: this.#surroundings.signal, bodyBegan: false });
    }
  }

  #allHeaders(url: URL, headers: Record<string, string>): Record<string, string> {
    return { ...this.#privateHeaders(url), 'user-agent': 'longshore', 'accept-encoding': 'identity', ...headers };
  }

  #privateHeaders(url: URL): Record<string, string> {
    if (url.origin !== this.#start.origin) return {};
    const authorization = basicOf(this.#location.credentials ?? userOf(this.#start));
    const headers: Record<string, string> = authorization === undefined ? {} : { authorization };
    for (const [name, value] of this.#location.headers) {
      const key = name.trim().toLowerCase();
      if (!ownHeaders.includes(key)) headers[key] = value.trim();
    }
    return headers;
  }

  #proxyOf(url: URL): ProxyAddress | undefined {
    const proxy = chooseProxy(url, this.#location.proxy);
    if (proxy === undefined) return undefined;
    const parsed = parseUrl(proxy);
    const token = basicOf(userOf(parsed));
    return { url: parsed, ...(token === undefined ? {} : { token }) };
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

/** Value of a header for basic authentication; undefined where there is no user. */
function basicOf({ username, password }: { username: string; password: string }): string | undefined {
  if (username === '' && password === '') return undefined;
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

function userOf(url: URL): { username: string; password: string } {
  return { username: decodeURIComponent(url.username), password: decodeURIComponent(url.password) };
}
