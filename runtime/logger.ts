// The log of a process: one JSON line an event on stderr, with the name of the process. Fields that may hold a secret are blanked by name,
// also inside of objects, so that a careless `logger.info({ headers })` gives nothing away; what looks like a secret within a text is, too.
import { type Logger, pino, stdSerializers } from 'pino';
import { Fault } from '../domain/fault.ts';
import type { Config } from './config.ts';
import { LogWriter } from './log-writer.ts';

export type { Logger } from 'pino';

/** Blanked whole, whatever they hold, at the first depths. */
const secretNames = [
  'authorization',
  'Authorization',
  'password',
  'token',
  'secret',
  'secretKey',
  'credentials',
  'cookie',
];
const secretWords = 'authorization|password|token|secret|secretkey|credentials|cookie|apikey|api-key';
/** What a secret looks like in the line as it is to be written, at any depth: what stays of it is the first group. */
const secretTexts = [
  new RegExp(`("[\\w-]*(?:${secretWords})":)"(?:[^"\\\\]|\\\\.)*"`, 'gi'),
  // JSON within a text.
  new RegExp(`(\\\\"[\\w-]*(?:${secretWords})\\\\":)\\\\".*?\\\\"`, 'gi'),
  /\b((?:Bearer|Basic) +)[\w.~+/=-]{6,}/gi,
  /(:\/\/[^\s/:@"]*:)[^\s/@"]+(?=@)/g,
  /([?&][\w-]*(?:signature|credential|token|secret|password|apikey|sig)=)[^&\s"\\#]+/gi,
  /(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(?=-----END|")/g,
];

export interface LogStream {
  write(line: string): void;
}

/**
 * @param name of the process: up, api, uploadproxy, worker
 * @param stream where the lines go; stderr unless a test wants to read them
 */
export function createLogger(
  config: Pick<Config, 'logLevel'>,
  name: string,
  stream: LogStream = new LogWriter({ descriptor: 2 }),
): Logger {
  return pino(
    {
      name,
      level: config.logLevel,
      base: { pid: process.pid },
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: secretNames.flatMap(atAnyDepth), censor: '[redacted]' },
      hooks: { streamWrite: blankSecrets },
      serializers: { err: describeError, error: describeError },
    },
    stream,
  );
}

function atAnyDepth(name: string): string[] {
  return [name, `*.${name}`, `*.*.${name}`, `*.*.*.${name}`];
}

/** A blanked field stays JSON: what was a text becomes a text. */
function blankSecrets(line: string): string {
  return secretTexts.reduce(
    (text, pattern) => text.replace(pattern, (whole, kept: string) => kept + blankLike(whole)),
    line,
  );
}

function blankLike(whole: string): string {
  if (whole.endsWith('\\"')) return '\\"[redacted]\\"';
  return whole.endsWith('"') ? '"[redacted]"' : '[redacted]';
}

/** Facts of a fault first; the stack only of what nobody foresaw. */
function describeError(error: unknown): unknown {
  if (!(error instanceof Fault)) return error instanceof Error ? stdSerializers.err(error) : error;
  const facts = { code: error.code, detail: error.detail, ...error.facts };
  return error.code === 'Internal' && error.cause instanceof Error
    ? { ...facts, cause: stdSerializers.err(error.cause) }
    : facts;
}
