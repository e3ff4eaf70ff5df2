// Notices that somebody has deleted a Secret or ConfigMap that holds certificates of the service: a process that begins then would wait for them in vain.
import { ObjectCache } from '../controller/object-cache.ts';
import type { KubeObject, ResourceRef } from '../domain/object-store.ts';
import { resources } from '../domain/resources.ts';
import type { Logger } from '../runtime/logger.ts';
import { caConfigMap, type PkiPlace, pkiSecrets } from './pki-secrets.ts';

const retryMs = 1_000;

/** Calls each time one of them is gone, until the signal aborts; resolves then. */
export async function followPkiLosses(
  place: Pick<PkiPlace, 'store' | 'namespace'>,
  lost: () => void,
  { signal, logger }: { signal: AbortSignal; logger: Logger },
): Promise<void> {
  const follow = <T extends KubeObject>(resource: ResourceRef<T>, name: string) =>
    new ObjectCache<T>({
      ...{ store: place.store, namespace: place.namespace, resource, fieldSelector: `metadata.name=${name}` },
      ...{ logger, retryMs },
      onChange: (after) => {
        if (after === undefined) lost();
      },
    }).follow(signal);
  const secrets = pkiSecrets.map((name) => follow(resources.secrets, name));
  await Promise.all([...secrets, follow(resources.configMaps, caConfigMap)]);
}
