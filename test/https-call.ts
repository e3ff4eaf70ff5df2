// One HTTPS request on a connection of its own, with the text of the answer whatever its status is.
import { request } from 'node:https';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

export interface HttpsCall {
  /** What is trusted. */
  ca: string;
  /** Who calls, where certificates tell it. */
  identity?: { cert: string; key: string };
  headers?: Record<string, string>;
  body?: string | Buffer | Readable | undefined;
}

export interface HttpsAnswer {
  status: number;
  text: string;
  headers: Record<string, string | string[] | undefined>;
}

export function callHttps(method: string, url: URL, options: HttpsCall): Promise<HttpsAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<HttpsAnswer>();
  const { ca, identity, headers = {} } = options;
  const call = request(url, { method, headers, ca, ...identity, agent: false }, (response) => {
    let text = '';
    response.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    response.once('end', () => resolve({ status: response.statusCode ?? 0, text, headers: response.headers }));
    response.once('error', reject);
  });
  call.once('error', reject);
  if (options.body instanceof Readable) pipeline(options.body, call).catch(reject);
  else call.end(options.body);
  return promise;
}
