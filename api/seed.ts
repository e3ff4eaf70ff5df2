// What every service has from its first start: namespaces and the storage class. CDIConfig and the profile of the class are the controller's.
import { annotations, defaultStorageClassName, provisionerName } from '../domain/annotations.ts';
import type { KubeObject, ResourceRef } from '../domain/object-store.ts';
import { resources } from '../domain/resources.ts';
import { admitNamespace, seededNamespaces } from './rest/admission-small.ts';
import type { SqliteStore } from './store/sqlite-store.ts';

async function ensure<T extends KubeObject>(store: SqliteStore, resource: ResourceRef<T>, object: T): Promise<void> {
  if (store.entry(resource, object.metadata) !== undefined) return;
  await store.create(resource, object);
}

/** Cannot be deleted; a store without it is new. */
export const firstNamespace = 'default';

async function ensureNamespace(store: SqliteStore, name: string): Promise<void> {
  const marks = name === firstNamespace ? { annotations: { [annotations.rebuild]: 'pending' } } : {};
  const namespace = admitNamespace({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, ...marks } });
  await ensure<KubeObject>(store, resources.namespaces, namespace);
}

export async function seed(store: SqliteStore): Promise<void> {
  await Promise.all(seededNamespaces.map((name) => ensureNamespace(store, name)));
  await ensure(store, resources.storageClasses, {
    apiVersion: 'storage.k8s.io/v1',
    kind: 'StorageClass',
    metadata: { name: defaultStorageClassName, annotations: { [annotations.defaultStorageClass]: 'true' } },
    provisioner: provisionerName,
    reclaimPolicy: 'Delete',
    volumeBindingMode: 'Immediate',
    allowVolumeExpansion: true,
  });
}
