// The certificates of a service on one machine, by process. What each CN may do is decided by who is asked: the API, the channel and the
// worker's upload server.
import {
  type AuthorityWishes,
  type CertificateAuthority,
  controllerName,
  uploadClientName,
  workerName,
} from './certificates.ts';
import type { Config } from './config.ts';
import { certificateHosts } from './service-addresses.ts';

/** Names of the pairs in pki/, for loadTlsPair. */
export const tlsNames = {
  api: 'api',
  controller: 'controller',
  uploadProxy: 'uploadproxy',
  uploadProxyClient: 'uploadproxy-client',
  worker: 'worker',
} as const;

const here = ['localhost', '127.0.0.1', '::1'];

/** Whoever is told only by looking at the files has done so by then. */
export function authorityWishes(
  config: Pick<Config, 'certificateLifetimeSeconds' | 'caLifetimeSeconds' | 'certificateCheckSeconds'>,
): AuthorityWishes {
  return {
    lifetimeSeconds: config.certificateLifetimeSeconds,
    caLifetimeSeconds: config.caLifetimeSeconds,
    toldSeconds: 2 * config.certificateCheckSeconds,
  };
}

/** Issues what is missing, does not fit or ends soon. */
export async function issueCertificates(
  authority: CertificateAuthority,
  service: { listenHost: string; node: string },
): Promise<void> {
  const hosts = certificateHosts(service.listenHost);
  await authority.issue({ name: tlsNames.api, cn: 'longshore-api', hosts, usages: ['server'] });
  await authority.issue({ name: tlsNames.uploadProxy, cn: 'longshore-uploadproxy', hosts, usages: ['server'] });
  await authority.issue({
    name: tlsNames.controller,
    cn: controllerName,
    hosts: here,
    usages: ['server', 'client'],
  });
  await authority.issue({ name: tlsNames.uploadProxyClient, cn: uploadClientName, hosts: [], usages: ['client'] });
  await authority.issue({
    name: tlsNames.worker,
    cn: workerName(service.node),
    hosts: here,
    usages: ['server', 'client'],
  });
}
