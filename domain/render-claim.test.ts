import { describe, expect, test } from 'vitest';
import { annotations, labels, provisionerName } from './annotations.ts';
import type { CdiConfig } from './custom-resources/cdi-config.ts';
import type { StorageProfile } from './custom-resources/storage-profile.ts';
import type { DataVolume, DataVolumeSpec } from './data-volume.ts';
import type { Claim, StorageClass } from './kube-shapes.ts';
import { type ClaimContext, renderClaim } from './render-claim.ts';

const size = (storage: string) => ({ resources: { requests: { storage } } });
const http = { http: { url: 'https://example.com/disk.qcow2' } };

function storageClass(name: string, provisioner: string, marks: string[] = []): StorageClass {
  const wishes = Object.fromEntries(marks.map((mark) => [mark, 'true']));
  return {
    ...{ apiVersion: 'storage.k8s.io/v1', kind: 'StorageClass', provisioner },
    metadata: { name, annotations: wishes, creationTimestamp: '2026-01-01T00:00:00Z' },
  };
}

const longshore = storageClass('longshore', provisionerName, [annotations.defaultStorageClass]);
const nfs = storageClass('nfs', 'nfs.example');
const context: ClaimContext = { storageClasses: [longshore, nfs] };

function dataVolumeOf(spec: DataVolumeSpec, metadata: Partial<DataVolume['metadata']> = {}): DataVolume {
  return {
    apiVersion: 'cdi.kubevirt.io/v1beta1',
    kind: 'DataVolume',
    metadata: { name: 'disk', namespace: 'team', uid: '0b1c', ...metadata },
    spec,
  };
}

function render(spec: DataVolumeSpec, metadata: Partial<DataVolume['metadata']> = {}, around = context): Claim {
  const result = renderClaim(dataVolumeOf(spec, metadata), around);
  if ('problem' in result) throw new Error(result.problem.message);
  return result.claim;
}

function problemOf(spec: DataVolumeSpec, around = context): string | undefined {
  const result = renderClaim(dataVolumeOf(spec), around);
  return 'problem' in result ? `${result.problem.reason}: ${result.problem.message}` : undefined;
}

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

describe('a claim through storage', () => {
  test('keeps the size to the byte in our own class', () => {
    expect(render({ source: http, storage: size('1073741825') }).spec.resources).toEqual(size('1073741825').resources);
    expect(render({ source: http, storage: size('1.5Gi') }).spec.resources).toEqual(size('1536Mi').resources);
  });

  test('grows by the overhead of another class, but not for Block', () => {
    const storage = { ...size('1Gi'), storageClassName: 'nfs', accessModes: ['ReadWriteMany'] };
    expect(render({ source: http, storage }).spec).toEqual({
      ...size('1138166334'),
      storageClassName: 'nfs',
      accessModes: ['ReadWriteMany'],
      volumeMode: 'Filesystem',
    });
    expect(render({ source: http, storage: { ...storage, volumeMode: 'Block' } }).spec.resources).toEqual(
      size('1Gi').resources,
    );
  });

  test('takes FromStorageProfile for a mode that is not given', () => {
    const spec = render({ source: http, storage: { ...size('1Gi'), volumeMode: 'FromStorageProfile' } }).spec;
    expect(spec.volumeMode).toBe('Filesystem');
  });

  test('may be Block', () => {
    const spec = render({ source: http, storage: { ...size('1Gi'), volumeMode: 'Block' } }).spec;
    expect(spec).toMatchObject({ volumeMode: 'Block', accessModes: ['ReadWriteOnce'] });
  });

  test('takes the size of a clone from its source, once that is there', () => {
    const spec: DataVolumeSpec = { source: { pvc: { namespace: 'theirs', name: 'golden' } }, storage: {} };
    const cloneSource: Claim = {
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: { name: 'golden' },
      spec: size('3Gi'),
    };
    expect(render(spec, {}, { ...context, cloneSource }).spec.resources).toEqual(size('3Gi').resources);
    expect(problemOf(spec)).toBe("CloneWithoutSource: The source pvc golden doesn't exist");
  });

  test.each<[string, DataVolumeSpec, string]>([
    [
      'no class for an access mode',
      { source: http, storage: { ...size('1Gi'), storageClassName: 'none' } },
      'ErrClaimNotValid: PVC spec is missing accessMode and no storageClass to choose profile: there is no StorageClass none',
    ],
    [
      'a class without profile',
      { source: http, storage: { ...size('1Gi'), storageClassName: 'nfs' } },
      'ErrClaimNotValid: Spec is missing accessMode and volumeMode, cannot get access mode from StorageProfile nfs',
    ],
    [
      'a class without profile and a mode',
      { source: http, storage: { ...size('1Gi'), storageClassName: 'nfs', volumeMode: 'Block' } },
      'ErrClaimNotValid: Spec is missing accessMode and cannot get access mode from StorageProfile nfs',
    ],
    [
      'an archive in a block volume',
      { source: http, contentType: 'archive', storage: { ...size('1Gi'), volumeMode: 'Block' } },
      'ErrClaimNotValid: ContentType Archive cannot have block volumeMode',
    ],
    [
      'a size below 1 MiB',
      { source: http, storage: size('1k') },
      'ErrClaimNotValid: PVC Spec is not valid - storage size should be at least 1MiB',
    ],
    ['no size', { source: http, storage: {} }, 'ErrClaimNotValid: PVC Spec is not valid - missing storage size'],
    [
      'neither pvc nor storage',
      { source: http },
      'ErrClaimNotValid: datavolume one of {pvc, storage} field is required',
    ],
  ])('is not made for %s', (_name, spec, problem) => {
    expect(problemOf(spec)).toBe(problem);
  });
});

