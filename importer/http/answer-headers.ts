// Reads what an answer says about the content: its length, the range it holds, and what tells one version of it from the next (RFC 9110).
import type { HttpAnswer } from './http-answer.ts';

/** Tells one version of the content from another. */
export interface Validator {
  /** As served; may be weak. */
  etag?: string;
  lastModified?: string;
}

export interface ContentRange {
  start: number;
  /** First byte that is no longer in the answer. */
  end: number;
  total: number | undefined;
}

function headerOf(answer: HttpAnswer, name: string): string | undefined {
  const value = answer.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

export function contentLengthOf(answer: HttpAnswer): number | undefined {
  return wholeNumber(headerOf(answer, 'content-length'));
}

export function contentRangeOf(answer: HttpAnswer): ContentRange | undefined {
  const match = /^bytes\s+(\d+)-(\d+)\/(\d+|\*)$/.exec(headerOf(answer, 'content-range')?.trim() ?? '');
  const start = wholeNumber(match?.[1]);
  const last = wholeNumber(match?.[2]);
  if (start === undefined || last === undefined || last < start) return undefined;
  return { start, end: last + 1, total: wholeNumber(match?.[3]) };
}

/** Total that a 416 tells: 0 for an empty file. */
export function totalOfUnsatisfied(answer: HttpAnswer): number | undefined {
  return wholeNumber(/^bytes\s+\*\/(\d+)$/.exec(headerOf(answer, 'content-range')?.trim() ?? '')?.[1]);
}

export function validatorOf(answer: HttpAnswer): Validator {
  const etag = headerOf(answer, 'etag');
  const lastModified = headerOf(answer, 'last-modified');
  return { ...(etag === undefined ? {} : { etag }), ...(lastModified === undefined ? {} : { lastModified }) };
}

const settledAfterMs = 60_000;

/**
 * What tells this content from the next that is put in its place. A date tells nothing of what comes within the same second, so one that is younger than a
 * minute by the server's own clock is left out where an ETag is told (RFC 9110 section 8.8.2.2).
 */
export function versionOf(answer: HttpAnswer): Validator {
  const { etag, lastModified } = validatorOf(answer);
  if (etag === undefined || lastModified === undefined) return validatorOf(answer);
  return isSettled(answer, lastModified) ? { etag, lastModified } : { etag };
}

/** What proves later that the content is the same to the byte: a strong ETag, or a date that was settled when it was told. */
export function strongValidatorOf(answer: HttpAnswer): string | undefined {
  const validator = ifRangeOf(validatorOf(answer));
  const isDate = validator !== undefined && validator === headerOf(answer, 'last-modified');
  return isDate && !isSettled(answer, validator) ? undefined : validator;
}

function isSettled(answer: HttpAnswer, lastModified: string): boolean {
  const ageMs = Date.parse(headerOf(answer, 'date') ?? new Date().toUTCString()) - Date.parse(lastModified);
  return ageMs >= settledAfterMs;
}

/** Value for If-Range: a strong ETag, else the date; undefined where nothing proves that the content is still the same. */
export function ifRangeOf(validator: Validator): string | undefined {
  if (validator.etag !== undefined && !validator.etag.startsWith('W/')) return validator.etag;
  return validator.lastModified;
}

/**
 * Names the content among all that the place serves: by a strong ETag and the length. Undefined without one, and where the server says that it answers by
 * who asks. A redirect may lead to the same place with another signature each time, so its query does not count: that of the user's own URL does elsewhere.
 */
export function identityOf(answer: HttpAnswer, totalBytes: number | undefined): string | undefined {
  const { etag } = validatorOf(answer);
  if (etag === undefined || !/^"[^"]+"$/.test(etag) || totalBytes === undefined || answersByUser(answer))
    return undefined;
  const { origin, pathname } = new URL(answer.url);
  return JSON.stringify([origin, pathname, etag, totalBytes]);
}

function answersByUser(answer: HttpAnswer): boolean {
  const vary = [answer.headers['vary'] ?? []].flat().join(',').toLowerCase();
  return vary.split(',').some((name) => ['*', 'authorization', 'cookie'].includes(name.trim()));
}

/** False where both name the same kind of validator and differ. */
export function agree(one: Validator, other: Validator): boolean {
  if (one.etag !== undefined && other.etag !== undefined) return bare(one.etag) === bare(other.etag);
  if (one.lastModified === undefined || other.lastModified === undefined) return true;
  return one.lastModified === other.lastModified;
}

function bare(etag: string): string {
  return etag.replace(/^W\//, '');
}

function wholeNumber(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d+$/.test(text)) return undefined;
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : undefined;
}
