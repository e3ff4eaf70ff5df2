import { describe, expect, test } from 'vitest';
import { labels } from '../../domain/annotations.ts';
import type { DataSource, DataSourceSpec } from '../../domain/custom-resources/data-source.ts';
import type { DataVolume } from '../../domain/data-volume.ts';
import { claimOf } from '../../test/claim-examples.ts';
import { type DataSourceFacts, reconcileDataSource } from './reconcile-data-source.ts';

const apiVersion = 'cdi.kubevirt.io/v1beta1' as const;
const now = new Date('2026-11-25T12:00:00.500Z');
const later = new Date('2026-11-25T13:00:00Z');
const pvc = { namespace: 'ns', name: 'golden' };

function dataSource(source: DataSourceSpec['source'], status?: DataSource['status']): DataSource {
  const metadata = { namespace: 'ns', name: 'newest', labels: { mine: 'yes' } };
  return { apiVersion, kind: 'DataSource', metadata, spec: { source }, ...(status === undefined ? {} : { status }) };
}

function dataVolume(phase: string, given: Record<string, string> = {}): DataVolume {
  const metadata = { ...pvc, labels: given };
  return { apiVersion, kind: 'DataVolume', metadata, spec: {}, status: { phase } };
}

function ready(asked: DataSource, facts: Partial<DataSourceFacts> = {}): unknown {
  const next = reconcileDataSource(asked, {
    referenced: undefined,
    claim: undefined,
    dataVolume: undefined,
    now,
    ...facts,
  });
  const [condition] = next.status?.conditions ?? [];
  return [condition?.status, condition?.reason, condition?.message, next.status?.source];
}

const claim = claimOf();

describe('a DataSource', () => {
  test.for([
    ['nothing', {}, {}, ['False', 'NoSource', 'No source PVC set', undefined]],
    ['a claim that is not there', { pvc }, {}, ['False', 'NotFound', 'PVC not found', undefined]],
    ['a claim of its own', { pvc }, { claim }, ['True', 'Ready', 'DataSource is ready to be consumed', { pvc }]],
    [
      'an import that runs',
      { pvc },
      { claim, dataVolume: dataVolume('ImportInProgress') },
      ['False', 'ImportInProgress', 'Import DataVolume phase ImportInProgress', undefined],
    ],
    [
      'an import that nobody has looked at yet',
      { pvc },
      { dataVolume: dataVolume('') },
      ['False', 'Pending', 'Import DataVolume phase ', undefined],
    ],
    [
      'an import that succeeded',
      { pvc },
      { claim, dataVolume: dataVolume('Succeeded') },
      ['True', 'Ready', 'DataSource is ready to be consumed', { pvc }],
    ],
    [
      'an import whose claim is gone',
      { pvc },
      { dataVolume: dataVolume('Succeeded') },
      ['False', 'NotFound', 'PVC not found', undefined],
    ],
    [
      'another DataSource',
      { dataSource: { namespace: 'ns', name: 'other' } },
      { referenced: { ...dataSource({ pvc }), metadata: { namespace: 'ns', name: 'other' } }, claim },
      ['True', 'Ready', 'DataSource is ready to be consumed', { pvc }],
    ],
    [
      'a DataSource that is not there',
      { dataSource: { namespace: 'ns', name: 'other' } },
      {},
      ['False', 'NotFound', 'DataSource not found', undefined],
    ],
  ] as const)('that names %s says so', ([, source, facts, expected]) => {
    expect(ready(dataSource(source), facts)).toEqual(expected);
  });

  test('does not promise a snapshot', () => {
    expect(ready(dataSource({ snapshot: pvc }))).toEqual([
      ...['False', 'UnsupportedSource', 'This version cannot clone a snapshot', undefined],
    ]);
  });

  test('is left alone where nothing changes', () => {
    const facts = { referenced: undefined, claim, dataVolume: dataVolume('Succeeded', { 'kubevirt.io/a': 'b' }) };
    const once = reconcileDataSource(dataSource({ pvc }), { ...facts, now });
    expect(reconcileDataSource(once, { ...facts, now: later })).toBe(once);
  });

  test('that stands for another claim is Ready since then, though it was Ready before', () => {
    const facts = { referenced: undefined, claim, dataVolume: undefined };
    const once = reconcileDataSource(dataSource({ pvc }), { ...facts, now });
    const moved = { ...once, spec: { source: { pvc: { ...pvc, name: 'newer' } } } };
    const next = reconcileDataSource(moved, { ...facts, now: later });
    expect(once.status?.conditions?.[0]?.lastTransitionTime).toBe('2026-11-25T12:00:00Z');
    expect(next.status?.conditions?.[0]?.lastTransitionTime).toBe('2026-11-25T13:00:00Z');
  });

  test('takes over the labels of KubeVirt, but not those that say who manages it, and keeps its own', () => {
    const given = {
      'instancetype.kubevirt.io/default-preference': 'fedora',
      'kubevirt.io/dynamic-credentials-support': 'true',
      'example.org/other': 'no',
      app: 'no',
      mine: 'no',
      [labels.dataImportCron]: 'somebody',
      [labels.dataImportCronCleanup]: 'true',
    };
    const facts = { referenced: undefined, claim, dataVolume: dataVolume('Succeeded', given), now };
    expect(reconcileDataSource(dataSource({ pvc }), facts).metadata.labels).toEqual({
      mine: 'yes',
      'instancetype.kubevirt.io/default-preference': 'fedora',
      'kubevirt.io/dynamic-credentials-support': 'true',
    });
  });
});
