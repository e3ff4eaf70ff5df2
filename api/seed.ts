// What every service has from its first start: namespaces, the storage class, and CDI's configuration.
import { annotations, defaultStorageClassName, provisionerName } from '../domain/annotations.ts';
import { Fault } from '../domain/fault.ts';
import type { KubeObject, ResourceRef } from '../domain/object-store.ts';
import { resources } from '../domain/resources.ts';
import { admitNamespace, seededNamespaces } from './rest/admission-small.ts';
import type { SqliteStore } from './store/sqlite-store.ts';

async function ensure<T extends KubeObject>(store: SqliteStore, resource: ResourceRef<T>, object: T): Promise<void> {
  if (store.entry(resource, object.metadata) !== undefined) return;
  await store.create(resource, object);
}

async function ensureNamespace(store: SqliteStore, name: string): Promise<void> {
  const namespace = admitNamespace({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
  await ensure<KubeObject>(store, resources.namespaces, namespace);
}

/** Guests see to the byte what was asked for: our own class needs no room for a filesystem. */
const filesystemOverhead = { global: '0.06', storageClass: { [defaultStorageClassName]: '0' } };

/** Where people upload to changes with the settings, so it is written at every start. */
async function publishUploadProxy(store: SqliteStore, uploadProxyUrl: string): Promise<void> {
  const config = await store.get(resources.cdiConfigs, { name: 'config' });
  if (config === undefined) throw new Fault('Internal', 'the object CDIConfig config is missing');
  const status = { ...config.status, uploadProxyURL: uploadProxyUrl, filesystemOverhead };
  await store.update(resources.cdiConfigs, { ...config, status });
}

/** @param uploadProxyUrl host:port, without a scheme as in CDI */
export async function seed(store: SqliteStore, uploadProxyUrl: string): Promise<void> {
  await Promise.all(seededNamespaces.map((name) => ensureNamespace(store, name)));
  await ensure(store, resources.storageClasses, {
    apiVersion: 'storage.k8s.io/v1',
    kind: 'StorageClass',
    metadata: { name: defaultStorageClassName, annotations: { [annotations.defaultStorageClass]: 'true' } },
    provisioner: provisionerName,
    reclaimPolicy: 'Delete',
    volumeBindingMode: 'Immediate',
    allowVolumeExpansion: false,
  });
  await ensure(store, resources.cdiConfigs, {
    apiVersion: 'cdi.kubevirt.io/v1beta1',
    kind: 'CDIConfig',
    metadata: { name: 'config' },
    spec: {},
    status: { filesystemOverhead },
  });
  await publishUploadProxy(store, uploadProxyUrl);
}
