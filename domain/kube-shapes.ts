// Shapes of Kubernetes' own API that our objects are made of. Only the members that mean something here are spelled out.
import { type Static, Type } from 'typebox';
import type { KubeObject, ObjectMeta } from './object-store.ts';
import { optionalAs, optionalList, optionalText, optionalTextMap, optionalTexts, text } from './schema-members.ts';

export const AccessMode = text('ReadWriteOnce, ReadOnlyMany, ReadWriteMany or ReadWriteOncePod');

/** A Kubernetes quantity; manifests may also give a bare number. The pattern is the one of Kubernetes' own CRDs. */
const Quantity = Type.Union([Type.String(), Type.Number()], {
  description: 'a quantity such as 10Gi',
  pattern:
    '^(\\+|-)?(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\\+|-)?(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))))?$',
  'x-kubernetes-int-or-string': true,
});

const quantities = (description: string) => Type.Optional(Type.Record(Type.String(), Quantity, { description }));

const ResourceRequirements = Type.Object(
  {
    requests: quantities('the least that is wanted; `storage` is the size'),
    limits: quantities('the most that may be given'),
  },
  { description: 'how large the volume is to be' },
);

export const PodResources = Type.Object(
  {
    requests: quantities('what the scheduler keeps free for the pod, by resource, such as cpu and memory'),
    limits: quantities('what the pod may use at most, by resource'),
    claims: optionalList(
      Type.Object({
        name: text('name of an entry of the resource claims of the pod'),
        request: optionalText('name of one request of that claim; all of them where it is absent'),
      }),
      'devices that the pod claims',
      { 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['name'] },
    ),
  },
  { description: 'what a pod is given of the node' },
);

const atomic = { 'x-kubernetes-map-type': 'atomic' } as const;

export const LocalObjectReference = Type.Object({ name: optionalText('name of the object') }, atomic);

export const TypedLocalObjectReference = Type.Object(
  {
    apiGroup: optionalText('group of the object; absent for the core group'),
    kind: text('kind of the object'),
    name: text('name of the object'),
  },
  {
    ...atomic,
    description: 'an object of the same namespace that a volume populator or the provisioner fills it from',
  },
);

export const TypedObjectReference = Type.Object(
  {
    apiGroup: optionalText('group of the object; absent for the core group'),
    kind: text('kind of the object'),
    name: text('name of the object'),
    namespace: optionalText('namespace of the object; that of the claim where it is absent'),
  },
  { description: 'an object that a volume populator or the provisioner fills the volume from' },
);

export const Requirement = (operators: string) =>
  Type.Object({
    key: text('key of the label'),
    operator: text(operators),
    values: optionalTexts('values that the operator compares with; none for Exists and DoesNotExist', {
      'x-kubernetes-list-type': 'atomic',
    }),
  });

export const LabelSelector = Type.Object(
  {
    matchLabels: optionalTextMap('labels that the object has, with these very values'),
    matchExpressions: optionalList(
      Requirement('In, NotIn, Exists or DoesNotExist'),
      'further requirements on labels; all of them hold',
      { 'x-kubernetes-list-type': 'atomic' },
    ),
  },
  { ...atomic, description: 'which objects are meant, by their labels' },
);

export const Condition = Type.Object({
  type: text('what the condition is about'),
  status: text('True, False or Unknown'),
  lastTransitionTime: optionalText('when the status changed last', { format: 'date-time' }),
  lastHeartbeatTime: optionalText('when the condition was looked at last', { format: 'date-time' }),
  reason: optionalText('why, in one word'),
  message: optionalText('why, for a person'),
});
export type Condition = Static<typeof Condition>;

export const optionalConditions = (description: string) => optionalList(Condition, description);

/** Members that CDI's own `storage` shares with the spec of a claim. */
export const claimMembers = {
  selector: optionalAs(LabelSelector, 'only volumes with such labels may be bound'),
  resources: Type.Optional(ResourceRequirements),
  volumeName: optionalText('name of the volume to bind'),
  storageClassName: optionalText('storage class that makes the volume; absent for the default class'),
  dataSource: Type.Optional(TypedLocalObjectReference),
  dataSourceRef: Type.Optional(TypedObjectReference),
};

export const ClaimSpec = Type.Object(
  {
    accessModes: optionalList(AccessMode, 'how many nodes or pods may use the volume, and whether they may write', {
      'x-kubernetes-list-type': 'atomic',
    }),
    ...claimMembers,
    volumeMode: optionalText('Filesystem (the default) or Block'),
    volumeAttributesClassName: optionalText('class of attributes, such as throughput, that may change later'),
  },
  { description: 'the claim to make, taken as it is written: spec of a PersistentVolumeClaim' },
);
export type ClaimSpec = Static<typeof ClaimSpec>;

export const ClaimStatus = Type.Object(
  {
    phase: optionalText('Pending, Bound or Lost'),
    accessModes: optionalList(AccessMode, 'how many nodes or pods may use the volume, and whether they may write'),
    capacity: quantities('what the volume really has'),
    conditions: optionalConditions('what else is known about the claim'),
  },
  { description: 'how it stands with the claim' },
);

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
  /** When it was first seen, with microseconds. */
  eventTime?: string | null;
  reportingComponent?: string;
  reportingInstance?: string;
  action?: string;
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

/** As far as it tells what a class without a provisioner offers. */
export interface PersistentVolume extends KubeObject {
  apiVersion: 'v1';
  kind: 'PersistentVolume';
  spec: { storageClassName?: string; accessModes?: string[]; volumeMode?: string; [member: string]: unknown };
}

/** Of external-snapshotter. */
export interface VolumeSnapshotClass extends KubeObject {
  apiVersion: 'snapshot.storage.k8s.io/v1';
  kind: 'VolumeSnapshotClass';
  driver: string;
}