describe('the profile of a class', () => {
  const rbd = storageClass('rbd', 'rbd.csi.ceph.com');
  const profile = (name: string, spec: StorageProfile['spec'], notes = {}): StorageProfile => ({
    ...{ apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'StorageProfile', metadata: { name, annotations: notes }, spec },
  });
  const shared: StorageProfile['spec'] = {
    claimPropertySets: [
      { accessModes: ['ReadWriteMany'], volumeMode: 'Filesystem' },
      { accessModes: ['ReadWriteOnce'], volumeMode: 'Block' },
    ],
  };
  const around: ClaimContext = {
    storageClasses: [longshore, nfs, rbd],
    storageProfiles: [
      profile('nfs', shared),
      profile('longshore', {}, { [annotations.minimumSupportedPvcSize]: '2Gi' }),
    ],
  };
  const modesOf = (storage: DataVolumeSpec['storage']) => {
    const { accessModes, volumeMode } = render(
      { source: http, storage: { ...size('1Gi'), ...storage } },
      {},
      around,
    ).spec;
    return [accessModes, volumeMode];
  };

  test('gives a claim the modes that its DataVolume leaves open', () => {
    expect(modesOf({ storageClassName: 'nfs' })).toEqual([['ReadWriteMany'], 'Filesystem']);
    expect(modesOf({ storageClassName: 'nfs', volumeMode: 'FromStorageProfile' })).toEqual([
      ['ReadWriteMany'],
      'Filesystem',
    ]);
    expect(modesOf({ storageClassName: 'nfs', volumeMode: 'Block' })).toEqual([['ReadWriteOnce'], 'Block']);
    expect(modesOf({ storageClassName: 'nfs', accessModes: ['ReadWriteOnce'] })).toEqual([['ReadWriteOnce'], 'Block']);
    expect(modesOf({ storageClassName: 'nfs', accessModes: ['ReadOnlyMany'] })).toEqual([
      ['ReadOnlyMany'],
      'Filesystem',
    ]);
  });

  test('need not be there for a class whose provisioner is known', () => {
    expect(modesOf({ storageClassName: 'rbd' })).toEqual([['ReadWriteMany'], 'Block']);
  });

  test('raises what is smaller than the class can make', () => {
    const sizeOf = (storage: string) =>
      render({ source: http, storage: size(storage) }, {}, around).spec.resources?.requests?.['storage'];
    expect([sizeOf('1Gi'), sizeOf('3Gi')]).toEqual(['2Gi', '3Gi']);
  });
});

describe('a volume that is named', () => {
  const named = { ...size('1Gi'), accessModes: ['ReadWriteOnce'], volumeName: 'pvc-1' };

  test('is refused for a class of ours, whose volumes are made for their claims', () => {
    const expected =
      'ErrClaimNotValid: PVC Spec is not valid - volumeName pvc-1: a volume of class longshore is made for its claim and cannot be named';
    expect(problemOf({ source: http, pvc: named })).toBe(expected);
    expect(problemOf({ source: http, storage: named })).toBe(expected);
  });

  test('is taken for any other class', () => {
    expect(render({ source: http, pvc: { ...named, storageClassName: 'nfs' } }).spec.volumeName).toBe('pvc-1');
  });
});
