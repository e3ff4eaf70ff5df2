// Rules about the claim that is asked for. The table follows CDI's own tests/api_validation_test.go: for each manifest the text that a client sees.
import { describe, expect, test } from 'vitest';
import { dataVolumeOf, http, pvc, refusalOf } from '../test/data-volume-examples.ts';

const external = (rest: object) => ({ pvc: { ...pvc, ...rest } });

const refused: readonly (readonly [string, unknown, string])[] = [
  [
    '164 size 0',
    { source: http, pvc: { ...pvc, resources: { requests: { storage: '0' } } } },
    " PVC size can't be equal or less than zero",
  ],
  [
    '165 size -500m',
    { source: http, pvc: { ...pvc, resources: { requests: { storage: '-500m' } } } },
    " PVC size can't be equal or less than zero",
  ],
  [
    '166 size invalid_size',
    { source: http, pvc: { ...pvc, resources: { requests: { storage: 'invalid_size' } } } },
    'spec.pvc.resources.requests.storage: Invalid value: "invalid_size": quantities must match the regular expression \'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$\'',
  ],
  [
    'a size below 1 MiB',
    { source: http, storage: { resources: { requests: { storage: '1023Ki' } } } },
    ' Storage size should be at least 1MiB',
  ],
  ['290 neither pvc nor storage', { source: http }, ' Missing Data volume PVC'],
  [
    'both pvc and storage',
    { source: http, pvc, storage: {} },
    ' Duplicate storage definition, both target storage and target pvc defined',
  ],
  [
    '291 pvc without accessModes',
    { source: http, pvc: { resources: pvc.resources } },
    ' Required value: at least 1 access mode is required',
  ],
  ['292 pvc without resources', { source: http, pvc: { accessModes: pvc.accessModes } }, ' PVC size is missing'],
  [
    '293 pvc without storage request',
    { source: http, pvc: { ...pvc, resources: { requests: {} } } },
    ' PVC size is missing',
  ],
  ['298 requests missing', { source: http, pvc: { ...pvc, resources: {} } }, ' PVC size is missing'],
  ['storage without size, no clone', { source: http, storage: {} }, ' Storage size is missing'],
  [
    'pvc without size, clone',
    { source: { pvc: { namespace: 'a', name: 'b' } }, pvc: { accessModes: pvc.accessModes } },
    ' PVC size is missing',
  ],
  [
    '299 unknown access mode',
    { source: http, pvc: { ...pvc, accessModes: ['Sometimes'] } },
    ' Unsupported value: "Sometimes": supported values: "ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"',
  ],
  [
    'unknown access mode in storage',
    { source: http, storage: { ...pvc, accessModes: ['ReadWriteOnce', 'X'] } },
    ' Unsupported value: "X": supported values: "ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"',
  ],
  [
    '300 two access modes',
    { source: http, pvc: { ...pvc, accessModes: ['ReadWriteOnce', 'ReadOnlyMany'] } },
    ' PVC multiple accessModes',
  ],
  [
    'a storage class name of 254 characters',
    { source: http, pvc: { ...pvc, storageClassName: 'x'.repeat(254) } },
    ' Name cannot be longer than 253 characters',
  ],
  [
    'a data source besides a source',
    { source: http, ...external({ dataSource: { kind: 'PersistentVolumeClaim', name: 'a' } }) },
    ' External population is incompatible with Source and SourceRef',
  ],
  [
    'two data sources that differ',
    external({
      dataSource: { kind: 'PersistentVolumeClaim', name: 'a' },
      dataSourceRef: { kind: 'PersistentVolumeClaim', name: 'b' },
    }),
    ' DataSourceRef and DataSource must match',
  ],
  [
    'an empty data source',
    external({ dataSource: { kind: '', name: '' } }),
    " Required value: DataSource name Required value: DataSource kind Required value: DataSource apiGroup when kind is not 'PersistentVolumeClaim'",
  ],
  [
    'a data source in another namespace',
    external({ dataSourceRef: { kind: 'PersistentVolumeClaim', name: 'a', namespace: 'b' } }),
    ' Invalid value: DataSourceRef namespace not supported',
  ],
];

describe('a DataVolume is refused for', () => {
  test.each(refused)('%s', (_name, spec, message) => {
    expect(refusalOf(dataVolumeOf(spec))).toBe(message);
  });
});

const accepted: readonly (readonly [string, unknown])[] = [
  ['296 leading zero in the size', { source: http, pvc: { ...pvc, resources: { requests: { storage: '0500Mi' } } } }],
  ['a size that is a number', { source: http, pvc: { ...pvc, resources: { requests: { storage: 1_073_741_824 } } } }],
  [
    'several access modes through storage',
    { source: { blank: {} }, storage: { ...pvc, accessModes: ['ReadWriteOnce', 'ReadOnlyMany'] } },
  ],
  ['a clone without size through storage', { source: { pvc: { namespace: 'a', name: 'b' } }, storage: {} }],
  [
    'a claim that somebody else fills',
    external({ dataSourceRef: { apiGroup: 'x.example', kind: 'Thing', name: 'a' } }),
  ],
];

describe('a DataVolume is taken with', () => {
  test.each(accepted)('%s', (_name, spec) => {
    expect(refusalOf(dataVolumeOf(spec))).toBe('');
  });
});
