// Who is at the other end of the channel, told by the certificate alone.
import type { PeerCertificate } from 'node:tls';

const workerName = 'system:longshore:worker:';

/** Node of the worker that holds this (verified) certificate; undefined where it is no worker's. */
export function nodeOfCertificate(certificate: PeerCertificate): string | undefined {
  const name: unknown = certificate.subject?.CN;
  if (typeof name !== 'string' || !name.startsWith(workerName)) return undefined;
  const node = name.slice(workerName.length);
  return node === '' ? undefined : node;
}
