// What an S3 server says when it refuses, and which fault that is: decided by its error code, else by the status. Its own words stay out of the detail.
import { S3ServiceException } from '@aws-sdk/client-s3';
import { Fault } from '../../domain/fault.ts';
import type { FaultCode } from '../../domain/fault-catalogue.ts';
import { faultOfAnswer } from '../http/http-faults.ts';
import type { S3Place } from './s3-place.ts';

export interface S3Refusal {
  /** Such as NoSuchKey. */
  code: string;
  status: number;
  /** The region in which the bucket is, or by which requests are to be signed. */
  region?: string;
  headers: Record<string, string>;
}

/** With what right a request is made. */
export type S3Right = 'keys' | 'role' | 'anonymous';

/** Error codes of S3 (Amazon S3 API reference, "Error responses"); what is not here goes by its status. */
const byCode: Readonly<Record<string, FaultCode>> = {
  NoSuchKey: 'SourceNotFound',
  NoSuchBucket: 'SourceNotFound',
  NoSuchVersion: 'SourceNotFound',
  InvalidAccessKeyId: 'SourceUnauthorized',
  SignatureDoesNotMatch: 'SourceUnauthorized',
  AuthorizationHeaderMalformed: 'SourceUnauthorized',
  InvalidToken: 'SourceUnauthorized',
  ExpiredToken: 'SourceUnauthorized',
  TokenRefreshRequired: 'SourceUnauthorized',
  InvalidSecurity: 'SourceUnauthorized',
  NotSignedUp: 'SourceUnauthorized',
  AccessDenied: 'SourceForbidden',
  AccountProblem: 'SourceForbidden',
  AllAccessDisabled: 'SourceForbidden',
  RequestTimeTooSkewed: 'SourceRefused',
  InvalidObjectState: 'SourceRefused',
  PermanentRedirect: 'RedirectRefused',
  TemporaryRedirect: 'RedirectRefused',
  PreconditionFailed: 'SourceChanged',
  InternalError: 'SourceUnavailable',
  RequestTimeout: 'SourceUnavailable',
  ServiceUnavailable: 'SourceUnavailable',
  SlowDown: 'SourceUnavailable',
};

const byStatus: Readonly<Record<number, FaultCode>> = {
  301: 'RedirectRefused',
  302: 'RedirectRefused',
  307: 'RedirectRefused',
  308: 'RedirectRefused',
  412: 'SourceChanged',
};

const wordsFor: Readonly<Record<string, string>> = {
  NoSuchBucket: 'there is no such bucket',
  NoSuchKey: 'there is no such key in the bucket',
  InvalidAccessKeyId: 'the access key is not known there',
  SignatureDoesNotMatch: 'the secret key is not that of the access key',
  ExpiredToken: 'the session token has expired',
  InvalidObjectState: 'the object is archived and must be restored first',
  PreconditionFailed: 'the object changed while it was read',
};

/** @returns undefined for what is no answer of a server */
export function refusalOf(error: unknown): S3Refusal | undefined {
  if (!(error instanceof S3ServiceException)) return undefined;
  const status = error.$metadata.httpStatusCode ?? 0;
  const headers = error.$response?.headers ?? {};
  const region = headers['x-amz-bucket-region'] ?? memberOf(error, 'Region');
  return { code: error.name, status, headers, ...(region === undefined ? {} : { region }) };
}

/** A member of the XML, which the SDK leaves on its error. */
function memberOf(error: S3ServiceException, name: string): string | undefined {
  const value: unknown = Object.getOwnPropertyDescriptor(error, name)?.value;
  return typeof value === 'string' && value !== '' ? value : undefined;
}

export function faultOfRefusal({ code, status, headers }: S3Refusal, place: S3Place, right: S3Right): Fault {
  const known = /^[A-Za-z][A-Za-z0-9.]{1,63}$/.test(code) && code !== 'Unknown' ? ` ${code}` : '';
  const words = code === 'RequestTimeTooSkewed' ? skewWords() : wordsFor[code];
  const who = right === 'anonymous' && [400, 401, 403].includes(status) ? '; it was asked without credentials' : '';
  const detail = `${placeText(place)} answered ${status}${known}${words === undefined ? '' : `: ${words}`}${who}`;
  const byItsStatus = faultOfAnswer({ status, headers, url: place.endpoint.href });
  const fault = byCode[code] ?? byStatus[status] ?? byItsStatus?.code ?? 'SourceRefused';
  return new Fault(fault, detail, { facts: { status, ...byItsStatus?.facts } });
}

function skewWords(): string {
  return `the clock of this machine, ${new Date().toISOString()}, is too far off that of the server`;
}

/** Such as `s3://bucket/key at https://server`. */
function placeText({ bucket, key, endpoint }: S3Place): string {
  return `s3://${bucket}/${key} at ${endpoint.origin}`;
}
