import { describe, expect, test } from 'vitest';
import { provisionerName } from './annotations.ts';
import { type CdiConfigFacts, cdiConfigStatus } from './cdi-config-status.ts';
import type { CdiConfig } from './custom-resources/cdi-config.ts';
import type { StorageClass } from './kube-shapes.ts';
import { byChannel } from './provisioning.ts';

const storageClass = (name: string, provisioner: string): StorageClass => ({
  ...{ apiVersion: 'storage.k8s.io/v1', kind: 'StorageClass', metadata: { name }, provisioner },
});

const facts: CdiConfigFacts = {
  storageClasses: [storageClass('nfs', 'nfs.csi.k8s.io'), storageClass('longshore', provisionerName)],
  provisioning: byChannel,
  uploadProxy: { url: 'upload.example.org', ca: 'PEM' },
};

const statusOf = (spec: CdiConfig['spec'], around = facts) =>
  cdiConfigStatus(
    { ...{ apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'CDIConfig', metadata: { name: 'config' } }, spec },
    around,
  );

describe('the status of CDIConfig', () => {
  test('says what holds where its spec is silent', () => {
    expect(statusOf({})).toEqual({
      uploadProxyURL: 'upload.example.org',
      uploadProxyCA: 'PEM',
      scratchSpaceStorageClass: '',
      defaultPodResourceRequirements: {
        limits: { cpu: '750m', memory: '600M' },
        requests: { cpu: '100m', memory: '60M' },
      },
      filesystemOverhead: { global: '0.06', storageClass: { longshore: '0', nfs: '0.06' } },
      preallocation: false,
    });
    expect(statusOf({}, { ...facts, uploadProxy: undefined })).not.toHaveProperty('uploadProxyURL');
  });

  test('takes the address that the spec names before any other', () => {
    expect(statusOf({ uploadProxyURLOverride: 'https://there.example' }).uploadProxyURL).toBe('https://there.example');
    expect(statusOf({ uploadProxyURLOverride: '' }).uploadProxyURL).toBe('upload.example.org');
  });

  test('names the class of scratch space where there is one of that name, and no other', () => {
    expect(statusOf({ scratchSpaceStorageClass: 'nfs' }).scratchSpaceStorageClass).toBe('nfs');
    expect(statusOf({ scratchSpaceStorageClass: 'gone' }).scratchSpaceStorageClass).toBe('');
  });

  test('replaces single resources of pods', () => {
    const podResourceRequirements = { requests: { memory: '1Gi' }, limits: { 'example.org/nic': 1 } };
    expect(statusOf({ podResourceRequirements }).defaultPodResourceRequirements).toEqual({
      limits: { cpu: '750m', memory: '600M', 'example.org/nic': 1 },
      requests: { cpu: '100m', memory: '1Gi' },
    });
  });

  test.for<[Record<string, string>, string, Record<string, string>]>([
    [{ nfs: '0.1' }, '0.2', { longshore: '0', nfs: '0.1' }],
    [{ gone: '0.1' }, '1', { longshore: '0', nfs: '1' }],
    [{ nfs: '0.0' }, '0', { longshore: '0', nfs: '0.0' }],
  ])('lists the overhead of every class with %o and %s', ([ofClasses, global, listed]) => {
    const { filesystemOverhead } = statusOf({ filesystemOverhead: { global, storageClass: ofClasses } });
    expect(filesystemOverhead).toEqual({ global, storageClass: listed });
  });

  test('repeats proxy, secrets and preallocation of the spec', () => {
    const spec = {
      importProxy: { HTTPProxy: 'http://proxy.example' },
      imagePullSecrets: [{ name: 'registry' }],
      preallocation: true,
    };
    expect(statusOf(spec)).toMatchObject(spec);
  });
});
