// The claim of a DataVolume with `storage`: what the class, its profile and the size of the source decide.
import { describe, expect, test } from 'vitest';
import { context, http, longshore, nfs, problemOf, render, size, storageClass } from '../test/rendered-claims.ts';
import { annotations } from './annotations.ts';
import type { StorageProfile } from './custom-resources/storage-profile.ts';
import type { DataVolumeSpec } from './data-volume.ts';
import type { Claim } from './kube-shapes.ts';
import type { ClaimContext } from './render-claim.ts';

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

  test.each([
    ['Filesystem', 'Filesystem', '1048577'],
    ['Filesystem', 'Block', '1048577'],
    ['Block', 'Filesystem', '1028Ki'],
    ['Block', 'Block', '1028Ki'],
  ] as const)('takes what a clone of a %s source into a %s claim needs', (from, volumeMode, expected) => {
    const cloneSource: Claim = {
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: { name: 'golden' },
      spec: { ...size('1048577'), volumeMode: from },
      status: { phase: 'Bound', capacity: { storage: from === 'Block' ? '1028Ki' : '1048577' } },
    };
    const source = { pvc: { namespace: 'theirs', name: 'golden' } };
    const { spec } = render({ source, storage: { volumeMode } }, {}, { ...context, cloneSource });
    expect([spec.volumeMode, spec.resources]).toEqual([volumeMode, size(expected).resources]);
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
