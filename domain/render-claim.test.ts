import { describe, expect, test } from 'vitest';
import { context, http, render, size } from '../test/rendered-claims.ts';
import { annotations, labels } from './annotations.ts';
import type { CdiConfig } from './custom-resources/cdi-config.ts';
import type { DataVolumeSpec } from './data-volume.ts';

describe('the claim of a DataVolume', () => {
  test('is named, owned, labelled and annotated as CDI does', () => {
    const claim = render(
      { source: http, storage: size('1Gi'), priorityClassName: 'high', serviceAccountName: 'robot' },
      {
        labels: { team: 'a', [labels.applyStorageProfile]: 'true' },
        annotations: { note: 'kept', [annotations.populatedFor]: 'disk', [annotations.cloneToken]: 't' },
      },
    );
    expect(claim).toEqual({
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: {
        namespace: 'team',
        name: 'disk',
        labels: {
          [labels.app]: 'containerized-data-importer',
          [labels.fillingUp]: 'disabled',
          [labels.managedBy]: 'cdi-controller',
          [labels.component]: 'storage',
          team: 'a',
        },
        annotations: {
          note: 'kept',
          [annotations.podRestarts]: '0',
          [annotations.contentType]: 'kubevirt',
          [annotations.preallocationRequested]: 'false',
          [annotations.createdForDataVolume]: '0b1c',
          [annotations.priorityClassName]: 'high',
          [annotations.serviceAccountName]: 'robot',
          [annotations.importEndpoint]: 'https://example.com/disk.qcow2',
          [annotations.importSource]: 'http',
        },
        ownerReferences: [
          {
            apiVersion: 'cdi.kubevirt.io/v1beta1',
            kind: 'DataVolume',
            name: 'disk',
            uid: '0b1c',
            controller: true,
            blockOwnerDeletion: true,
          },
        ],
        finalizers: ['longshore.dev/volume'],
      },
      spec: {
        accessModes: ['ReadWriteOnce'],
        resources: { requests: { storage: '1Gi' } },
        storageClassName: 'longshore',
        volumeMode: 'Filesystem',
      },
    });
  });

  test.each([
    [
      'http with all members',
      {
        http: {
          url: 'u',
          secretRef: 's',
          certConfigMap: 'c',
          checksum: `MD5:${'A'.repeat(32)}`,
          insecureSkipVerify: true,
          extraHeaders: ['A: 1', 'B: 2'],
          secretExtraHeaders: ['h'],
        },
      },
      {
        importEndpoint: 'u',
        importSource: 'http',
        importSecretName: 's',
        importCertConfigMap: 'c',
        importChecksum: `md5:${'a'.repeat(32)}`,
        importInsecureSkipVerify: 'true',
      },
    ],
    [
      's3',
      { s3: { url: 'u', secretRef: 's', certConfigMap: 'c' } },
      { importEndpoint: 'u', importSource: 's3', importSecretName: 's', importCertConfigMap: 'c' },
    ],
    ['gcs', { gcs: { url: 'gs://b/o' } }, { importEndpoint: 'gs://b/o', importSource: 'gcs' }],
    [
      'registry',
      { registry: { url: 'docker://x', pullMethod: 'node', platform: { architecture: 'arm64' } } },
      {
        importEndpoint: 'docker://x',
        importSource: 'registry',
        importRegistryMethod: 'node',
        importRegistryArchitecture: 'arm64',
      },
    ],
    [
      'an image stream',
      { registry: { imageStream: 'fedora', pullMethod: 'node' } },
      {
        importEndpoint: 'fedora',
        importSource: 'registry',
        importRegistryMethod: 'node',
        importRegistryImageStream: 'true',
      },
    ],
    [
      'imageio',
      { imageio: { url: 'u', diskId: 'd', secretRef: 's' } },
      {
        importEndpoint: 'u',
        importSource: 'imageio',
        importSecretName: 's',
        importCertConfigMap: '',
        importDiskId: 'd',
      },
    ],
    [
      'vddk',
      { vddk: { url: 'u', uuid: 'i', backingFile: 'b', thumbprint: 't', secretRef: 's' } },
      {
        importEndpoint: 'u',
        importSource: 'vddk',
        importSecretName: 's',
        importUuid: 'i',
        importBackingFile: 'b',
        importThumbprint: 't',
      },
    ],
    ['blank', { blank: {} }, { importSource: 'none' }],
    ['upload', { upload: {} }, { uploadTarget: '' }],
    ['a clone', { pvc: { namespace: 'theirs', name: 'golden' } }, { cloneRequest: 'theirs/golden' }],
    ['a clone of the same namespace', { pvc: { namespace: '', name: 'golden' } }, { cloneRequest: 'team/golden' }],
  ] as const)('tells the source %s', (_name, source, expected) => {
    // Safe: a copy without readonly, which is all that differs.
    const claim = render({
      source: structuredClone(source) as DataVolumeSpec['source'] & object,
      storage: size('1Gi'),
    });
    const told = claim.metadata.annotations ?? {};
    const named = Object.entries(annotations).filter(([key]) => /^(import|upload|cloneRequest)/.test(key));
    const found = Object.fromEntries(
      named.flatMap(([key, name]) => (told[name] === undefined ? [] : [[key, told[name]]])),
    );
    expect(found).toEqual(expected);
  });

  test('says nothing that only the service may say of it', () => {
    const facts = { [annotations.podPhase]: 'Succeeded', [annotations.podReady]: 'true', [annotations.path]: '/etc' };
    const told = render({ source: http, storage: size('1Gi') }, { annotations: facts }).metadata.annotations ?? {};
    expect(Object.keys(facts).filter((name) => name in told)).toEqual([]);
  });

  test('numbers the headers of http', () => {
    const source = { http: { url: 'u', extraHeaders: ['A: 1', 'B: 2'], secretExtraHeaders: ['h'] } };
    const told = render({ source, storage: size('1Gi') }).metadata.annotations;
    expect(told?.[`${annotations.importExtraHeaders}.1`]).toBe('B: 2');
    expect(told?.[`${annotations.importSecretExtraHeaders}.0`]).toBe('h');
  });

  test('tells a checksum that was wished by annotation', () => {
    const wish = `sha256:${'c'.repeat(64)}`;
    const told = render({ source: http, storage: size('1Gi') }, { annotations: { [annotations.checksum]: wish } });
    expect(told.metadata.annotations?.[annotations.importChecksum]).toBe(wish);
  });

  test('takes preallocation from the DataVolume, else from CDIConfig', () => {
    const cdiConfig: CdiConfig = {
      apiVersion: 'cdi.kubevirt.io/v1beta1',
      kind: 'CDIConfig',
      metadata: { name: 'config' },
      spec: { preallocation: true },
    };
    const asked = (spec: DataVolumeSpec) =>
      render(spec, {}, { ...context, cdiConfig }).metadata.annotations?.[annotations.preallocationRequested];
    expect(asked({ source: http, storage: size('1Gi') })).toBe('true');
    expect(asked({ source: http, storage: size('1Gi'), preallocation: false })).toBe('false');
  });
});

describe('a claim through pvc', () => {
  test('is what was written, with the default class and mode', () => {
    const pvc = { accessModes: ['ReadWriteMany'], ...size('1000001'), volumeMode: 'Block' };
    expect(render({ source: http, pvc }).spec).toEqual({ ...pvc, storageClassName: 'longshore' });
    expect(render({ source: http, pvc: { ...pvc, storageClassName: 'nfs' } }).spec.storageClassName).toBe('nfs');
    expect(render({ source: http, pvc }).metadata.labels?.[labels.fillingUp]).toBeUndefined();
  });
});
