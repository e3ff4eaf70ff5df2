// The certificates of a service on a cluster, as the controller that leads keeps them: made in its directory, kept in Secrets, and the CA told to kube-apiserver
// where it calls us (told-ca.ts). Runs at the start and then now and then; what needs no change is not written.

import { toFault } from '../domain/fault.ts';
import { CertificateAuthority, controllerName, uploadClientName } from '../runtime/certificates.ts';
import type { Config } from '../runtime/config.ts';
import type { Logger } from '../runtime/logger.ts';
import { tlsNames } from '../runtime/service-certificates.ts';
import { UploadTokens } from '../runtime/upload-tokens.ts';
import { loadPki, type PkiPlace, savePki } from './pki-secrets.ts';
import { ToldCa } from './told-ca.ts';

export interface ClusterPki {
  /** The authority that signs now. */
  authority(): CertificateAuthority;
  stop(): Promise<void>;
}

/** @throws Fault Conflict where another keeps them at the same time */
export async function keepClusterPki(place: PkiPlace, config: Config, logger: Logger): Promise<ClusterPki> {
  await loadPki(place);
  const told = new ToldCa({ store: place.store, logger });
  const renew = async () => {
    const renewed = await renewPki(place, config);
    await told.tell(renewed.certificate);
    return renewed;
  };
  let authority = await renew().catch(async (error: unknown) => {
    await told.stop();
    throw error;
  });
  const timer = setInterval(() => {
    renew().then(
      (renewed) => {
        authority = renewed;
      },
      (error: unknown) => logger.error({ err: toFault(error) }, 'certificates not renewed, tried again'),
    );
  }, config.certificateCheckSeconds * 1_000);
  return {
    authority: () => authority,
    stop: () => {
      clearInterval(timer);
      return told.stop();
    },
  };
}

async function renewPki(place: PkiPlace, config: Config): Promise<CertificateAuthority> {
  const { directory } = place;
  const lifetimeSeconds = config.certificateLifetimeSeconds;
  const authority = await CertificateAuthority.openOrCreate(directory, { lifetimeSeconds });
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
