import { expect, test } from 'vitest';
import { validateDataImportCron } from './admission-data-import-cron.ts';
import type { DataImportCron, DataImportCronSpec } from './custom-resources/data-import-cron.ts';
import type { DataVolumeSpec } from './data-volume.ts';

const storage = { resources: { requests: { storage: '1Gi' } } };
const http = { http: { url: 'https://example.com/disk.qcow2' } };

function cron(spec: Partial<DataImportCronSpec> = {}, template: DataVolumeSpec = { source: http, storage }) {
  const whole = { template: { spec: template }, schedule: '0 * * * *', managedDataSource: 'fedora', ...spec };
  const metadata = { namespace: 'images', name: 'fedora-cron' };
  return { apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'DataImportCron', metadata, spec: whole } as DataImportCron; // Safe: the members of one.
}

function messages(asked: DataImportCron, former?: DataImportCron): string[] {
  return validateDataImportCron(asked, former).map(({ message }) => message);
}

test.for([
  ['http', http],
  ['s3', { s3: { url: 'https://s3.example.com/images/disk.qcow2' } }],
  ['gcs', { gcs: { url: 'gs://images/disk.qcow2' } }],
  ['registry', { registry: { url: 'docker://quay.io/containerdisks/fedora:latest' } }],
  ['pvc', { pvc: { namespace: 'images', name: 'golden' } }],
] as const)('a source of kind %s is taken', ([, source]) => {
  expect(messages(cron({}, { source, storage }))).toEqual([]);
});

test.for([
  ['every optional member', { garbageCollect: 'Never', importsToKeep: 0, retentionPolicy: 'None' }],
  ['an empty schedule: somebody else tells of new content', { schedule: '' }],
  ['a nickname', { schedule: '@weekly' }],
] as const)('%s is taken', ([, spec]) => {
  expect(messages(cron(spec))).toEqual([]);
});

test.for([
  ['a schedule of six fields', { schedule: '* * * * * *' }, 'Illegal cron schedule'],
  ['a day that never comes', { schedule: '0 0 31 2 *' }, 'Illegal cron schedule'],
  ['fewer than no imports', { importsToKeep: -1 }, 'Illegal ImportsToKeep value'],
  ['an unknown collection', { garbageCollect: 'Sometimes' }, 'Illegal GarbageCollect value'],
  ['an unknown retention', { retentionPolicy: 'Some' }, 'Illegal RetentionPolicy value'],
  ['no DataSource', { managedDataSource: '' }, 'Illegal ManagedDataSource value'],
  ['a DataSource that no object can be called', { managedDataSource: 'Fedora_39' }, 'Illegal ManagedDataSource value'],
  ['a long DataSource', { managedDataSource: 'd'.repeat(64) }, 'Name cannot be longer than 63 characters'],
] as const)('%s is refused', ([, spec, message]) => {
  expect(messages(cron(spec))).toEqual([message]);
});

test.for([
  ['no source', { storage }, 'Missing source'],
  ['a source that never changes', { source: { blank: {} }, storage }, 'Missing source'],
  ['an upload', { source: { upload: {} }, storage }, 'Missing source'],
  [
    'an archive',
    { source: http, contentType: 'archive', storage },
    'Unsettable fields: SourceRef, ContentType, Checkpoints, FinalCheckpoint',
  ],
  [
    'a DataSource as the source',
    { source: http, sourceRef: { kind: 'DataSource', name: 'a' }, storage },
    'Unsettable fields: SourceRef, ContentType, Checkpoints, FinalCheckpoint',
  ],
  ['two sources', { source: { ...http, gcs: { url: 'gs://a/b' } }, storage }, 'Multiple Data volume sources'],
  ['a volume without a size', { source: http, storage: {} }, 'Storage size is missing'],
  [
    'a URL of another kind',
    { source: { http: { url: 'ftp://example.com/a' } }, storage },
    'spec.source Invalid source URL scheme: ftp://example.com/a',
  ],
] as const)('a template with %s is refused', ([, template, message]) => {
  expect(messages(cron({}, template as DataVolumeSpec))).toEqual([message]); // Safe: the members of one.
});

test('causes of the template name the place where they stand', () => {
  const [cause] = validateDataImportCron(cron({}, { source: { http: { url: '' } }, storage }));
  expect(cause?.field).toMatch(/^spec\.template\.spec\.source/);
});

test('a name too long for a label is refused', () => {
  const long = cron();
  expect(messages({ ...long, metadata: { ...long.metadata, name: 'c'.repeat(64) } })).toEqual([
    'Name cannot be longer than 63 characters',
  ]);
});

test('the spec stays, however it is written, and all else may change', () => {
  const stored = cron();
  const sameSize = cron({}, { source: http, storage: { resources: { requests: { storage: '1024Mi' } } } });
  expect(messages({ ...sameSize, metadata: { ...stored.metadata, annotations: { a: 'b' } } }, stored)).toEqual([]);
  expect(messages(cron({ schedule: '1 * * * *' }), stored)).toEqual(['Cannot update DataImportCron Spec']);
});

test('what was stored before a rule came is not refused for it', () => {
  const old = cron({ schedule: 'whenever' });
  expect(messages(old, old)).toEqual([]);
});
