// Which certificates a source may show: those signed by the system's CAs, by the CAs that Node brings, and by the ones the user adds.
// Reading the system's CAs takes tens of milliseconds, so the context for the usual case is made once, when first needed.
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls';
import { Fault } from '../../domain/fault.ts';

let usual: SecureContext | undefined;

function systemCertificates(): string[] {
  return [...new Set([...getCACertificates('bundled'), ...getCACertificates('system')])];
}

/**
 * @param added PEM texts, each with one or more certificates
 * @throws Fault SourceUntrusted where an added text holds no certificate
 */
export function trustedContext(added: readonly string[]): SecureContext {
  if (added.length === 0) {
    usual ??= createSecureContext({ ca: systemCertificates() });
    return usual;
  }
  try {
    return createSecureContext({ ca: [...systemCertificates(), ...added] });
  } catch (error) {
    throw new Fault('SourceUntrusted', 'certConfigMap holds a value that is no PEM certificate', { cause: error });
  }
}
