// What CDIConfig and StorageProfiles tell of a cluster: where its Ingress brings clients to the upload proxy, what a CDI object decides, which snapshot
// classes and which volumes made by hand there are. Followed by watches; volumes only where a class asks for them, as there may be very many.
import type { ConfigurationKey, ConfigurationSources } from '../controller/configuration-keeper.ts';
import { ObjectCache } from '../controller/object-cache.ts';
import { annotations } from '../domain/annotations.ts';
import type { UploadProxyAddress } from '../domain/cdi-config-status.ts';
import { toFault } from '../domain/fault.ts';
import type { PersistentVolume, VolumeSnapshotClass } from '../domain/kube-shapes.ts';
import type { KubeObject, ObjectStore, ResourceRef } from '../domain/object-store.ts';
import { resources } from '../domain/resources.ts';
import type { Logger } from '../runtime/logger.ts';
import { type Cdi, clusterResources, type Ingress } from './cluster-resources.ts';

export interface ClusterConfigurationOptions {
  store: ObjectStore;
  /** Of the service; its Ingress is there. */
  namespace: string;
  /** Name of the Service of the upload proxy. */
  uploadProxyService: string;
  logger: Logger;
}

const watchRetryMs = 1_000;

export class ClusterConfiguration implements ConfigurationSources {
  readonly #options: ClusterConfigurationOptions;
  readonly #ingresses: ObjectCache<Ingress>;
  readonly #cdis: ObjectCache<Cdi>;
  readonly #volumes: ObjectCache<PersistentVolume>;
  readonly #volumesAsked = Promise.withResolvers<void>();
  /** Classes whose volumes were asked for before they were known. */
  readonly #waiting = new Set<string>();
  #knowsIngresses = false;
  #knowsVolumes = false;
  #changed: (key: ConfigurationKey) => void = () => undefined;

  constructor(options: ClusterConfigurationOptions) {
    this.#options = options;
    const config = () => this.#changed('config');
    this.#ingresses = this.#cacheOf(clusterResources.ingresses, { namespace: options.namespace, onChange: config });
    this.#cdis = this.#cacheOf(clusterResources.cdis, { onChange: config });
    this.#volumes = this.#cacheOf(clusterResources.persistentVolumes, {
      keep: modesOnly,
      onChange: (after, before) => {
        const storageClass = (after ?? before)?.spec.storageClassName ?? '';
        if (storageClass !== '') this.#changed(`profile ${storageClass}`);
      },
    });
  }

  #cacheOf<T extends KubeObject>(
    resource: ResourceRef<T>,
    more: {
      namespace?: string;
      keep?: (object: T) => T;
      onChange: (after: T | undefined, before: T | undefined) => void;
    },
  ): ObjectCache<T> {
    const { store, logger } = this.#options;
    return new ObjectCache<T>({ store, resource, logger, retryMs: watchRetryMs, ...more });
  }

  async follow(changed: (key: ConfigurationKey) => void, signal: AbortSignal): Promise<void> {
    this.#changed = changed;
    const ended = Promise.withResolvers<void>();
    signal.addEventListener('abort', () => ended.resolve(), { once: true });
    const volumes = async () => {
      await Promise.race([this.#volumesAsked.promise, ended.promise]);
      await this.#volumes.follow(signal);
    };
    void this.#ingresses.synced.then(() => {
      this.#knowsIngresses = true;
      changed('config');
    });
    void this.#volumes.synced.then(() => {
      this.#knowsVolumes = true;
      for (const storageClass of this.#waiting) changed(`profile ${storageClass}`);
    });
    await Promise.all([this.#ingresses.follow(signal), this.#cdis.follow(signal), volumes()]);
  }

  /** @throws Fault of the store where the certificate of the Ingress cannot be read */
  async uploadProxy(): Promise<UploadProxyAddress | 'none' | 'unknown'> {
    if (!this.#knowsIngresses) return 'unknown';
    const ingresses = [...this.#ingresses.values()].sort(byName);
    for (const ingress of ingresses) {
      const host = uploadHostOf(ingress, this.#options.uploadProxyService);
      if (host === undefined) continue;
      const ca = await this.#certificateOf(ingress, host);
      return { url: host, ...(ca === undefined ? {} : { ca }) };
    }
    return 'none';
  }

  /** As CDI publishes it: what the Ingress shows to its clients. */
  async #certificateOf({ spec }: Ingress, host: string): Promise<string | undefined> {
    const { namespace, store } = this.#options;
    const name = spec?.tls?.find(({ hosts }) => hosts?.includes(host) === true)?.secretName;
    const secret = name === undefined ? undefined : await store.get(resources.secrets, { namespace, name });
    const certificate = secret?.data?.['tls.crt'];
    return certificate === undefined ? undefined : Buffer.from(certificate, 'base64').toString();
  }

  decidedSpec(): Cdi['spec']['config'] {
    const deciding = [...this.#cdis.values()].sort(byName).find(({ metadata }) => {
      return metadata.annotations?.[annotations.configAuthority] !== undefined;
    });
    return deciding?.spec.config;
  }

  /** None where the cluster has no such kind. */
  async snapshotClasses(): Promise<readonly VolumeSnapshotClass[]> {
    try {
      return (await this.#options.store.list(clusterResources.snapshotClasses)).items;
    } catch (error) {
      if (toFault(error).code === 'NotFound') return [];
      throw error;
    }
  }

  volumesOf(storageClass: string): readonly PersistentVolume[] | 'unknown' {
    this.#volumesAsked.resolve();
    if (!this.#knowsVolumes) {
      this.#waiting.add(storageClass);
      return 'unknown';
    }
    return [...this.#volumes.values()].filter(({ spec }) => spec.storageClassName === storageClass);
  }
}

function byName(one: KubeObject, other: KubeObject): number {
  return one.metadata.name.localeCompare(other.metadata.name);
}

function modesOnly({ apiVersion, kind, metadata, spec }: PersistentVolume): PersistentVolume {
  const { name, uid, resourceVersion } = metadata;
  const { storageClassName, accessModes, volumeMode } = spec;
  return {
    ...{ apiVersion, kind },
    metadata: {
      name,
      ...(uid === undefined ? {} : { uid }),
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
    },
    spec: {
      ...(storageClassName === undefined ? {} : { storageClassName }),
      ...(accessModes === undefined ? {} : { accessModes }),
      ...(volumeMode === undefined ? {} : { volumeMode }),
    },
  };
}

/** The host under which an Ingress reaches that Service: of a rule that names it, else the first one where the Service gets what no rule takes. */
function uploadHostOf({ spec }: Ingress, service: string): string | undefined {
  const rules = spec?.rules ?? [];
  const named = rules.find(({ host, http }) => {
    return (host ?? '') !== '' && http?.paths?.some(({ backend }) => backend?.service?.name === service) === true;
  });
  if (named !== undefined) return named.host;
  if (spec?.defaultBackend?.service?.name !== service) return undefined;
  return rules.find(({ host }) => (host ?? '') !== '')?.host ?? spec.tls?.[0]?.hosts?.[0];
}
