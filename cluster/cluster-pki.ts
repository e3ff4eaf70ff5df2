// The certificates of a service on a cluster, as the controller that leads keeps them: made in its directory, kept in Secrets, and the CA told to kube-apiserver
// where it calls us. Runs at the start and then now and then; what needs no change is not written.

import { toFault } from '../domain/fault.ts';
import type { KubeObject, ObjectStore, ResourceRef } from '../domain/object-store.ts';
import { CertificateAuthority, controllerName, uploadClientName } from '../runtime/certificates.ts';
import type { Config } from '../runtime/config.ts';
import type { Logger } from '../runtime/logger.ts';
import { tlsNames } from '../runtime/service-certificates.ts';
import { UploadTokens } from '../runtime/upload-tokens.ts';
import { clusterResources } from './cluster-resources.ts';
import { loadPki, type PkiPlace, savePki } from './pki-secrets.ts';

/** As CDI names them; the chart makes them. */
const webhookNames = {
  validating: 'cdi-api-datavolume-validate',
  mutating: 'cdi-api-datavolume-mutate',
  apiService: 'v1beta1.upload.cdi.kubevirt.io',
} as const;

export interface ClusterPki {
  /** The authority that signs now. */
  authority(): CertificateAuthority;
  stop(): void;
}

/** @throws Fault Conflict where another keeps them at the same time */
export async function keepClusterPki(place: PkiPlace, config: Config, logger: Logger): Promise<ClusterPki> {
  await loadPki(place);
  let authority = await renew(place, config);
  const timer = setInterval(() => {
    renew(place, config).then(
      (renewed) => {
        authority = renewed;
      },
      (error: unknown) => logger.error({ err: toFault(error) }, 'certificates not renewed, tried again'),
    );
  }, config.certificateCheckSeconds * 1_000);
  return { authority: () => authority, stop: () => clearInterval(timer) };
}

async function renew(place: PkiPlace, config: Config): Promise<CertificateAuthority> {
  const { directory, store } = place;
  const lifetimeSeconds = config.certificateLifetimeSeconds;
  const authority = await CertificateAuthority.openOrCreate(directory, { lifetimeSeconds });
  await issueAll(authority, config);
  await UploadTokens.ensureKeys(directory);
  await savePki(place);
  await tellCa(store, authority.certificate);
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

/** Lets kube-apiserver trust our certificates, where it knows of us at all. */
async function tellCa(store: ObjectStore, ca: string): Promise<void> {
  const caBundle = Buffer.from(ca, 'utf8').toString('base64');
  const { validatingWebhooks, mutatingWebhooks, apiServices } = clusterResources;
  for (const [resource, name] of [
    [validatingWebhooks, webhookNames.validating],
    [mutatingWebhooks, webhookNames.mutating],
  ] as const) {
    await change(store, resource, name, (found) => ({
      ...found,
      webhooks: (found.webhooks ?? []).map((webhook) => ({
        ...webhook,
        clientConfig: { ...webhook.clientConfig, caBundle },
      })),
    }));
  }
  await change(store, apiServices, webhookNames.apiService, (found) => ({
    ...found,
    spec: { ...found.spec, caBundle },
  }));
}

async function change<T extends KubeObject>(
  store: ObjectStore,
  resource: ResourceRef<T>,
  name: string,
  changed: (found: T) => T,
): Promise<void> {
  const found = await store.get(resource, { name });
  if (found === undefined) return;
  const wanted = changed(found);
  if (JSON.stringify(wanted) !== JSON.stringify(found)) await store.update(resource, wanted);
}
