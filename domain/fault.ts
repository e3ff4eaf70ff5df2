// The one error class that crosses boundaries, and the one translator into it. See fault-catalogue.ts for the codes.
import { type FaultCode, type FaultRow, faultCatalogue } from './fault-catalogue.ts';

/** Facts that a detail may be built from again: numbers and names, never secrets. */
export type FaultFacts = Readonly<Record<string, string | number | boolean>>;

/** A failure with a code of the catalogue. `detail` says what exactly, for a person; it never holds a secret. */
export class Fault extends Error {
  readonly code: FaultCode;
  readonly detail: string;
  readonly facts: FaultFacts;

  constructor(code: FaultCode, detail: string, options: { cause?: unknown; facts?: FaultFacts } = {}) {
    super(`${code}: ${detail}`, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'Fault';
    this.code = code;
    this.detail = detail;
    this.facts = options.facts ?? {};
  }

  get row(): FaultRow {
    return faultCatalogue[this.code];
  }

  get retryable(): boolean {
    return this.row.retryable;
  }
}

/** A fault as it travels in JSON: job results, the channel, `status.longshore.fault`, problem+json. */
export interface FaultRecord {
  code: FaultCode;
  detail: string;
  retryable: boolean;
  nextStep: string;
  /** Pause that who failed asked for. */
  retryAfterSeconds?: number;
}

export function faultRecord(fault: Fault): FaultRecord {
  const { code, detail, retryable, row } = fault;
  const retryAfterSeconds = retryAfterOf(fault);
  const pause = retryAfterSeconds === undefined ? {} : { retryAfterSeconds };
  return { code, detail, retryable, nextStep: row.nextStep, ...pause };
}

/** Pause in seconds that who failed asked for, such as a server that is asked too often. */
export function retryAfterOf({ facts }: Fault): number | undefined {
  const seconds = facts['retryAfterSeconds'];
  return typeof seconds === 'number' ? seconds : undefined;
}

/** A fault as a person reads it: the code first and what happened, what exactly, what to do next. */
export function faultText({ code, row, detail }: Fault): string {
  const said = detail.trim() === '' ? '' : `  ${detail.trim()}\n`;
  return `${code}: ${row.sentence}\n${said}  ${row.nextStep}\n`;
}

export function isFaultCode(code: unknown): code is FaultCode {
  return typeof code === 'string' && Object.hasOwn(faultCatalogue, code);
}

/** The fault that a record tells of; a code this version does not know becomes `Internal` with the code in its detail. */
export function faultFromRecord(record: { code: string; detail: string; retryAfterSeconds?: number }): Fault {
  const { retryAfterSeconds } = record;
  const facts = retryAfterSeconds === undefined ? {} : { retryAfterSeconds };
  return isFaultCode(record.code)
    ? new Fault(record.code, record.detail, { facts })
    : new Fault('Internal', `${record.code}: ${record.detail}`);
}

const byErrno: Readonly<Record<string, FaultCode>> = {
  ENOSPC: 'NoSpace',
  EDQUOT: 'NoSpace',
  EFBIG: 'VolumeTooLarge',
  EACCES: 'PermissionDenied',
  EPERM: 'PermissionDenied',
  EROFS: 'PermissionDenied',
  EADDRINUSE: 'AddressInUse',
  ENOMEM: 'OutOfMemory',
};

/** Primary result codes of SQLite; higher bits only tell where it happened. */
const bySqliteCode: Readonly<Record<number, FaultCode>> = {
  3: 'PermissionDenied', // SQLITE_PERM
  7: 'OutOfMemory', // SQLITE_NOMEM
  8: 'PermissionDenied', // SQLITE_READONLY
  10: 'StoreUnavailable', // SQLITE_IOERR
  11: 'StoreUnavailable', // SQLITE_CORRUPT
  13: 'NoSpace', // SQLITE_FULL
  14: 'PermissionDenied', // SQLITE_CANTOPEN
  26: 'StoreUnavailable', // SQLITE_NOTADB
};

function codeOfSqlite(error: unknown): FaultCode | undefined {
  if (errnoOf(error) !== 'ERR_SQLITE_ERROR' || typeof error !== 'object' || error === null) return undefined;
  return 'errcode' in error && typeof error.errcode === 'number' ? bySqliteCode[error.errcode & 0xff] : undefined;
}

function errnoOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // A name with several addresses, none of which took the connection: each says why.
  if (error instanceof AggregateError && error.message === '') return error.errors.map(messageOf).join('; ');
  return error.message;
}

/**
 * Any thrown value as a Fault, decided by the abort signal first, then type and errno, never by message text.
 * `otherwise` is the code for what is not recognised (default `Internal`).
 */
export function toFault(error: unknown, options: { signal?: AbortSignal; otherwise?: FaultCode } = {}): Fault {
  const reason: unknown = options.signal?.aborted === true ? options.signal.reason : undefined;
  if (reason instanceof Fault) return reason;
  if (error instanceof Fault) return error;
  const message = messageOf(error);
  if (options.signal?.aborted === true) return new Fault('Cancelled', message, { cause: error });
  const errno = errnoOf(error);
  const code = errno === undefined ? undefined : (byErrno[errno] ?? codeOfSqlite(error));
  return new Fault(code ?? options.otherwise ?? 'Internal', message, { cause: error });
}
