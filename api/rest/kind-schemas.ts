// Schemas of the served kinds: the envelope of every object, and Kubernetes' small kinds, which domain/ does not spell out. OpenAPI pages,
// validation and pruning of unknown members are made from them.
import { type TProperties, Type } from 'typebox';
import type { CustomResource } from '../../domain/custom-resources/custom-resources.ts';
import { ClaimSpec, ClaimStatus } from '../../domain/kube-shapes.ts';
import { UserSpec } from '../users.ts';

const text = (description: string) => Type.Optional(Type.String({ description }));
const textMap = (description: string) => Type.Optional(Type.Record(Type.String(), Type.String(), { description }));

const OwnerReference = Type.Object({
  apiVersion: Type.String(),
  kind: Type.String(),
  name: Type.String(),
  uid: Type.String(),
  controller: Type.Optional(Type.Boolean()),
  blockOwnerDeletion: Type.Optional(Type.Boolean()),
});

const ObjectMetaSchema = Type.Object(
  {
    name: text('unique within a namespace'),
    generateName: text('prefix of a name that the server completes'),
    namespace: text('space within which the name is unique'),
    labels: textMap('pairs by which objects are selected'),
    annotations: textMap('pairs that tools keep with the object'),
    finalizers: Type.Optional(Type.Array(Type.String(), { description: 'must be empty before the object disappears' })),
    ownerReferences: Type.Optional(
      Type.Array(OwnerReference, { description: 'objects with whom this one is deleted' }),
    ),
    uid: text('unique in time and space; made by the server'),
    resourceVersion: text('changes with every write'),
    generation: Type.Optional(Type.Integer({ description: 'changes with the specification' })),
    creationTimestamp: text('when the server made the object'),
    deletionTimestamp: text('when the deletion was asked for'),
    deletionGracePeriodSeconds: Type.Optional(Type.Integer()),
    selfLink: text('deprecated'),
    managedFields: Type.Optional(Type.Array(Type.Unknown(), { description: 'which manager set which fields' })),
  },
  { description: 'metadata that every object has' },
);

function kind(description: string, members: TProperties) {
  return Type.Object(
    {
      apiVersion: text('versioned schema of this representation of an object'),
      kind: text('the kind of the object'),
      metadata: Type.Optional(ObjectMetaSchema),
      ...members,
    },
    { description },
  );
}

/** The whole object of a custom resource. */
export function customSchema({ description, spec, status }: CustomResource) {
  return kind(description, status === undefined ? { spec } : { spec, status: Type.Optional(status) });
}

export const ClaimSchema = kind("PersistentVolumeClaim is a user's request for and claim to a persistent volume", {
  spec: Type.Optional(ClaimSpec),
  status: Type.Optional(ClaimStatus),
});

export const SecretSchema = kind('Secret holds secret data of a certain type', {
  data: textMap('values in base64'),
  stringData: textMap('values as they are; written only'),
  type: text('what the values are for'),
  immutable: Type.Optional(Type.Boolean({ description: 'the values can no longer be changed' })),
});

export const ConfigMapSchema = kind('ConfigMap holds configuration data', {
  data: textMap('values'),
  binaryData: textMap('values in base64'),
  immutable: Type.Optional(Type.Boolean({ description: 'the values can no longer be changed' })),
});

export const NamespaceSchema = kind('Namespace provides a scope for names', {
  spec: Type.Optional(Type.Object({ finalizers: Type.Optional(Type.Array(Type.String())) })),
  status: Type.Optional(
    Type.Object({
      phase: text('Active or Terminating'),
      conditions: Type.Optional(Type.Array(Type.Unknown())),
    }),
  ),
});

const ObjectReference = Type.Object({
  apiVersion: Type.Optional(Type.String()),
  kind: Type.Optional(Type.String()),
  namespace: Type.Optional(Type.String()),
  name: Type.Optional(Type.String()),
  uid: Type.Optional(Type.String()),
  resourceVersion: Type.Optional(Type.String()),
  fieldPath: Type.Optional(Type.String()),
});

export const EventSchema = kind('Event is a report of an event somewhere in the service', {
  involvedObject: ObjectReference,
  reason: text('short, machine understandable'),
  message: text('for a person'),
  type: text('Normal or Warning'),
  source: Type.Optional(Type.Object({ component: Type.Optional(Type.String()), host: Type.Optional(Type.String()) })),
  firstTimestamp: text('when it was first seen'),
  lastTimestamp: text('when it was last seen'),
  count: Type.Optional(Type.Integer({ description: 'how often it was seen' })),
  eventTime: Type.Optional(Type.Union([Type.String(), Type.Null()])),
  reportingComponent: text('who reports it'),
  reportingInstance: text('instance of who reports it'),
  action: text('what was done'),
  related: Type.Optional(ObjectReference),
  series: Type.Optional(Type.Unknown()),
});

export const StorageClassSchema = kind('StorageClass describes how volumes are made', {
  provisioner: Type.String({ description: 'who makes the volumes' }),
  parameters: textMap('parameters of the provisioner'),
  reclaimPolicy: text('Delete or Retain'),
  volumeBindingMode: text('Immediate or WaitForFirstConsumer'),
  allowVolumeExpansion: Type.Optional(Type.Boolean({ description: 'claims may grow' })),
  mountOptions: Type.Optional(Type.Array(Type.String())),
  allowedTopologies: Type.Optional(Type.Array(Type.Unknown())),
});

export const UserSchema = kind('User may use the API with a bearer token', {
  spec: UserSpec,
  status: Type.Optional(Type.Object({ token: text('bearer token, told only when the user is made') })),
});
