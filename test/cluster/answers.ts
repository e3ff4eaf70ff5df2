// Whether a server says that it is ready.
import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';

const replyLimitMs = 2_000;

/** Over TLS where there is a `ca`. True where a GET is answered with 200; a refused connection and another status are a no. */
export async function answers(
  options: { path: string } & ({ socketPath: string } | { host: string; port: number; ca?: string }),
): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const signal = AbortSignal.timeout(replyLimitMs);
  const request = 'ca' in options ? requestHttps({ ...options, signal }) : requestHttp({ ...options, signal });
  request.once('error', () => resolve(false));
  request.once('response', (response) => {
    response.resume();
    resolve(response.statusCode === 200);
  });
  request.end();
  return promise;
}
