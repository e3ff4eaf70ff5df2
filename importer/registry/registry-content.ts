// One document or blob of a registry over HTTP: logs in when it is asked to, and waits where the registry says to wait.
import { setTimeout as delay } from 'node:timers/promises';
import type { DecoderSurroundings } from '../decode/decompressor.ts';
import type { ContentServer } from '../http/content-server.ts';
import type { HttpAnswer } from '../http/http-answer.ts';
import { HttpConnection, type HttpLocation } from '../http/http-connection.ts';
import { faultOfAnswer } from '../http/http-faults.ts';
import type { LoginPlace, RegistryLogin } from './registry-login.ts';

/** A longer wait is left to the next attempt. */
const longestWaitMs = 60_000;
const mostWaits = 5;
const mostLogins = 2;

type Ask = (headers: Record<string, string>) => Promise<HttpAnswer>;

export class RegistryContent implements ContentServer {
  readonly #connection: HttpConnection;
  readonly #login: RegistryLogin;
  readonly #origin: string;
  readonly #digest: string | undefined;
  readonly #signal: AbortSignal;

  /** @param digest of a blob: what it holds never changes, whatever validators each of its servers tells */
  constructor(
    path: string,
    place: LoginPlace,
    login: RegistryLogin,
    { config, signal }: Pick<DecoderSurroundings, 'config' | 'signal'>,
    digest?: string,
  ) {
    this.#login = login;
    this.#origin = place.origin;
    this.#digest = digest;
    this.#signal = signal;
    const { certificates, insecureSkipVerify, proxy } = place;
    const location: HttpLocation = {
      ...{ url: `${place.origin}${path}`, certificates, insecureSkipVerify },
      ...(proxy === undefined ? {} : { proxy }),
      // Asked for with each request, and sent to this origin only: not to where a blob is kept.
      get headers() {
        return login.authorization === undefined ? [] : [['authorization', login.authorization] as const];
      },
    };
    this.#connection = new HttpConnection(location, config, signal);
  }

  get sentTooMuch(): boolean {
    return this.#connection.sentTooMuch;
  }

  get(headers: Record<string, string>): Promise<HttpAnswer> {
    return this.#ask((asked) => this.#connection.get(asked), headers);
  }

  getRange(headers: Record<string, string>): Promise<HttpAnswer> {
    return this.#ask((asked) => this.#connection.getRange(asked), headers);
  }

  close(): Promise<void> {
    return this.#connection.close();
  }

  async #ask(ask: Ask, { 'if-range': ifRange, ...headers }: Record<string, string>): Promise<HttpAnswer> {
    const asked = this.#digest === undefined && ifRange !== undefined ? { ...headers, 'if-range': ifRange } : headers;
    for (let waits = 0, logins = 0; ; ) {
      const used = this.#login.authorization;
      const answer = await ask(asked);
      const waitMs = waitOf(answer);
      if (waitMs !== undefined && waits < mostWaits) {
        waits += 1;
        answer.body.destroy();
        await delay(waitMs, undefined, { signal: this.#signal });
        continue;
      }
      const isAsked = answer.status === 401 && logins < mostLogins && new URL(answer.url).origin === this.#origin;
      if (!isAsked || !(await this.#login.meet(answer, used))) return this.#named(answer);
      logins += 1;
      answer.body.destroy();
    }
  }

  #named(answer: HttpAnswer): HttpAnswer {
    if (this.#digest === undefined) return answer;
    const { 'last-modified': _, ...headers } = answer.headers;
    return { ...answer, headers: { ...headers, etag: `"${this.#digest}"` } };
  }
}

/** Milliseconds that the registry asks to wait; undefined where it asks for none, or for longer than anybody waits here. */
function waitOf(answer: HttpAnswer): number | undefined {
  const seconds = faultOfAnswer(answer)?.facts['retryAfterSeconds'];
  return typeof seconds === 'number' && seconds * 1000 <= longestWaitMs ? seconds * 1000 : undefined;
}
