// DataSource: a name by which DataVolumes ask for an image whose place may change, such as the newest one of a DataImportCron.
import { Type } from 'typebox';
import { NamedObject } from '../data-volume.ts';
import { optionalConditions } from '../kube-shapes.ts';

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

export const DataSourceStatus = Type.Object(
  {
    source: Type.Optional(
      source('what the name stands for once references are followed; absent while it is not ready'),
    ),
    conditions: optionalConditions('Ready'),
  },
  { description: 'how it stands with the source' },
);
