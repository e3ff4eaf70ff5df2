// Who sends a request: a client certificate of our own CA, or a bearer token of a user. Everybody else is nobody.
import type { IncomingMessage } from 'node:http';
import { type PeerCertificate, TLSSocket } from 'node:tls';
import { uploadClientName } from '../../runtime/certificates.ts';
import type { Identity } from '../authorizer.ts';
import type { Users } from '../users.ts';

/** CN of certificates of our own processes begin so. */
const ownPrefix = 'system:longshore:';
const workerPrefix = `${ownPrefix}worker:`;

function certificateName(socket: unknown): string | undefined {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined;
  // Null on a socket that was closed meanwhile.
  const certificate: PeerCertificate | null = socket.getPeerCertificate();
  const name = certificate?.subject?.CN;
  return typeof name === 'string' ? name : name?.[0];
}

function ofCertificate(name: string): Identity | undefined {
  const groups = ['system:authenticated'];
  if (name === uploadClientName || name.startsWith(workerPrefix)) {
    return { name, groups, role: 'claimReader', namespaces: [] };
  }
  return name.startsWith(ownPrefix) ? { name, groups, role: 'everything', namespaces: [] } : undefined;
}

/** @returns undefined where the request carries nothing that holds */
export function authenticate(request: IncomingMessage, users: Users): Identity | undefined {
  const bearer = /^Bearer\s+(\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
  if (bearer !== undefined) return users.identify(bearer);
  const name = certificateName(request.socket);
  return name === undefined ? undefined : ofCertificate(name);
}
