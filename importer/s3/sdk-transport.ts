// The way of the AWS SDK to the network: its requests go through our transport, with its proxy, its trust and its guard. Content stays out of the SDK:
// of an answer with content it sees status and headers only, and the body is handed to who asked.
import { Readable } from 'node:stream';
import { type HttpAnswer, textOf } from '../http/http-answer.ts';
import type { HttpTransport } from '../http/http-transport.ts';

/** One request and the content that came of it. It passes through the SDK with the options of the call. */
export interface Exchange {
  /** Take the quickest way there is, for a range. */
  quickly: boolean;
  answer?: HttpAnswer;
}

/** As the SDK makes it (HttpRequest of @smithy/types), as far as it matters here. */
interface SdkRequest {
  method: string;
  protocol: string;
  hostname: string;
  port?: number;
  path: string;
  query?: Record<string, string | string[] | null>;
  headers: Record<string, string>;
  body?: unknown;
}

interface SdkResponse {
  response: { statusCode: number; headers: Record<string, string>; body: Readable };
}

export class SdkTransport {
  readonly metadata = { handlerProtocol: 'http/1.1' };
  readonly #transport: HttpTransport;

  constructor(transport: HttpTransport) {
    this.#transport = transport;
  }

  /** @throws Fault of the group source */
  async handle(request: SdkRequest, options: { exchange?: Exchange } = {}): Promise<SdkResponse> {
    const { exchange } = options;
    const answer = await this.#send(request, exchange?.quickly === true);
    const headers = flat(answer.headers);
    if (exchange !== undefined && (answer.status === 200 || answer.status === 206)) {
      exchange.answer = answer;
      return { response: { statusCode: answer.status, headers, body: Readable.from([]) } };
    }
    const body = Readable.from([Buffer.from(await textOf(answer))]);
    return { response: { statusCode: answer.status, headers, body } };
  }

  /** The transport belongs to who made it. */
  destroy(): void {}

  /** Nothing of this way is the SDK's to set. */
  updateHttpClientConfig(): void {}

  httpHandlerConfigs(): Record<string, never> {
    return {};
  }

  async #send(request: SdkRequest, quickly: boolean): Promise<HttpAnswer> {
    const url = urlOf(request);
    // What the SDK says of itself and of this machine is nobody's business; it is not signed.
    const headers = { ...request.headers, 'user-agent': 'longshore' };
    if (request.method !== 'GET') return this.#transport.send(url, headers, String(request.body ?? ''));
    const answer = quickly ? await this.#transport.sendPlainly(url, headers) : undefined;
    return answer ?? this.#transport.send(url, headers);
  }
}

function urlOf({ protocol, hostname, port, path, query }: SdkRequest): URL {
  const pairs = Object.entries(query ?? {}).flatMap(([name, value]) =>
    [value ?? ''].flat().map((one) => `${encodeURIComponent(name)}=${encodeURIComponent(one)}`),
  );
  const search = pairs.length === 0 ? '' : `?${pairs.join('&')}`;
  return new URL(`${protocol}//${hostname}${port === undefined ? '' : `:${port}`}${path}${search}`);
}

function flat(headers: HttpAnswer['headers']): Record<string, string> {
  const entries = Object.entries(headers).map(([name, value]) => [name, [value ?? ''].flat().join(', ')]);
  return Object.fromEntries(entries);
}
