// The log of a process: one JSON line an event on stderr, with the name of the process. Fields that may hold a secret are blanked by name,
// also inside of objects, so that a careless `logger.info({ headers })` gives nothing away.
import { destination, type Logger, pino, stdSerializers } from 'pino';
import { Fault } from '../domain/fault.ts';
import type { Config } from './config.ts';

export type { Logger } from 'pino';

const secretNames = [
  'authorization',
  'Authorization',
  'password',
  'token',
  'secret',
  'secretKey',
  'credentials',
  'cookie',
  'key',
];

export interface LogStream {
  write(line: string): void;
}

/** A descriptor as a place for the log; lines are out before the next statement runs, so the last one is never lost. */
export function logTo(descriptor: number): LogStream {
  return destination({ dest: descriptor, sync: true });
}

/**
 * @param name of the process: up, api, uploadproxy, worker
 * @param stream where the lines go; stderr unless a test wants to read them
 */
export function createLogger(config: Pick<Config, 'logLevel'>, name: string, stream: LogStream = logTo(2)): Logger {
  return pino(
    {
      name,
      level: config.logLevel,
      base: { pid: process.pid },
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: secretNames.flatMap(atAnyDepth), censor: '[redacted]' },
      serializers: { err: describeError, error: describeError },
    },
    stream,
  );
}

function atAnyDepth(name: string): string[] {
  return [name, `*.${name}`, `*.*.${name}`, `*.*.*.${name}`];
}

/** Facts of a fault first; the stack only of what nobody foresaw. */
function describeError(error: unknown): unknown {
  if (!(error instanceof Fault)) return error instanceof Error ? stdSerializers.err(error) : error;
  const facts = { code: error.code, detail: error.detail, ...error.facts };
  return error.code === 'Internal' && error.cause instanceof Error
    ? { ...facts, cause: stdSerializers.err(error.cause) }
    : facts;
}
