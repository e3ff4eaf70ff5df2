// The bearer token of a request, taken and refused as CDI's proxy does it.
import { Fault } from '../domain/fault.ts';

const bearer = /^Bearer\s+([A-Za-z0-9\-._~+/]+)$/i;

/** @throws Fault TokenMissing where there is no header or it is of another form */
export function bearerToken(authorization: string | undefined): string {
  if (authorization === undefined) throw new Fault('TokenMissing', 'no Authorization header');
  const token = bearer.exec(authorization)?.[1];
  if (token === undefined)
    throw new Fault('TokenMissing', 'the Authorization header is not of the form `Bearer TOKEN`');
  return token;
}
