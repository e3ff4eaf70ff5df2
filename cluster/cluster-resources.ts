// Collections of Kubernetes that only a service on a cluster reads or writes. Their shapes name only the members that mean something here.
import type { Static } from 'typebox';
import type { CdiStatus } from '../domain/custom-resources/cdi.ts';
import type { CdiConfig } from '../domain/custom-resources/cdi-config.ts';
import type { PersistentVolume, VolumeSnapshotClass } from '../domain/kube-shapes.ts';
import type { KubeObject, ResourceRef } from '../domain/object-store.ts';

/** coordination.k8s.io/v1. Times are RFC 3339 with microseconds. */
export interface Lease extends KubeObject {
  spec: {
    holderIdentity?: string;
    leaseDurationSeconds?: number;
    acquireTime?: string;
    renewTime?: string;
    leaseTransitions?: number;
  };
}

/** Of admissionregistration.k8s.io/v1: both kinds of webhook configuration. */
export interface WebhookConfiguration extends KubeObject {
  webhooks?: {
    name: string;
    clientConfig: { caBundle?: string; [member: string]: unknown };
    [member: string]: unknown;
  }[];
}

/** apiregistration.k8s.io/v1. */
export interface ApiService extends KubeObject {
  spec: { caBundle?: string; [member: string]: unknown };
}

interface IngressBackend {
  /** Absent where it is another resource. */
  service?: { name: string };
}

/** networking.k8s.io/v1. */
export interface Ingress extends KubeObject {
  spec?: {
    defaultBackend?: IngressBackend;
    rules?: { host?: string; http?: { paths?: { backend?: IngressBackend }[] } }[];
    tls?: { hosts?: string[]; secretName?: string }[];
  };
}

/** cdi.kubevirt.io/v1beta1. */
export interface Cdi extends KubeObject {
  spec: { config?: CdiConfig['spec']; [member: string]: unknown };
  status?: Static<typeof CdiStatus>;
}

function resource<T extends KubeObject>(
  group: string,
  plural: string,
  kind: string,
  namespaced: boolean,
): ResourceRef<T> {
  return { group, version: 'v1', plural, kind, namespaced };
}

const admission = 'admissionregistration.k8s.io';

export const clusterResources = {
  leases: resource<Lease>('coordination.k8s.io', 'leases', 'Lease', true),
  validatingWebhooks: resource<WebhookConfiguration>(
    ...([admission, 'validatingwebhookconfigurations', 'ValidatingWebhookConfiguration', false] as const),
  ),
  mutatingWebhooks: resource<WebhookConfiguration>(
    ...([admission, 'mutatingwebhookconfigurations', 'MutatingWebhookConfiguration', false] as const),
  ),
  ingresses: resource<Ingress>('networking.k8s.io', 'ingresses', 'Ingress', true),
  persistentVolumes: resource<PersistentVolume>('', 'persistentvolumes', 'PersistentVolume', false),
  snapshotClasses: resource<VolumeSnapshotClass>(
    ...(['snapshot.storage.k8s.io', 'volumesnapshotclasses', 'VolumeSnapshotClass', false] as const),
  ),
  cdis: { ...resource<Cdi>('cdi.kubevirt.io', 'cdis', 'CDI', false), version: 'v1beta1' },
  apiServices: resource<ApiService>('apiregistration.k8s.io', 'apiservices', 'APIService', false),
} as const;
