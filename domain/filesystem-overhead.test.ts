import { describe, expect, test } from 'vitest';
import { provisionerName } from './annotations.ts';
import type { CdiConfig } from './custom-resources/cdi-config.ts';
import { claimBytes, filesystemOverheadOf, parseOverhead, requiredBytes, usableBytes } from './filesystem-overhead.ts';
import type { StorageClass } from './kube-shapes.ts';

const mebibyte = 2 ** 20;

const storageClass = (name: string, provisioner: string): StorageClass => ({
  apiVersion: 'storage.k8s.io/v1',
  kind: 'StorageClass',
  metadata: { name },
  provisioner,
});

const config = (filesystemOverhead: CdiConfig['spec']['filesystemOverhead']): CdiConfig => ({
  apiVersion: 'cdi.kubevirt.io/v1beta1',
  kind: 'CDIConfig',
  metadata: { name: 'config' },
  spec: filesystemOverhead === undefined ? {} : { filesystemOverhead },
});

describe('filesystem overhead', () => {
  test("is reckoned like CDI's", () => {
    expect(requiredBytes(0.06, 2 ** 30)).toBe(1_138_166_334);
    expect(requiredBytes(0, mebibyte + 1)).toBe(2 * mebibyte);
    expect(usableBytes(0.06, 1_138_166_334)).toBe(2 ** 30);
    expect(usableBytes(0, 2 ** 30 + 5)).toBe(2 ** 30);
  });

  test('leaves room for the image it was asked for, whatever its size', () => {
    for (const overhead of [0, 0.001, 0.055, 0.06, 0.999, 1]) {
      for (const size of [1, mebibyte - 1, mebibyte, 7 * mebibyte + 3, 2 ** 31, 20e12]) {
        expect(usableBytes(overhead, requiredBytes(overhead, size))).toBeGreaterThanOrEqual(size);
      }
    }
  });

  test('is 0 for our own class, whatever CDIConfig says', () => {
    expect(filesystemOverheadOf(storageClass('longshore', provisionerName), config({ global: '0.1' }))).toBe(0);
  });

  test("is the class's, else the global one, else 0.06", () => {
    const other = storageClass('nfs', 'nfs.example');
    expect(filesystemOverheadOf(other, config({ global: '0.1', storageClass: { nfs: '0.25' } }))).toBe(0.25);
    expect(filesystemOverheadOf(other, config({ global: '0.1', storageClass: { ceph: '0.25' } }))).toBe(0.1);
    expect(filesystemOverheadOf(other, config({ storageClass: { nfs: 'much' } }))).toBe(0.06);
    expect(filesystemOverheadOf(undefined, undefined)).toBe(0.06);
  });

  test('is not added to Block claims, and nothing is rounded where there is none', () => {
    expect(claimBytes(mebibyte + 1, 'Block', 0.06)).toBe(mebibyte + 1);
    expect(claimBytes(mebibyte + 1, 'Filesystem', 0)).toBe(mebibyte + 1);
    expect(claimBytes(mebibyte + 1, 'Filesystem', 0.06)).toBe(requiredBytes(0.06, mebibyte + 1));
  });

  test.each([
    ['0', 0],
    ['1', 1],
    ['0.055', 0.055],
    ['1.1', undefined],
    ['0.0555', undefined],
    ['-0.1', undefined],
  ])('%s in CDIConfig is %s', (text, overhead) => {
    expect(parseOverhead(text)).toBe(overhead);
  });
});
