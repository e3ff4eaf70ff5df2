// DataSource: a name by which DataVolumes ask for an image whose place may change, such as the newest one of a DataImportCron.
import { type Static, Type } from 'typebox';
import { NamedObject } from '../data-volume.ts';
import { optionalConditions } from '../kube-shapes.ts';
import type { KubeObject, ObjectMeta } from '../object-store.ts';

const source = (description: string) =>
  Type.Object(
    {
      pvc: Type.Optional(NamedObject('a claim to clone')),
      snapshot: Type.Optional(NamedObject('a volume snapshot to clone')),
      dataSource: Type.Optional(NamedObject('another DataSource of the same namespace, whose source is taken')),
    },
    { description },
  );

export const DataSourceSpec = Type.Object(
  { source: source('where the content comes from; one member is set') },
  { description: 'what the name stands for' },
);
export type DataSourceSpec = Static<typeof DataSourceSpec>;

export const DataSourceStatus = Type.Object(
  {
    source: Type.Optional(
      source('what the name stands for once references are followed; absent while it is not ready'),
    ),
    conditions: optionalConditions('Ready'),
  },
  { description: 'how it stands with the source' },
);
export type DataSourceStatus = Static<typeof DataSourceStatus>;

export interface DataSource extends KubeObject {
  apiVersion: 'cdi.kubevirt.io/v1beta1';
  kind: 'DataSource';
  metadata: ObjectMeta;
  spec: DataSourceSpec;
  status?: DataSourceStatus;
}
