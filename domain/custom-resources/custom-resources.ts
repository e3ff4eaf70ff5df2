// The custom resources, one row each: names, scope, columns and schemas, as in CDI. The embedded API serves those that it stores from the
// same rows; on a cluster each is a CustomResourceDefinition. UploadTokenRequest is none: it is never stored.
import type { TSchema } from 'typebox';
import { DataVolumeSpec, DataVolumeStatus } from '../data-volume.ts';
import type { ResourceRef } from '../object-store.ts';
import { resources } from '../resources.ts';
import { CdiSpec, CdiStatus } from './cdi.ts';
import { CdiConfigSpec, CdiConfigStatus } from './cdi-config.ts';
import { DataImportCronSpec, DataImportCronStatus } from './data-import-cron.ts';
import { DataSourceSpec, DataSourceStatus } from './data-source.ts';
import { OpenstackVolumePopulatorSpec, OvirtVolumePopulatorSpec, PopulatorStatus } from './forklift-populators.ts';
import { ObjectTransferSpec, ObjectTransferStatus } from './object-transfer.ts';
import { StorageProfileSpec, StorageProfileStatus } from './storage-profile.ts';
import {
  EmptyStatus,
  VolumeCloneSourceSpec,
  VolumeImportSourceSpec,
  VolumeUploadSourceSpec,
} from './volume-sources.ts';

/** A column of `kubectl get` besides the name. */
export interface PrinterColumn {
  readonly name: string;
  readonly type: 'string' | 'integer' | 'date';
  /** Members from the object on, such as `.status.phase`. */
  readonly jsonPath: string;
  readonly description: string;
}

export interface CustomResource {
  readonly ref: ResourceRef;
  readonly shortNames?: readonly string[];
  readonly categories?: readonly string[];
  /** What `kubectl explain` says of the kind. */
  readonly description: string;
  readonly spec: TSchema;
  readonly status?: TSchema;
  /** Whether the status is written through a path of its own. */
  readonly statusSubresource?: boolean;
  /** None: Kubernetes shows the age. */
  readonly printerColumns?: readonly PrinterColumn[];
}

function cdiKind(plural: string, kind: string, namespaced: boolean): ResourceRef {
  return { group: 'cdi.kubevirt.io', version: 'v1beta1', plural, kind, namespaced };
}

function forkliftKind(plural: string, kind: string): ResourceRef {
  return { group: 'forklift.cdi.kubevirt.io', version: 'v1beta1', plural, kind, namespaced: true };
}

function column(
  name: string,
  jsonPath: string,
  description: string,
  type: PrinterColumn['type'] = 'string',
): PrinterColumn {
  return { name, type, jsonPath, description };
}

const age = column('Age', '.metadata.creationTimestamp', 'time since it was made', 'date');

export const dataVolumeResource: CustomResource = {
  ref: resources.dataVolumes,
  shortNames: ['dv', 'dvs'],
  categories: ['all'],
  description:
    'DataVolume is an abstraction on top of PersistentVolumeClaims to allow easy population of those PersistentVolumeClaims with relation to VirtualMachines',
  spec: DataVolumeSpec,
  status: DataVolumeStatus,
  statusSubresource: true,
  printerColumns: [
    column('Phase', '.status.phase', 'The phase the data volume is in'),
    column('Progress', '.status.progress', 'Transfer progress in percentage if known, N/A otherwise'),
    column('Restarts', '.status.restartCount', 'The number of times the transfer has been restarted', 'integer'),
    age,
  ],
};

export const cdiConfigResource: CustomResource = {
  ref: resources.cdiConfigs,
  description: 'CDIConfig provides a user configuration for CDI',
  spec: CdiConfigSpec,
  status: CdiConfigStatus,
};

export const storageProfileResource: CustomResource = {
  ref: resources.storageProfiles,
  description:
    'StorageProfile says what the claims of the storage class of its name get where their DataVolume is silent',
  spec: StorageProfileSpec,
  status: StorageProfileStatus,
  statusSubresource: true,
};

export const dataSourceResource: CustomResource = {
  ref: resources.dataSources,
  shortNames: ['das'],
  categories: ['all'],
  description: 'DataSource is a name by which DataVolumes ask for an image whose place may change',
  spec: DataSourceSpec,
  status: DataSourceStatus,
};

export const dataImportCronResource: CustomResource = {
  ref: resources.dataImportCrons,
  shortNames: ['dic', 'dics'],
  categories: ['all'],
  description:
    'DataImportCron imports an image whenever its source has a newer one, and keeps a DataSource that names it',
  spec: DataImportCronSpec,
  status: DataImportCronStatus,
  printerColumns: [column('Format', '.status.sourceFormat', 'what the imports are kept as: pvc or snapshot')],
};

export const customResources: readonly CustomResource[] = [
  dataVolumeResource,
  dataSourceResource,
  dataImportCronResource,
  {
    ref: cdiKind('volumeimportsources', 'VolumeImportSource', true),
    description: 'VolumeImportSource is named by a claim as its data source to be filled from elsewhere',
    spec: VolumeImportSourceSpec,
    status: EmptyStatus,
  },
  {
    ref: cdiKind('volumeuploadsources', 'VolumeUploadSource', true),
    description: 'VolumeUploadSource is named by a claim as its data source to be filled by a client',
    spec: VolumeUploadSourceSpec,
    status: EmptyStatus,
  },
  {
    ref: resources.volumeCloneSources,
    description: 'VolumeCloneSource is named by a claim as its data source to be filled from another volume',
    spec: VolumeCloneSourceSpec,
  },
  {
    ref: cdiKind('objecttransfers', 'ObjectTransfer', false),
    shortNames: ['ot', 'ots'],
    description: 'ObjectTransfer moves a claim or a DataVolume to another namespace or name; deprecated',
    spec: ObjectTransferSpec,
    status: ObjectTransferStatus,
    statusSubresource: true,
    printerColumns: [age, column('Phase', '.status.phase', 'how far the transfer is')],
  },
  storageProfileResource,
  cdiConfigResource,
  {
    ref: cdiKind('cdis', 'CDI', false),
    shortNames: ['cdi', 'cdis'],
    description: 'CDI says how the importer of disk images is to be installed',
    spec: CdiSpec,
    status: CdiStatus,
    printerColumns: [age, column('Phase', '.status.phase', 'how far the installation is')],
  },
  {
    ref: forkliftKind('ovirtvolumepopulators', 'OvirtVolumePopulator'),
    shortNames: ['ovvp', 'ovvps'],
    description: 'OvirtVolumePopulator is named by a claim as its data source to be filled from a disk of oVirt',
    spec: OvirtVolumePopulatorSpec,
    status: PopulatorStatus,
  },
  {
    ref: forkliftKind('openstackvolumepopulators', 'OpenstackVolumePopulator'),
    shortNames: ['osvp', 'osvps'],
    description:
      'OpenstackVolumePopulator is named by a claim as its data source to be filled from an image of OpenStack',
    spec: OpenstackVolumePopulatorSpec,
    status: PopulatorStatus,
  },
];
