// What kube-apiserver says of a request that it refuses, as a Fault: by the reason of its Status, then by the HTTP status; never by its text, but for an
// exceeded quota, which has no other sign.
import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { Fault } from '../domain/fault.ts';
import type { FaultCode } from '../domain/fault-catalogue.ts';

const Status = Compile(
  Type.Object({
    kind: Type.Literal('Status'),
    message: Type.Optional(Type.String()),
    reason: Type.Optional(Type.String()),
    code: Type.Optional(Type.Number()),
    details: Type.Optional(
      Type.Object({
        causes: Type.Optional(Type.Array(Type.Object({ reason: Type.Optional(Type.String()) }))),
        retryAfterSeconds: Type.Optional(Type.Number()),
      }),
    ),
  }),
);

const byReason: Readonly<Record<string, FaultCode>> = {
  NotFound: 'NotFound',
  AlreadyExists: 'AlreadyExists',
  Conflict: 'Conflict',
  Invalid: 'InvalidRequest',
  BadRequest: 'MalformedRequest',
  Expired: 'Gone',
  Gone: 'Gone',
  Forbidden: 'Forbidden',
  Unauthorized: 'Unauthenticated',
  MethodNotAllowed: 'MethodNotAllowed',
  RequestEntityTooLarge: 'TooLarge',
  UnsupportedMediaType: 'UnsupportedMediaType',
};

const byHttp: Readonly<Record<number, FaultCode>> = {
  400: 'MalformedRequest',
  401: 'Unauthenticated',
  403: 'Forbidden',
  404: 'NotFound',
  405: 'MethodNotAllowed',
  409: 'Conflict',
  410: 'Gone',
  413: 'TooLarge',
  415: 'UnsupportedMediaType',
  422: 'InvalidRequest',
};

/** @param what the request, such as `PUT /api/v1/…`, for the detail */
export function kubeFault(httpStatus: number, body: unknown, what: string): Fault {
  if (!Status.Check(body)) {
    return new Fault(byHttp[httpStatus] ?? 'ServiceUnreachable', `the API answered ${httpStatus} to ${what}`);
  }
  const causes = body.details?.causes ?? [];
  // A version from the future: etcd was restored, or the server is another one. As with one that is too old, it is to be begun anew.
  const fromFuture = causes.some(({ reason }) => reason === 'ResourceVersionTooLarge');
  if (body.reason === 'Forbidden' && body.message?.includes('exceeded quota') === true) {
    return new Fault('Quota', body.message);
  }
  const code = fromFuture ? 'Gone' : (byReason[body.reason ?? ''] ?? byHttp[body.code ?? httpStatus]);
  return new Fault(code ?? 'ServiceUnreachable', body.message ?? `the API answered ${httpStatus} to ${what}`);
}

/** Seconds after which the server wants to be asked again; undefined where it does not say. */
export function retryAfterSeconds(header: string | string[] | undefined): number | undefined {
  const seconds = Number(Array.isArray(header) ? header[0] : header);
  return Number.isFinite(seconds) && seconds >= 0 ? seconds : undefined;
}
