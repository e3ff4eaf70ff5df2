// The word by which Kubernetes' clients know what kind of refusal an answer is: `reason` of a metav1.Status.
import type { Fault } from './fault.ts';
import type { FaultCode } from './fault-catalogue.ts';

const reasons: Partial<Record<FaultCode, string>> = {
  InvalidRequest: 'Invalid',
  CloneForbidden: 'Invalid',
  MalformedRequest: 'BadRequest',
  NotFound: 'NotFound',
  AlreadyExists: 'AlreadyExists',
  Conflict: 'Conflict',
  Gone: 'Expired',
  Unauthenticated: 'Unauthorized',
  Forbidden: 'Forbidden',
  Quota: 'Forbidden',
  MethodNotAllowed: 'MethodNotAllowed',
  UnsupportedMediaType: 'UnsupportedMediaType',
  NotAcceptable: 'NotAcceptable',
  TooLarge: 'RequestEntityTooLarge',
  TimedOut: 'Timeout',
};

/** @returns such as `NotFound` */
export function reasonOf(fault: Fault): string {
  const known = reasons[fault.code];
  if (known !== undefined) return known;
  return fault.retryable && fault.row.http >= 500 ? 'ServiceUnavailable' : 'InternalError';
}
