// The objects that a claim names as its data source, so that a volume populator fills it: from a source elsewhere, from a client, from another volume.
import { type Static, Type } from 'typebox';
import {
  ImportSource,
  optionalCheckpoints,
  optionalContentType,
  optionalFinalCheckpoint,
  optionalPreallocation,
} from '../data-volume.ts';
import { TypedLocalObjectReference } from '../kube-shapes.ts';
import type { KubeObject } from '../object-store.ts';
import { optionalText } from '../schema-members.ts';

export const VolumeImportSourceSpec = Type.Object(
  {
    source: Type.Optional(ImportSource),
    preallocation: optionalPreallocation(),
    contentType: optionalContentType(),
    targetClaim: optionalText('claim that is filled by an import in several stages'),
    checkpoints: optionalCheckpoints(),
    finalCheckpoint: optionalFinalCheckpoint(),
  },
  { description: 'what is imported' },
);

export const VolumeUploadSourceSpec = Type.Object(
  { contentType: optionalContentType(), preallocation: optionalPreallocation() },
  { description: 'what is uploaded' },
);

export const VolumeCloneSourceSpec = Type.Object(
  {
    source: Type.Object(TypedLocalObjectReference.properties, {
      description: 'a PersistentVolumeClaim, or a VolumeSnapshot of snapshot.storage.k8s.io, of the same namespace',
      'x-kubernetes-map-type': 'atomic',
    }),
    preallocation: optionalPreallocation(),
    priorityClassName: optionalText('priority class of the pods that copy'),
  },
  { description: 'what is cloned' },
);

export interface VolumeCloneSource extends KubeObject {
  spec: Static<typeof VolumeCloneSourceSpec>;
}

/** CDI has it, without members. */
export const EmptyStatus = Type.Object({}, { description: 'holds nothing; the claim tells how far it is' });
