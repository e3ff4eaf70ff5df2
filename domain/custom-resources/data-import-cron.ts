// DataImportCron: looks at a source again and again, imports what is new, and keeps a DataSource that names the newest import.
import { type Static, Type } from 'typebox';
import { cdiStatusMembers, DataVolumeSpec, NamedObject } from '../data-volume.ts';
import { optionalConditions } from '../kube-shapes.ts';
import type { KubeObject, ObjectMeta } from '../object-store.ts';
import {
  optionalInteger,
  optionalList,
  optionalObject,
  optionalText,
  optionalTextMap,
  text,
} from '../schema-members.ts';

/** CDI's own schema keeps nothing of the metadata; ours keeps what a DataVolume can inherit. */
const DataVolumeTemplate = Type.Object(
  {
    apiVersion: optionalText('cdi.kubevirt.io/v1beta1'),
    kind: optionalText('DataVolume'),
    metadata: optionalObject('what the DataVolumes inherit', {
      labels: optionalTextMap('labels of the DataVolumes'),
      annotations: optionalTextMap('annotations of the DataVolumes'),
    }),
    spec: DataVolumeSpec,
    status: optionalObject('has no meaning in a template', cdiStatusMembers),
  },
  { description: 'the DataVolume that is made for each import' },
);

export const DataImportCronSpec = Type.Object(
  {
    template: DataVolumeTemplate,
    schedule: text(
      'when to look at the source: five fields as of cron; empty where something else tells of new content',
    ),
    managedDataSource: text('name of the DataSource that is kept'),
    garbageCollect: optionalText('Outdated (old imports are removed, the default) or Never'),
    importsToKeep: optionalInteger('how many imports are kept; 3 by default', 'int32'),
    retentionPolicy: optionalText('All (imports and DataSource stay when this is deleted, the default) or None'),
    serviceAccountName: optionalText('service account with which the DataVolumes are made', { minLength: 1 }),
  },
  { description: 'what to import, when, and what to keep' },
);
export type DataImportCronSpec = Static<typeof DataImportCronSpec>;

export const DataImportCronStatus = Type.Object(
  {
    currentImports: optionalList(
      Type.Object({
        DataVolumeName: text('name of the DataVolume'),
        Digest: text('digest of the image that it imports'),
      }),
      'imports that run now',
    ),
    lastImportedPVC: Type.Optional(NamedObject('claim of the last import that succeeded')),
    lastExecutionTimestamp: optionalText('when the source was looked at last', { format: 'date-time' }),
    lastImportTimestamp: optionalText('when an import succeeded last', { format: 'date-time' }),
    sourceFormat: optionalText('pvc or snapshot: what imports are kept as'),
    conditions: optionalConditions('Progressing and UpToDate'),
  },
  { description: 'how it stands with the imports' },
);
export type DataImportCronStatus = Static<typeof DataImportCronStatus>;

export interface DataImportCron extends KubeObject {
  apiVersion: 'cdi.kubevirt.io/v1beta1';
  kind: 'DataImportCron';
  metadata: ObjectMeta;
  spec: DataImportCronSpec;
  status?: DataImportCronStatus;
}
