import { expect, test } from 'vitest';
import { annotations } from '../../domain/annotations.ts';
import type { DataImportCronSpec } from '../../domain/custom-resources/data-import-cron.ts';
import { cronOf } from '../../test/data-import-cron-examples.ts';
import { type KeptImport, planCollection } from './import-collection.ts';

function kept(name: string, minute: number, phase = 'Succeeded'): KeptImport {
  const time = `2026-11-25T12:0${minute}:00.000Z`;
  const metadata = { namespace: 'default', name, annotations: { [annotations.lastUseTime]: time } };
  return {
    name,
    dataVolume: { apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'DataVolume', metadata, spec: {}, status: { phase } },
  };
}

function collected(imports: KeptImport[], spec: Partial<DataImportCronSpec> = {}, needed: string[] = []): string[] {
  const isNeeded = (name: string) => needed.includes(name);
  return planCollection(imports, cronOf(spec).spec, { current: 'e', isNeeded }).map(({ metadata }) => metadata.name);
}

const five = [kept('a', 1), kept('e', 5), kept('c', 3), kept('b', 2), kept('d', 4)];

test('the three that were used last are kept by default', () => {
  expect(collected(five)).toEqual(['b', 'a']);
});

test('as many are kept as are asked for', () => {
  expect(collected(five, { importsToKeep: 1 })).toEqual(['d', 'c', 'b', 'a']);
  expect(collected(five, { importsToKeep: 9 })).toEqual([]);
});

test('what is needed stays, also where none is to be kept', () => {
  expect(collected(five, { importsToKeep: 0 }, ['b'])).toEqual(['d', 'c', 'a']);
});

test('the current one counts as the newest, also before anything is noted of it', () => {
  const fresh = five.map((one) => (one.name === 'e' ? kept('e', 0) : one));
  expect(collected(fresh, { importsToKeep: 2 })).toEqual(['c', 'b', 'a']);
});

test('nothing goes where nothing is to be collected', () => {
  expect(collected([...five, kept('f', 6, 'Failed')], { garbageCollect: 'Never', importsToKeep: 0 })).toEqual([]);
});

test('a failed import goes at once and takes nobody’s place; one that runs stays', () => {
  expect(collected([...five.slice(0, 3), kept('f', 6, 'Failed'), kept('g', 7, 'ImportInProgress')])).toEqual(['f']);
});

test('the claim knows better than its DataVolume when it was used last', () => {
  const claim = {
    ...{ apiVersion: 'v1' as const, kind: 'PersistentVolumeClaim' as const, spec: {} },
    metadata: { name: 'a', annotations: { [annotations.lastUseTime]: '2026-11-25T12:09:00.000Z' } },
  };
  const again = five.map((one) => (one.name === 'a' ? { ...one, claim } : one));
  expect(collected(again)).toEqual(['c', 'b']);
});

test('a claim without DataVolume counts, but is not ours to delete', () => {
  const alone = five.map(({ name, dataVolume }) => {
    const metadata = { name, annotations: dataVolume?.metadata.annotations ?? {} };
    const claim = { apiVersion: 'v1' as const, kind: 'PersistentVolumeClaim' as const, spec: {}, metadata };
    return name === 'b' ? { name, claim } : { name, dataVolume };
  });
  expect(collected(alone)).toEqual(['a']);
});

test('what is being deleted is not deleted again', () => {
  const leaving = five.map(({ name, dataVolume }) => {
    if (dataVolume === undefined || name !== 'a') return { name, dataVolume };
    const metadata = { ...dataVolume.metadata, deletionTimestamp: '2026-11-25T13:00:00Z' };
    return { name, dataVolume: { ...dataVolume, metadata } };
  });
  expect(collected(leaving)).toEqual(['b']);
});
