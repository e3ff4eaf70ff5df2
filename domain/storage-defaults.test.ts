import { describe, expect, test } from 'vitest';
import { annotations } from './annotations.ts';
import type { StorageClass } from './kube-shapes.ts';
import { chooseStorageClass } from './storage-defaults.ts';

function storageClass(name: string, mark?: string, creationTimestamp = '2026-01-01T00:00:00Z'): StorageClass {
  const marks = mark === undefined ? {} : { [mark]: 'true' };
  return {
    ...{ apiVersion: 'storage.k8s.io/v1', kind: 'StorageClass', provisioner: 'disks.example' },
    metadata: { name, annotations: marks, creationTimestamp },
  };
}

describe('the storage class', () => {
  const longshore = storageClass('longshore', annotations.defaultStorageClass);
  const nfs = storageClass('nfs');
  const virt = storageClass('virt', annotations.defaultVirtStorageClass);
  const newer = storageClass('a-newer', annotations.defaultStorageClass, '2026-02-01T00:00:00Z');
  const twin = storageClass('b-newer', annotations.defaultStorageClass, '2026-02-01T00:00:00Z');
  const chosen = (classes: StorageClass[], name: string | undefined, contentType = 'kubevirt') =>
    chooseStorageClass(classes, name, contentType)?.metadata.name;

  test('is the one asked for, or none', () => {
    expect(chosen([longshore, nfs], 'nfs')).toBe('nfs');
    expect(chosen([longshore], 'gone')).toBeUndefined();
    expect(chosen([longshore], '')).toBeUndefined();
  });

  test('is the default for virtual machines, but not for archives', () => {
    expect(chosen([longshore, virt], undefined)).toBe('virt');
    expect(chosen([longshore, virt], undefined, 'archive')).toBe('longshore');
  });

  test('is the newest of several defaults, then the first by name', () => {
    expect(chosen([longshore, twin, newer], undefined)).toBe('a-newer');
    expect(chosen([nfs], undefined)).toBeUndefined();
  });
});
