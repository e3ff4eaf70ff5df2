import { expect, test } from 'vitest';
import { annotations } from './annotations.ts';
import type { DataSource, DataSourceSpec } from './custom-resources/data-source.ts';
import type { DataVolume } from './data-volume.ts';
import {
  formatNamedSource,
  lookUpSourceRef,
  type Place,
  parseNamedSource,
  sourceNamedBy,
  withFoundSource,
} from './named-source.ts';

const apiVersion = 'cdi.kubevirt.io/v1beta1' as const;
const golden = { namespace: 'images', name: 'golden' };

function dataSource(name: string, source: DataSourceSpec['source'], namespace = 'images'): DataSource {
  return { apiVersion, kind: 'DataSource', metadata: { namespace, name }, spec: { source } };
}

function dataVolume(spec: DataVolume['spec'], given: Record<string, string> = {}): DataVolume {
  return { apiVersion, kind: 'DataVolume', metadata: { namespace: 'work', name: 'disk', annotations: given }, spec };
}

const direct = dataSource('direct', { pvc: golden });
const refers = (name: string, namespace = 'images') => dataSource('refers', { dataSource: { namespace, name } });

test.for([
  ['a claim', direct, undefined, { source: { pvc: golden } }],
  ['a snapshot', dataSource('a', { snapshot: golden }), undefined, { source: { snapshot: golden } }],
  [
    'a claim of its own namespace',
    dataSource('a', { pvc: { ...golden, namespace: '' } }),
    undefined,
    { source: { pvc: golden } },
  ],
  ['what another one names', refers('direct'), direct, { source: { pvc: golden } }],
] as const)('a DataSource stands for %s', ([, asked, referenced, named]) => {
  expect(sourceNamedBy(asked, referenced)).toEqual(named);
});

test.for([
  ['nothing', dataSource('a', {}), undefined, 'NoSource', 'No source PVC set'],
  ['itself', refers('refers'), refers('refers'), 'SelfReference', 'DataSource cannot self-reference'],
  ['one that is not there', refers('nothing'), undefined, 'NotFound', 'DataSource not found'],
  [
    'one that refers on',
    refers('on'),
    dataSource('on', { dataSource: golden }),
    'MaxReferenceDepthReached',
    'DataSource reference chain exceeds maximum depth of 1',
  ],
  [
    'one of another namespace',
    refers('direct', 'other'),
    undefined,
    'CrossNamespaceReference',
    'DataSource cannot reference a DataSource in another namespace',
  ],
] as const)('a DataSource that names %s stands for nothing', ([, asked, referenced, reason, message]) => {
  expect(sourceNamedBy(asked, referenced)).toEqual({ problem: { reason, message } });
});

test.for([{ pvc: golden }, { snapshot: golden }])('%j can be kept and read again', (source) => {
  expect(parseNamedSource(formatNamedSource(source))).toEqual(source);
});

test.for(['', 'pvc', 'pvc/images', 'pvc//golden', 'pvc/images/golden/more', 'secret/images/golden'])(
  '%j is no source',
  (text) => {
    expect(parseNamedSource(text)).toBeUndefined();
  },
);

const sourceRef = { kind: 'DataSource', namespace: 'images', name: 'refers' };
const find = async ({ namespace, name }: Place) =>
  [direct, refers('direct'), dataSource('empty', {})].find(
    ({ metadata }) => metadata.namespace === namespace && metadata.name === name,
  );

test('a new DataVolume is looked up through one reference', async () => {
  expect(await lookUpSourceRef(dataVolume({ sourceRef }), find)).toEqual({ source: { pvc: golden } });
});

test.for([
  ['a missing DataSource', 'missing', 'SourceRef DataSource/images/missing not found'],
  ['an empty one', 'empty', "Empty source field in 'empty'. DataSource may not be ready yet"],
] as const)('a new DataVolume that names %s is refused', async ([, name, message]) => {
  const found = await lookUpSourceRef(dataVolume({ sourceRef: { ...sourceRef, name } }), find);
  expect(found).toEqual({ causes: [expect.objectContaining({ field: 'spec.sourceRef', message })] });
});

test('without a namespace the DataSource is one of the namespace of the DataVolume', async () => {
  const asked: Place[] = [];
  await lookUpSourceRef(dataVolume({ sourceRef: { kind: 'DataSource', name: 'a' } }), async (place) => {
    asked.push(place);
    return undefined;
  });
  expect(asked).toEqual([{ namespace: 'work', name: 'a' }]);
});

test('a DataVolume clones what was found for it, and one that names its source itself is as it is', () => {
  const found = { [annotations.cloneSource]: 'pvc/images/golden' };
  expect(withFoundSource(dataVolume({ sourceRef }, found)).spec).toEqual({ source: { pvc: golden } });
  expect(withFoundSource(dataVolume({ sourceRef })).spec).toEqual({ sourceRef });
  expect(withFoundSource(dataVolume({ source: { blank: {} } }, found)).spec).toEqual({ source: { blank: {} } });
});
