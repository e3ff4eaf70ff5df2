// Uploads from web pages of any origin: CORS as CDI's proxy answers it (allow all, no credentials, no max-age).
import type { IncomingMessage, ServerResponse } from 'node:http';

const methods = ['HEAD', 'GET', 'POST', 'PUT', 'PATCH', 'DELETE'];

/** Sets the headers that every answer has. */
export function allowOrigin(request: IncomingMessage, response: ServerResponse): void {
  response.setHeader('vary', 'Origin');
  if (request.headers.origin === undefined) return;
  response.setHeader('access-control-allow-origin', '*');
  response.setHeader('access-control-expose-headers', 'longshore-fault, longshore-detail');
}

/** An OPTIONS request without Access-Control-Request-Method is an ordinary request. */
export function isPreflight(request: IncomingMessage): boolean {
  return request.method === 'OPTIONS' && request.headers['access-control-request-method'] !== undefined;
}

/** 200, empty, without authentication; a method that is never allowed is simply not named. */
export function answerPreflight(request: IncomingMessage, response: ServerResponse): void {
  const method = request.headers['access-control-request-method'] ?? '';
  const wanted = request.headers['access-control-request-headers'];
  response.setHeader('vary', 'Origin, Access-Control-Request-Method, Access-Control-Request-Headers');
  if (methods.includes(method.toUpperCase())) {
    response.setHeader('access-control-allow-methods', method.toUpperCase());
    if (wanted !== undefined) response.setHeader('access-control-allow-headers', wanted);
  }
  response.writeHead(200, { 'content-length': '0' }).end();
}
