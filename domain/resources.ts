// The collections that exist, by their Kubernetes names. Who may hold what, and how each is shown, is api/'s business.
import type { CdiConfig } from './custom-resources/cdi-config.ts';
import type { DataImportCron } from './custom-resources/data-import-cron.ts';
import type { DataSource } from './custom-resources/data-source.ts';
import type { StorageProfile } from './custom-resources/storage-profile.ts';
import type { VolumeCloneSource } from './custom-resources/volume-sources.ts';
import type { DataVolume } from './data-volume.ts';
import type { Claim, ConfigMap, KubeEvent, Namespace, Secret, StorageClass } from './kube-shapes.ts';
import type { KubeObject, ResourceRef } from './object-store.ts';

function resource<T extends KubeObject>(
  group: string,
  version: string,
  plural: string,
  kind: string,
  namespaced: boolean,
): ResourceRef<T> {
  return { group, version, plural, kind, namespaced };
}

export const resources = {
  dataVolumes: resource<DataVolume>('cdi.kubevirt.io', 'v1beta1', 'datavolumes', 'DataVolume', true),
  cdiConfigs: resource<CdiConfig>('cdi.kubevirt.io', 'v1beta1', 'cdiconfigs', 'CDIConfig', false),
  storageProfiles: resource<StorageProfile>('cdi.kubevirt.io', 'v1beta1', 'storageprofiles', 'StorageProfile', false),
  dataSources: resource<DataSource>('cdi.kubevirt.io', 'v1beta1', 'datasources', 'DataSource', true),
  dataImportCrons: resource<DataImportCron>('cdi.kubevirt.io', 'v1beta1', 'dataimportcrons', 'DataImportCron', true),
  volumeCloneSources: resource<VolumeCloneSource>(
    ...(['cdi.kubevirt.io', 'v1beta1', 'volumeclonesources', 'VolumeCloneSource', true] as const),
  ),
  claims: resource<Claim>('', 'v1', 'persistentvolumeclaims', 'PersistentVolumeClaim', true),
  events: resource<KubeEvent>('', 'v1', 'events', 'Event', true),
  namespaces: resource<Namespace>('', 'v1', 'namespaces', 'Namespace', false),
  secrets: resource<Secret>('', 'v1', 'secrets', 'Secret', true),
  configMaps: resource<ConfigMap>('', 'v1', 'configmaps', 'ConfigMap', true),
  storageClasses: resource<StorageClass>('storage.k8s.io', 'v1', 'storageclasses', 'StorageClass', false),
} as const;

/** `v1` or `group/version`, as in the apiVersion of an object. */
export function apiVersionOf(ref: ResourceRef): string {
  return ref.group === '' ? ref.version : `${ref.group}/${ref.version}`;
}
