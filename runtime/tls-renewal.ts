// A certificate, or CA, that is made anew while a process runs, taken without a restart: the files of the pair are read again now and then, servers
// take the new pair for connections from then on, and who dials uses it the next time. Connections that are open stay as they are.
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { toFault } from '../domain/fault.ts';
import { loadTlsPair, type TlsPair } from './certificates.ts';
import type { Logger } from './logger.ts';

export interface TlsRenewalOptions {
  /** Of the files, as for loadTlsPair. */
  directory: string;
  name: string;
  everySeconds: number;
  /** Where somebody knows when the files were written anew: they are read then, too. */
  onWritten?: (look: () => void) => void;
  logger: Logger;
}

/**
 * @returns a pair whose fields always hold what is to be used now. It is looked after until the process ends; that alone keeps no process alive.
 * @throws Fault NotFound where the pair was never issued
 */
export async function loadRenewedTls(options: TlsRenewalOptions): Promise<TlsPair> {
  const { directory, name, logger } = options;
  const users: ((pair: TlsPair) => void)[] = [];
  const tls: TlsPair = { ...(await loadTlsPair(directory, name)), onRenewal: (use) => users.push(use) };
  const look = async (): Promise<void> => {
    try {
      const { key, cert, ca } = await loadTlsPair(directory, name);
      if (cert === tls.cert && ca === tls.ca) return;
      // Key and certificate are two files: between their writing they do not match, and the next look is the right one.
      if (!belongTogether(cert, key)) return;
      Object.assign(tls, { key, cert, ca });
      for (const use of users) use({ key, cert, ca });
      logger.info({ certificate: name, validTo: new X509Certificate(cert).validTo }, 'took a new certificate');
    } catch (error) {
      logger.error({ certificate: name, err: toFault(error) }, 'a new certificate could not be taken');
    }
  };
  // One look after another: of two at once, the one that read the former files could be the later to finish.
  let looking = Promise.resolve();
  const lookSoon = () => {
    looking = looking.then(look);
  };
  setInterval(lookSoon, options.everySeconds * 1_000).unref();
  options.onWritten?.(lookSoon);
  return tls;
}

function belongTogether(cert: string, key: string): boolean {
  return new X509Certificate(cert).checkPrivateKey(createPrivateKey(key));
}
