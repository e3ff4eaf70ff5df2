// Shapes of Kubernetes' own API that DataVolumes and claims are made of. Only the members that mean something here are spelled out.
import { type Static, Type } from 'typebox';
import type { KubeObject, ObjectMeta } from './object-store.ts';

export const AccessMode = Type.String({
  description: 'ReadWriteOnce, ReadOnlyMany, ReadWriteMany or ReadWriteOncePod',
});

/** A Kubernetes quantity; manifests may also give a bare number. */
const Quantity = Type.Union([Type.String(), Type.Number()], { description: 'a quantity such as 10Gi' });

export const ResourceRequirements = Type.Object({
  requests: Type.Optional(Type.Record(Type.String(), Quantity)),
  limits: Type.Optional(Type.Record(Type.String(), Quantity)),
});

export const TypedLocalObjectReference = Type.Object({
  apiGroup: Type.Optional(Type.Union([Type.String(), Type.Null()])),
  kind: Type.String(),
  name: Type.String(),
});

export const TypedObjectReference = Type.Object({
  apiGroup: Type.Optional(Type.Union([Type.String(), Type.Null()])),
  kind: Type.String(),
  name: Type.String(),
  namespace: Type.Optional(Type.String()),
});

export const Condition = Type.Object({
  type: Type.String(),
  status: Type.String({ description: 'True, False or Unknown' }),
  lastTransitionTime: Type.Optional(Type.String()),
  lastHeartbeatTime: Type.Optional(Type.String()),
  reason: Type.Optional(Type.String()),
  message: Type.Optional(Type.String()),
});
export type Condition = Static<typeof Condition>;

export const ClaimSpec = Type.Object(
  {
    accessModes: Type.Optional(Type.Array(AccessMode)),
    selector: Type.Optional(Type.Unknown()),
    resources: Type.Optional(ResourceRequirements),
    volumeName: Type.Optional(Type.String()),
    storageClassName: Type.Optional(Type.String()),
    volumeMode: Type.Optional(Type.String({ description: 'Filesystem or Block' })),
    dataSource: Type.Optional(Type.Union([TypedLocalObjectReference, Type.Null()])),
    dataSourceRef: Type.Optional(Type.Union([TypedObjectReference, Type.Null()])),
    volumeAttributesClassName: Type.Optional(Type.String()),
  },
  { description: 'spec of a PersistentVolumeClaim' },
);
export type ClaimSpec = Static<typeof ClaimSpec>;

export const ClaimStatus = Type.Object({
  phase: Type.Optional(Type.String({ description: 'Pending, Bound or Lost' })),
  accessModes: Type.Optional(Type.Array(AccessMode)),
  capacity: Type.Optional(Type.Record(Type.String(), Quantity)),
  conditions: Type.Optional(Type.Array(Condition)),
});

/** A PersistentVolumeClaim. */
export interface Claim extends KubeObject {
  apiVersion: 'v1';
  kind: 'PersistentVolumeClaim';
  metadata: ObjectMeta;
  spec: ClaimSpec;
  status?: Static<typeof ClaimStatus>;
}

export interface Secret extends KubeObject {
  apiVersion: 'v1';
  kind: 'Secret';
  type?: string;
  /** Base64 values. */
  data?: Record<string, string>;
}

export interface ConfigMap extends KubeObject {
  apiVersion: 'v1';
  kind: 'ConfigMap';
  data?: Record<string, string>;
  binaryData?: Record<string, string>;
}

export interface Namespace extends KubeObject {
  apiVersion: 'v1';
  kind: 'Namespace';
  status?: { phase?: string };
}

export interface KubeEvent extends KubeObject {
  apiVersion: 'v1';
  kind: 'Event';
  involvedObject: {
    apiVersion?: string;
    kind?: string;
    namespace?: string;
    name?: string;
    uid?: string;
    resourceVersion?: string;
  };
  reason?: string;
  message?: string;
  type?: 'Normal' | 'Warning';
  source?: { component?: string; host?: string };
  firstTimestamp?: string;
  lastTimestamp?: string;
  count?: number;
}

export interface StorageClass extends KubeObject {
  apiVersion: 'storage.k8s.io/v1';
  kind: 'StorageClass';
  provisioner: string;
  parameters?: Record<string, string>;
  reclaimPolicy?: string;
  volumeBindingMode?: string;
  allowVolumeExpansion?: boolean;
}

/** The one object `config` of CDIConfig; spec and status as in CDI. */
export interface CdiConfig extends KubeObject {
  apiVersion: 'cdi.kubevirt.io/v1beta1';
  kind: 'CDIConfig';
  spec: {
    uploadProxyURLOverride?: string;
    importProxy?: { HTTPProxy?: string; HTTPSProxy?: string; noProxy?: string; trustedCAProxy?: string };
    scratchSpaceStorageClass?: string;
    podResourceRequirements?: unknown;
    featureGates?: string[];
    webhookPvcRendering?: string;
    filesystemOverhead?: { global?: string; storageClass?: Record<string, string> };
    preallocation?: boolean;
    insecureRegistries?: string[];
    dataVolumeTTLSeconds?: number;
    tlsSecurityProfile?: unknown;
    imagePullSecrets?: unknown[];
    logVerbosity?: number;
  };
  status?: {
    uploadProxyURL?: string;
    uploadProxyCA?: string;
    importProxy?: { HTTPProxy?: string; HTTPSProxy?: string; noProxy?: string; trustedCAProxy?: string };
    scratchSpaceStorageClass?: string;
    defaultPodResourceRequirements?: unknown;
    filesystemOverhead?: { global?: string; storageClass?: Record<string, string> };
    preallocation?: boolean;
    imagePullSecrets?: unknown[];
  };
}
