// One object in Google Cloud Storage, for HttpSource: the XML API, with an access token of the user's service account or with none. All requests after the
// first are for the same generation of the object.
import { Fault } from '../../domain/fault.ts';
import type { Config } from '../../runtime/config.ts';
import type { ContentServer } from '../http/content-server.ts';
import type { HttpAnswer } from '../http/http-answer.ts';
import { placeOf } from '../http/http-faults.ts';
import { HttpTransport, type TransportSettings } from '../http/http-transport.ts';
import { AccessTokens } from './access-tokens.ts';
import { gcsObjectUrl } from './gcs-place.ts';

export interface GcsLocation extends TransportSettings {
  /** As gcsObjectUrl takes it. */
  url: string;
  /** Key file of a service account; without it the object is read as anybody may. */
  serviceAccount?: string;
}

export class GcsServer implements ContentServer {
  readonly #url: URL;
  readonly #transport: HttpTransport;
  readonly #tokens: AccessTokens | undefined;
  #generation: string | undefined;

  /** @throws Fault SourceRefused for a URL that names no object, SourceUnauthorized for what is no key file */
  constructor(location: GcsLocation, config: Config, signal: AbortSignal) {
    this.#url = gcsObjectUrl(location.url, config.gcsEndpoint);
    this.#transport = new HttpTransport(location, config, signal);
    const { serviceAccount } = location;
    this.#tokens = serviceAccount === undefined ? undefined : new AccessTokens(serviceAccount, this.#transport);
  }

  get sentTooMuch(): boolean {
    return this.#transport.sentTooMuch;
  }

  async get(headers: Record<string, string>): Promise<HttpAnswer> {
    const answer = await this.#ask(headers, (all) => this.#transport.send(this.#url, all));
    const generation = answer.headers['x-goog-generation'];
    if (typeof generation === 'string') this.#generation ??= generation;
    return answer;
  }

  getRange(headers: Record<string, string>): Promise<HttpAnswer> {
    return this.#ask(
      headers,
      async (all) => (await this.#transport.sendPlainly(this.#url, all)) ?? this.#transport.send(this.#url, all),
    );
  }

  close(): Promise<void> {
    return this.#transport.close();
  }

  /** A token that is refused is asked for anew once: it may have ended, or been withdrawn, while the content was read. */
  async #ask(
    headers: Record<string, string>,
    send: (headers: Record<string, string>) => Promise<HttpAnswer>,
  ): Promise<HttpAnswer> {
    const token = await this.#tokens?.token();
    const answer = await send(this.#allHeaders(headers, token));
    if (answer.status !== 401 || token === undefined) return this.#sameObject(answer);
    answer.body.destroy();
    await this.#tokens?.drop(token);
    return this.#sameObject(await send(this.#allHeaders(headers, await this.#tokens?.token())));
  }

  #allHeaders(headers: Record<string, string>, token: string | undefined): Record<string, string> {
    const { 'if-range': ifRange, ...rest } = headers;
    return {
      ...rest,
      // Stored bytes, not what Google would unpack of them for us: ranges and lengths are of the stored ones.
      'accept-encoding': 'gzip',
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(ifRange === undefined ? {} : this.#condition(ifRange)),
    };
  }

  /** The XML API has no If-Range: the object is the same, or the request is refused. */
  #condition(ifRange: string): Record<string, string> {
    if (this.#generation !== undefined) return { 'x-goog-if-generation-match': this.#generation };
    return ifRange.startsWith('"') ? { 'if-match': ifRange } : { 'if-unmodified-since': ifRange };
  }

  #sameObject(answer: HttpAnswer): HttpAnswer {
    if (answer.status !== 412) return answer;
    answer.body.destroy();
    throw new Fault('SourceChanged', `${placeOf(this.#url.href)} changed while it was read`);
  }
}
