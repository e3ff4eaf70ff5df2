// Requests for one content on a web server: its redirects, and what the user gave to be let in. Credentials and extra headers go to the origin that the
// user named and to no other.
import { Fault } from '../../domain/fault.ts';
import type { Config } from '../../runtime/config.ts';
import { type HttpAnswer, textOf } from './http-answer.ts';
import { isPassingFault, placeOf } from './http-faults.ts';
import { HttpTransport, type TransportSettings } from './http-transport.ts';
import { basicOf, type HttpUser, userOf } from './http-user.ts';

/** Where to read, and with what right. */
export interface HttpLocation extends TransportSettings {
  url: string;
  credentials?: HttpUser;
  headers: readonly (readonly [string, string])[];
}

const redirectLimit = 10;
const redirectStatuses = [301, 302, 303, 307, 308];
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
  readonly #transport: HttpTransport;
  #resolved: URL | undefined;

  /** @throws Fault SourceRefused for what is no http or https URL */
  constructor(location: HttpLocation, config: Config, signal: AbortSignal) {
    this.#location = location;
    this.#start = parseUrl(location.url);
    refuseUnreadableUser(this.#start);
    this.#transport = new HttpTransport(location, config, signal);
  }

  /** True once a server sent bytes after the end that it had declared. */
  get sentTooMuch(): boolean {
    return this.#transport.sentTooMuch;
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
    if (url === undefined) return this.get(headers);
    const plainly = () => this.#transport.sendPlainly(url, this.#allHeaders(url, headers));
    return (await this.#askAgain(url, plainly)) ?? this.get(headers);
  }

  #wasLed(url: URL): boolean {
    return url.href !== this.#start.href;
  }

  /** @returns undefined where it is to be asked from the beginning */
  async #askAgain(url: URL, ask: () => Promise<HttpAnswer | undefined>): Promise<HttpAnswer | undefined> {
    try {
      const answer = await ask();
      if (answer === undefined || !this.#leadsOn(answer.status, url)) return answer;
      await textOf(answer);
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

  close(): Promise<void> {
    return this.#transport.close();
  }

  async #follow(headers: Record<string, string>): Promise<HttpAnswer> {
    let url = this.#start;
    for (let hops = 0; hops <= redirectLimit; hops += 1) {
      const answer: HttpAnswer = await this.#ask(url, headers);
      if (!redirectStatuses.includes(answer.status)) {
        this.#resolved = url;
        return answer;
      }
      await textOf(answer);
      url = redirectTarget(url, answer.headers['location']);
    }
    throw new Fault('RedirectRefused', `${placeOf(this.#start.href)} redirects more than ${redirectLimit} times`);
  }

  #ask(url: URL, headers: Record<string, string>): Promise<HttpAnswer> {
    return this.#transport.send(url, this.#allHeaders(url, headers));
  }

  #allHeaders(url: URL, headers: Record<string, string>): Record<string, string> {
    return { ...this.#privateHeaders(url), ...headers };
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
