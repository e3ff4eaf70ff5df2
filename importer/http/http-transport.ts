// How the requests of one attempt travel: by which proxy, with whose certificates, to which addresses, in what time. A request goes as it is given: nothing
// is added that a user may read with, and no redirect is followed; who sends it decides about both. Nothing is shared between attempts.
import { request } from 'undici';
import { Fault } from '../../domain/fault.ts';
import type { Config } from '../../runtime/config.ts';
import { AddressGuard } from './address-guard.ts';
import { Dispatchers, type ProxyAddress, type Trust } from './dispatchers.ts';
import type { HttpAnswer } from './http-answer.ts';
import { faultOfHttpError, wantsHttp2 } from './http-faults.ts';
import { basicOf, userOf } from './http-user.ts';
import type { Surroundings } from './plain-connection.ts';
import { PlainConnections } from './plain-connections.ts';
import { chooseProxy, machineProxies, type ProxySettings } from './proxy-choice.ts';

/** Whom to trust, and which way to go. */
export interface TransportSettings extends Trust {
  proxy?: ProxySettings;
}

/** Bytes of a body that wait in memory for us. */
const bodyBufferBytes = 1_048_576;

/** What a server gets to know about us with each request, unless the request says otherwise. */
const usualHeaders = { 'user-agent': 'longshore', 'accept-encoding': 'identity' };

export class HttpTransport {
  readonly #proxies: ProxySettings | undefined;
  readonly #surroundings: Surroundings;
  readonly #dispatchers: Dispatchers;
  readonly #plain: PlainConnections;
  /** Origins of servers that speak nothing else. */
  readonly #onlyHttp2 = new Set<string>();

  constructor(settings: TransportSettings, config: Config, signal: AbortSignal) {
    this.#proxies = settings.proxy ?? machineProxies(config);
    this.#surroundings = { limits: config, guard: new AddressGuard(config), signal };
    this.#dispatchers = new Dispatchers(settings, this.#surroundings);
    this.#plain = new PlainConnections(this.#surroundings);
  }

  /** True once a server sent bytes after the end that it had declared. */
  get sentTooMuch(): boolean {
    return this.#dispatchers.sentTooMuch || this.#plain.sentTooMuch;
  }

  /**
   * One request, a GET unless a body is posted. Any status is an answer.
   * @throws Fault of the group source
   */
  async send(url: URL, headers: Record<string, string>, posted?: string): Promise<HttpAnswer> {
    const { limits, guard, signal } = this.#surroundings;
    guard.assertLiteral(url.hostname);
    const http2 = this.#onlyHttp2.has(url.origin);
    try {
      const answer = await request(url, {
        ...(posted === undefined ? { method: 'GET' } : { method: 'POST', body: posted }),
        dispatcher: this.#dispatchers.for(url, this.#proxyOf(url), http2),
        headers: { ...usualHeaders, ...headers },
        headersTimeout: limits.firstByteTimeoutMs,
        bodyTimeout: limits.idleTimeoutMs,
        signal,
        highWaterMark: bodyBufferBytes,
      });
      // Errors reach whoever reads the body; one that nobody reads any more must not end the process.
      answer.body.on('error', () => undefined);
      return { status: answer.statusCode, headers: answer.headers, body: answer.body, url: url.href };
    } catch (error) {
      if (wantsHttp2(error) && !http2) {
        this.#onlyHttp2.add(url.origin);
        return this.send(url, headers, posted);
      }
      throw faultOfHttpError(error, url.href, { signal, bodyBegan: false });
    }
  }

  /** As `send` of a GET, by the quickest way that there is; undefined where there is none to that place, and nothing came of it. */
  async sendPlainly(url: URL, headers: Record<string, string>): Promise<HttpAnswer | undefined> {
    if (url.protocol !== 'http:' || chooseProxy(url, this.#proxies) !== undefined) return undefined;
    try {
      const answer = await this.#plain.ask(url, { ...usualHeaders, ...headers });
      return answer === undefined ? undefined : { ...answer, url: url.href };
    } catch (error) {
      throw faultOfHttpError(error, url.href, { signal: this.#surroundings.signal, bodyBegan: false });
    }
  }

  async close(): Promise<void> {
    this.#plain.close();
    await this.#dispatchers.close();
  }

  #proxyOf(url: URL): ProxyAddress | undefined {
    const proxy = chooseProxy(url, this.#proxies);
    if (proxy === undefined) return undefined;
    const parsed = URL.canParse(proxy) ? new URL(proxy) : undefined;
    if (parsed === undefined || !/^https?:$/.test(parsed.protocol)) {
      throw new Fault('SourceRefused', 'the URL of the proxy is not a valid http or https URL');
    }
    const token = basicOf(userOf(parsed));
    return { url: parsed, ...(token === undefined ? {} : { token }) };
  }
}
