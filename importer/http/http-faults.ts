// The one translator of what can go wrong between us and a web server into faults, by status, error code and type, never by words.
import { errors } from 'undici';
import { Fault, toFault } from '../../domain/fault.ts';
import type { FaultCode } from '../../domain/fault-catalogue.ts';
import type { HttpAnswer } from './http-answer.ts';

const byCode: Readonly<Record<string, FaultCode>> = {
  ENOTFOUND: 'SourceNameUnknown',
  EAI_AGAIN: 'SourceNameUnknown',
  EAI_NODATA: 'SourceNameUnknown',
  ECONNREFUSED: 'SourceUnreachable',
  ECONNRESET: 'SourceUnreachable',
  EHOSTUNREACH: 'SourceUnreachable',
  ENETUNREACH: 'SourceUnreachable',
  EHOSTDOWN: 'SourceUnreachable',
  EADDRNOTAVAIL: 'SourceUnreachable',
  ETIMEDOUT: 'SourceUnreachable',
  EPIPE: 'SourceUnreachable',
  UND_ERR_CONNECT_TIMEOUT: 'SourceUnreachable',
  UND_ERR_SOCKET: 'SourceUnreachable',
  // Our own aborts are told before: this is a proxy that refused to tunnel, with a status that undici tells by words only, so it is tried again.
  UND_ERR_ABORTED: 'SourceUnreachable',
  UND_ERR_HEADERS_TIMEOUT: 'SourceStalled',
  UND_ERR_BODY_TIMEOUT: 'SourceStalled',
  UND_ERR_HEADERS_OVERFLOW: 'SourceRefused',
  // A body that ends early has another code: here two lengths were declared, or a length for a body in chunks, and they will be the next time, too.
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: 'SourceRefused',
  UND_ERR_INVALID_ARG: 'SourceRefused',
};

/** What a person is told in place of a code of undici. */
const wordsFor: Readonly<Record<string, string>> = {
  UND_ERR_ABORTED: 'the proxy refused the tunnel',
  UND_ERR_BODY_TIMEOUT: 'nothing more came in time',
  UND_ERR_CONNECT_TIMEOUT: 'no connection in time',
  UND_ERR_HEADERS_OVERFLOW: 'the headers of its answer are too large',
  UND_ERR_HEADERS_TIMEOUT: 'no answer in time',
  UND_ERR_INVALID_ARG: 'no request can be made of the URL and its headers',
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: 'its answer contradicts itself about how long it is (Content-Length)',
  UND_ERR_SOCKET: 'the connection was closed',
};

/** OpenSSL's and Node's codes for a certificate or handshake that is not accepted. */
const tlsCodes =
  /^(ERR_TLS_|ERR_SSL_|CERT_|UNABLE_TO_|SELF_SIGNED_CERT|DEPTH_ZERO_SELF_SIGNED|HOSTNAME_MISMATCH|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH_EXCEEDED|CRL_|EPROTO$)/;

/** Fault for a status that is not the content, with the pause that the server asks for; undefined for 200 and 206. */
export function faultOfAnswer(answer: Pick<HttpAnswer, 'status' | 'headers' | 'url'>): Fault | undefined {
  const { status, url } = answer;
  if (status === 200 || status === 206) return undefined;
  const code = codeOfStatus(status);
  const retryAfterSeconds = code === 'SourceUnavailable' ? pauseOf(answer) : undefined;
  const wish = retryAfterSeconds === undefined ? '' : ` and asks for a pause of ${retryAfterSeconds} s`;
  const facts = { status, ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }) };
  return new Fault(code, `${placeOf(url)} answered ${status}${wish}`, { facts });
}

/** Retry-After (RFC 9110, 10.2.3) in seconds: a number, or a date. */
function pauseOf({ headers }: Pick<HttpAnswer, 'headers'>): number | undefined {
  const value = headers['retry-after'];
  const text = (Array.isArray(value) ? value[0] : value)?.trim() ?? '';
  if (/^\d{1,9}$/.test(text)) return Number(text);
  const seconds = Math.ceil((Date.parse(text) - Date.now()) / 1_000);
  return Number.isFinite(seconds) && seconds > 0 ? seconds : undefined;
}

/** Of a status that is neither 200 nor 206. */
function codeOfStatus(status: number): FaultCode {
  if (status === 401) return 'SourceUnauthorized';
  if (status === 403) return 'SourceForbidden';
  if (status === 404 || status === 410) return 'SourceNotFound';
  if (status === 408 || status === 429 || status >= 500) return 'SourceUnavailable';
  return 'SourceRefused';
}

/** @param bodyBegan a connection lost after bytes of the body came is an interruption, not a server that cannot be reached */
export function faultOfHttpError(
  error: unknown,
  url: string,
  options: { signal: AbortSignal; bodyBegan: boolean },
): Fault {
  if (options.signal.aborted || error instanceof Fault) return toFault(error, { signal: options.signal });
  const codes = codesOf(error);
  const code = codes.map(codeOfError).find((found) => found !== undefined);
  const first = codes[0] ?? 'failed';
  const where = `${placeOf(url)}: ${wordsFor[first] ?? first}`;
  if (options.bodyBegan && (code === undefined || code === 'SourceUnreachable')) {
    return new Fault('SourceInterrupted', `${where} while the content was read`, { cause: error });
  }
  if (code !== undefined) return new Fault(code, where, { cause: error });
  if (error instanceof errors.HTTPParserError || error instanceof errors.InvalidArgumentError) {
    return new Fault('SourceRefused', `${where}: no valid HTTP`, { cause: error });
  }
  return toFault(error, { otherwise: 'SourceUnreachable' });
}

/** True for a server that would not shake hands over HTTP/1.1 (RFC 7301, 3.2). */
export function wantsHttp2(error: unknown): boolean {
  return codesOf(error).includes('ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL');
}

/** True where going on from the last byte may help. */
export function isPassingFault(fault: Fault): boolean {
  return ['SourceInterrupted', 'SourceUnreachable', 'SourceStalled', 'SourceUnavailable'].includes(fault.code);
}

/**
 * True where a connection ended because bytes came after an answer that was complete. undici has no code of its own for it, so this is the one
 * place that looks at words; a test with such a server watches over them.
 */
export function cameAfterTheEnd(error: Error): boolean {
  const code = 'code' in error ? String(error.code) : '';
  return code.startsWith('HPE_') || (code === 'UND_ERR_SOCKET' && error.message === 'bad response');
}

function codeOfError(code: string): FaultCode | undefined {
  if (tlsCodes.test(code)) return 'SourceUntrusted';
  if (code.startsWith('HPE_')) return 'SourceRefused';
  return byCode[code];
}

/** Codes of the error, of its causes and, for a host with several addresses, of the single tries. */
function codesOf(error: unknown, depth = 0): string[] {
  if (typeof error !== 'object' || error === null || depth > 4) return [];
  const own = 'code' in error && typeof error.code === 'string' ? [error.code] : [];
  const tries = error instanceof AggregateError ? error.errors.flatMap((one) => codesOf(one, depth + 1)) : [];
  const cause = 'cause' in error ? codesOf(error.cause, depth + 1) : [];
  return [...own, ...tries, ...cause];
}

/** The URL without user, password and query: fit for a detail. */
export function placeOf(url: string): string {
  if (!URL.canParse(url)) return 'the URL';
  const { protocol, host, pathname } = new URL(url);
  return `${protocol}//${host}${pathname}`;
}
