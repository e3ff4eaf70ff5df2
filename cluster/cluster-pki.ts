// The certificates of a service on a cluster, as the controller that leads keeps them: made in its directory, kept in Secrets, and the CA told to kube-apiserver
// where it calls us (told-ca.ts). Looked at in the beginning, when something of it was
// deleted, and now and then; what needs no change is not written.

import { toFault } from '../domain/fault.ts';
import { CertificateAuthority, controllerName, uploadClientName } from '../runtime/certificates.ts';
import type { Config } from '../runtime/config.ts';
import type { Logger } from '../runtime/logger.ts';
import { authorityWishes, tlsNames } from '../runtime/service-certificates.ts';
import { UploadTokens } from '../runtime/upload-tokens.ts';
import { followPkiLosses } from './pki-losses.ts';
import { loadPki, type PkiPlace, savePki } from './pki-secrets.ts';
import { ToldCa } from './told-ca.ts';

const retryMs = 10_000;

export interface ClusterPki {
  /** The authority that signs now. */
  authority(): CertificateAuthority;
  /** Calls each time after the files in the directory may have changed. */
  onWritten(call: () => void): void;
  stop(): Promise<void>;
}

/** @throws Fault Conflict where another keeps them at the same time */
export async function keepClusterPki(place: PkiPlace, config: Config, logger: Logger): Promise<ClusterPki> {
  const told = new ToldCa({ store: place.store, logger });
  const calls: (() => void)[] = [];
  const renew = async () => {
    const renewed = await renewPki(place, config);
    await told.tell(renewed.certificate);
    for (const call of calls) call();
    return renewed;
  };
  const ending = new AbortController();
  let again: NodeJS.Timeout | undefined;
  let following: Promise<unknown> = Promise.resolve();
  let renewing: Promise<void> = Promise.resolve();
  const stop = async () => {
    ending.abort();
    clearTimeout(again);
    await Promise.all([following, renewing, told.stop()]);
  };
  let authority = await renew().catch(async (error: unknown) => {
    await stop();
    throw error;
  });
  const renewOnce = async () => {
    clearTimeout(again);
    if (ending.signal.aborted) return;
    let afterMs = config.certificateCheckSeconds * 1_000;
    try {
      authority = await renew();
    } catch (error) {
      logger.error({ err: toFault(error) }, 'certificates not renewed, tried again');
      afterMs = Math.min(afterMs, retryMs);
    }
    if (!ending.signal.aborted) again = setTimeout(renewSoon, afterMs);
  };
  const renewSoon = () => {
    renewing = renewing.then(renewOnce);
  };
  again = setTimeout(renewSoon, config.certificateCheckSeconds * 1_000);
  following = followPkiLosses(place, renewSoon, { signal: ending.signal, logger });
  return { authority: () => authority, onWritten: (call) => calls.push(call), stop };
}

/** From what is kept: what could not be kept the last time was told to nobody, and is made anew. */
async function renewPki(place: PkiPlace, config: Config): Promise<CertificateAuthority> {
  const { directory } = place;
  await loadPki(place);
  const authority = await CertificateAuthority.openOrCreate(directory, authorityWishes(config));
  await issueAll(authority, config);
  await UploadTokens.ensureKeys(directory);
  await savePki(place);
  return authority;
}

async function issueAll(authority: CertificateAuthority, config: Config): Promise<void> {
  const server = { usages: ['server'] } as const;
  await authority.issue({ name: tlsNames.api, cn: 'longshore-api', hosts: listOf(config.apiHosts), ...server });
  const hosts = listOf(config.uploadProxyHosts);
  await authority.issue({ name: tlsNames.uploadProxy, cn: 'longshore-uploadproxy', hosts, ...server });
  await authority.issue({ name: tlsNames.controller, cn: controllerName, hosts: [], usages: ['server', 'client'] });
  await authority.issue({ name: tlsNames.uploadProxyClient, cn: uploadClientName, hosts: [], usages: ['client'] });
}

function listOf(text: string): string[] {
  return text.split(',').filter((name) => name !== '');
}
