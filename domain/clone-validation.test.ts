import { expect, test } from 'vitest';
import { annotations } from './annotations.ts';
import { cloneProblem } from './clone-validation.ts';
import type { DataVolume, DataVolumeSpec } from './data-volume.ts';
import type { Claim } from './kube-shapes.ts';

const size = (storage: string) => ({ resources: { requests: { storage } } });

const dataVolumeOf = (spec: DataVolumeSpec): DataVolume => ({
  ...{ apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'DataVolume', metadata: { name: 'disk', namespace: 'team' }, spec },
});

const source = (storage: string, contentType = 'kubevirt'): Claim => ({
  ...{ apiVersion: 'v1', kind: 'PersistentVolumeClaim', spec: size(storage) },
  metadata: { name: 'golden', annotations: { [annotations.contentType]: contentType } },
});

test('a clone fits where it is at least as large and of the same content type', () => {
  const clone = dataVolumeOf({ source: { pvc: { namespace: 'a', name: 'golden' } }, storage: size('1Gi') });
  expect(cloneProblem(clone, source('1Gi'))).toBeUndefined();
  expect(cloneProblem(dataVolumeOf({ storage: {} }), source('1Gi'))).toBeUndefined();
  expect(cloneProblem(clone, source('2Gi'))).toBe(
    'target resources requests storage size is smaller than the source 1073741824 < 2147483648',
  );
  expect(cloneProblem(clone, source('1Gi', 'archive'))).toBe(
    'Source contentType (archive) and target contentType (kubevirt) do not match',
  );
});
