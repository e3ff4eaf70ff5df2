// What a client of the upload proxy is told: CDI's statuses and bodies, and beside them our fault code and detail in headers.
// An answer that comes before the whole body did is still read by the client: the connection is ended only after it stopped sending.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Fault } from '../domain/fault.ts';
import type { FaultCode } from '../domain/fault-catalogue.ts';

export interface ProxyAnswer {
  status: number;
  body: string;
  headers: Readonly<Record<string, string>>;
}

/** Where CDI's proxy has another status than the catalogue. Everything that keeps a claim from taking bytes is 503. */
const cdiStatuses: Partial<Record<FaultCode, number>> = {
  NotFound: 503,
  InvalidRequest: 503,
  Unauthenticated: 503,
  Forbidden: 503,
  ServiceUnreachable: 503,
  RedisUnavailable: 502,
  NodeLost: 502,
};

/** How long a client may go on sending after its answer. */
const lingerMs = 10_000;

export function answerOfFault(fault: Fault): ProxyAnswer {
  const status = cdiStatuses[fault.code] ?? fault.row.http;
  return { status, body: bodyOf(status, fault), headers: faultHeaders(fault) };
}

function faultHeaders(fault: Fault): Record<string, string> {
  return { 'longshore-fault': fault.code, 'longshore-detail': encodeURIComponent(fault.detail.toWellFormed()) };
}

function bodyOf(status: number, fault: Fault): string {
  if (status === 503) return escapeHtml(fault.detail);
  if (status === 502) return `error in upload-proxy: ${fault.detail}`;
  return '';
}

/** As Go's html.EscapeString. */
function escapeHtml(text: string): string {
  const escapes: Readonly<Record<string, string>> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&#34;',
    "'": '&#39;',
  };
  return text.replaceAll(/[&<>"']/g, (character) => escapes[character] ?? character);
}

/** Sends the answer. What the client still sends is read and thrown away, for a while, so that it gets to reading. */
export async function sendAnswer(
  request: IncomingMessage,
  response: ServerResponse,
  answer: ProxyAnswer,
): Promise<void> {
  if (response.headersSent || response.destroyed) return;
  const body = Buffer.from(answer.body, 'utf8');
  const headers = {
    ...answer.headers,
    'content-length': String(body.byteLength),
    ...(body.byteLength > 0 && answer.headers['content-type'] === undefined
      ? { 'content-type': 'text/plain; charset=utf-8' }
      : {}),
  };
  if (request.complete || !hasBody(request)) {
    response.writeHead(answer.status, headers).end(body);
    return;
  }
  response.writeHead(answer.status, { ...headers, connection: 'close' });
  if (body.byteLength > 0 && request.method !== 'HEAD') response.write(body);
  else response.flushHeaders();
  await untilClientStops(request);
  response.end();
}

function hasBody(request: IncomingMessage): boolean {
  const length = request.headers['content-length'];
  return request.headers['transfer-encoding'] !== undefined || (length !== undefined && length !== '0');
}

async function untilClientStops(request: IncomingMessage): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, lingerMs);
  request.once('end', resolve);
  request.once('close', resolve);
  request.once('error', () => resolve());
  request.resume();
  await promise;
  clearTimeout(timer);
}
