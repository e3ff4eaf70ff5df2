// Keeps what the cluster tells its clients about storage: CDIConfig `config`, and one StorageProfile for each storage class. Their specs are the
// administrator's; their statuses follow from the specs, the classes and what the sources tell, and are written only when they would change. One that
// was deleted is made again; a profile goes with its class.
import { isDeepStrictEqual } from 'node:util';
import { annotations, labels } from '../domain/annotations.ts';
import { cdiConfigStatus, type UploadProxyAddress } from '../domain/cdi-config-status.ts';
import type { CdiConfig } from '../domain/custom-resources/cdi-config.ts';
import type { StorageProfile } from '../domain/custom-resources/storage-profile.ts';
import { toFault } from '../domain/fault.ts';
import { noProvisioner, recognizeProvisioner } from '../domain/known-provisioners.ts';
import type { PersistentVolume, StorageClass, VolumeSnapshotClass } from '../domain/kube-shapes.ts';
import type { KubeObject, ResourceRef } from '../domain/object-store.ts';
import { resources } from '../domain/resources.ts';
import { storageProfileStatus } from '../domain/storage-profile-status.ts';
import type { Config } from '../runtime/config.ts';
import { formatAddress } from '../runtime/listen.ts';
import { dialHost } from '../runtime/service-addresses.ts';
import type { ControllerContext } from './controller-context.ts';
import type { ObjectCache } from './object-cache.ts';

/** What has to be looked at: the CDIConfig, or the profile of one class. */
export type ConfigurationKey = 'config' | `profile ${string}`;

/**
 * What statuses say besides specs and classes. On a cluster others tell it; on one machine the service knows it. What is `unknown` is being looked
 * for: it is told through `follow` when it is known, and until then the status says what it said before.
 */
export interface ConfigurationSources {
  uploadProxy(): Promise<UploadProxyAddress | 'none' | 'unknown'>;
  /** The spec that CDIConfig is to have, where an object says that it decides; undefined: its own. */
  decidedSpec(): CdiConfig['spec'] | undefined;
  snapshotClasses(): Promise<readonly VolumeSnapshotClass[]>;
  /** Those that were made by hand, at least of that class. */
  volumesOf(storageClass: string): readonly PersistentVolume[] | 'unknown';
  /** Tells until the signal aborts what has to be looked at again because one of these changed; resolves then. */
  follow(changed: (key: ConfigurationKey) => void, signal: AbortSignal): Promise<void>;
}

/** On one machine the upload proxy listens where the settings say, and there is nothing else. */
export function sourcesOfOneMachine(config: Pick<Config, 'listenHost' | 'uploadProxyPort'>): ConfigurationSources {
  const address = { host: dialHost(config.listenHost), port: config.uploadProxyPort };
  return {
    uploadProxy: async () => ({ url: `https://${formatAddress(address)}` }),
    decidedSpec: () => undefined,
    snapshotClasses: async () => [],
    volumesOf: () => [],
    follow: async () => undefined,
  };
}

const configName = 'config';
const ownLabels = {
  [labels.app]: 'containerized-data-importer',
  [labels.managedBy]: 'cdi-controller',
  [labels.component]: 'storage',
};

export class ConfigurationKeeper {
  readonly #context: Pick<ControllerContext, 'store' | 'caches' | 'provisioning'>;
  readonly #sources: ConfigurationSources;

  constructor(context: Pick<ControllerContext, 'store' | 'caches' | 'provisioning'>, sources: ConfigurationSources) {
    this.#context = context;
    this.#sources = sources;
  }

  /** One round. @throws Fault Conflict where the object was changed meanwhile: the round is to be repeated */
  async work(key: string): Promise<undefined> {
    if (key === 'config') await this.#keepConfig();
    else await this.#keepProfile(key.slice('profile '.length));
  }

