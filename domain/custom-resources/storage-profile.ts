// StorageProfile: what the claims of one storage class get where their DataVolume says nothing. It has the name of the class.
import { type Static, Type } from 'typebox';
import { optionalConditions } from '../kube-shapes.ts';
import type { KubeObject } from '../object-store.ts';
import { optionalList, optionalText } from '../schema-members.ts';

const ClaimPropertySet = Type.Object({
  accessModes: Type.Array(Type.String(), {
    description: 'access modes that are asked for',
    maxItems: 4,
    'x-kubernetes-validations': [
      {
        rule: "self.all(am, am in ['ReadWriteOnce', 'ReadOnlyMany', 'ReadWriteMany', 'ReadWriteOncePod'])",
        message: 'Illegal AccessMode',
      },
    ],
  }),
  volumeMode: Type.Union([Type.Literal('Block'), Type.Literal('Filesystem')], {
    description: 'volume mode that goes with them',
  }),
});

const settings = {
  claimPropertySets: optionalList(ClaimPropertySet, 'what the class offers, the preferred first', { maxItems: 8 }),
  cloneStrategy: optionalText('copy, snapshot or csi-clone: how clones are made'),
  dataImportCronSourceFormat: optionalText('pvc or snapshot: what a DataImportCron keeps its imports as'),
  snapshotClass: optionalText('volume snapshot class of the snapshots that are taken'),
};

export const StorageProfileSpec = Type.Object(settings, {
  description: 'what is wanted; it goes before what was found out about the class',
});

export const StorageProfileStatus = Type.Object(
  {
    ...settings,
    storageClass: optionalText('name of the storage class'),
    provisioner: optionalText('provisioner of the storage class'),
    conditions: optionalConditions('Recognized: whether something is known about the provisioner'),
  },
  { description: 'what holds' },
);

export interface StorageProfile extends KubeObject {
  apiVersion: 'cdi.kubevirt.io/v1beta1';
  kind: 'StorageProfile';
  spec: Static<typeof StorageProfileSpec>;
  status?: Static<typeof StorageProfileStatus>;
}