  async #keepConfig(): Promise<void> {
    const { caches, provisioning, store } = this.#context;
    const stored = caches.cdiConfigs.get({ name: configName }) ?? (await this.#createConfig());
    const wished = { ...stored, spec: this.#sources.decidedSpec() ?? stored.spec };
    const status = cdiConfigStatus(wished, {
      storageClasses: [...caches.storageClasses.values()],
      provisioning,
      uploadProxy: await this.#uploadProxy(stored),
    });
    // Spec and status are written together, as this kind has no path of its own for its status.
    const next = { ...wished, status };
    if (!isDeepStrictEqual(next, stored)) caches.cdiConfigs.put(await store.update(resources.cdiConfigs, next));
  }

  async #uploadProxy({ spec, status }: CdiConfig): Promise<UploadProxyAddress | undefined> {
    const told = await this.#sources.uploadProxy();
    if (told !== 'unknown') return told === 'none' ? undefined : told;
    const { uploadProxyURL: url, uploadProxyCA: ca } = status ?? {};
    if (url === undefined || url === spec.uploadProxyURLOverride) return undefined;
    return { url, ...(ca === undefined ? {} : { ca }) };
  }

  #createConfig(): Promise<CdiConfig> {
    return this.#create(resources.cdiConfigs, this.#context.caches.cdiConfigs, {
      ...{ apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'CDIConfig' },
      ...{ metadata: { name: configName, labels: ownLabels }, spec: {} },
    });
  }

  async #keepProfile(name: string): Promise<void> {
    const { caches, provisioning, store } = this.#context;
    const storageClass = caches.storageClasses.get({ name });
    const stored = caches.storageProfiles.get({ name });
    if (storageClass === undefined) {
      if (stored !== undefined) await this.#deleteProfile(stored);
      return;
    }
    const profile = await this.#annotated(stored ?? (await this.#createProfile(name)), storageClass);
    const volumes = storageClass.provisioner === noProvisioner ? this.#sources.volumesOf(name) : [];
    if (volumes === 'unknown') return;
    const status = storageProfileStatus(storageClass, profile, {
      provisioning,
      snapshotClasses: await this.#sources.snapshotClasses(),
      volumes,
      now: new Date(),
    });
    if (isDeepStrictEqual(status, profile.status)) return;
    caches.storageProfiles.put(await store.updateStatus(resources.storageProfiles, { ...profile, status }));
  }

  #createProfile(name: string): Promise<StorageProfile> {
    return this.#create(resources.storageProfiles, this.#context.caches.storageProfiles, {
      ...{ apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'StorageProfile' },
      ...{ metadata: { name, labels: ownLabels }, spec: {} },
    });
  }

  /** Clients read the smallest size there; what an administrator wrote stays. */
  async #annotated(profile: StorageProfile, storageClass: StorageClass): Promise<StorageProfile> {
    const known = recognizeProvisioner(storageClass);
    const smallest = typeof known === 'object' ? known.smallestClaim : undefined;
    const told = profile.metadata.annotations?.[annotations.minimumSupportedPvcSize];
    if (smallest === undefined || told !== undefined) return profile;
    const added = { ...profile.metadata.annotations, [annotations.minimumSupportedPvcSize]: smallest };
    const next = { ...profile, metadata: { ...profile.metadata, annotations: added } };
    const written = await this.#context.store.update(resources.storageProfiles, next);
    this.#context.caches.storageProfiles.put(written);
    return written;
  }

  async #deleteProfile({ metadata: { name, uid } }: StorageProfile): Promise<void> {
    const { caches, store } = this.#context;
    try {
      await store.delete(resources.storageProfiles, { name }, uid === undefined ? {} : { uid });
    } catch (error) {
      if (toFault(error).code !== 'NotFound') throw error;
    }
    caches.storageProfiles.forget({ name });
  }

  async #create<T extends KubeObject>(resource: ResourceRef<T>, cache: ObjectCache<T>, object: T): Promise<T> {
    const { store } = this.#context;
    try {
      const created = await store.create(resource, object);
      cache.put(created);
      return created;
    } catch (error) {
      const there = toFault(error).code === 'AlreadyExists' ? await store.get(resource, object.metadata) : undefined;
      // The watch has not told of it yet.
      if (there === undefined) throw error;
      cache.put(there);
      return there;
    }
  }
}
