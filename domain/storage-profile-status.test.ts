import { describe, expect, test } from 'vitest';
import { annotations, provisionerName } from './annotations.ts';
import type { StorageProfile } from './custom-resources/storage-profile.ts';
import { recognizeProvisioner } from './known-provisioners.ts';
import type { PersistentVolume, StorageClass, VolumeSnapshotClass } from './kube-shapes.ts';
import { byChannel } from './provisioning.ts';
import { claimPropertySets, smallestClaimBytes } from './storage-defaults.ts';
import { type StorageProfileFacts, storageProfileStatus } from './storage-profile-status.ts';

const classOf = (provisioner: string, parameters: Record<string, string> = {}): StorageClass => ({
  ...{ apiVersion: 'storage.k8s.io/v1', kind: 'StorageClass', metadata: { name: 'fast' } },
  ...{ provisioner, parameters },
});

const profile = (spec: StorageProfile['spec'] = {}, status?: StorageProfile['status']): StorageProfile => ({
  ...{ apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'StorageProfile', metadata: { name: 'fast' }, spec },
  ...(status === undefined ? {} : { status }),
});

const snapshots = (name: string, driver: string, isDefault = false): VolumeSnapshotClass => ({
  ...{ apiVersion: 'snapshot.storage.k8s.io/v1', kind: 'VolumeSnapshotClass', driver },
  metadata: {
    name,
    annotations: isDefault ? { 'snapshot.storage.kubernetes.io/is-default-class': 'true' } : {},
  },
});

const facts: StorageProfileFacts = {
  ...{ provisioning: byChannel, snapshotClasses: [], volumes: [] },
  now: new Date('2026-03-04T05:06:07.890Z'),
};

const shorten = { ReadWriteOnce: 'RWO', ReadWriteMany: 'RWX', ReadOnlyMany: 'ROX' } as Record<string, string>;

/** As the table of CDI's facts writes them: `RWX b, RWO f`. */
function offersOf(storageClass: StorageClass): string {
  return claimPropertySets(storageClass, undefined)
    .map(({ accessModes, volumeMode }) => `${accessModes.map((mode) => shorten[mode])} ${volumeMode[0]?.toLowerCase()}`)
    .join(', ');
}

describe('a known provisioner', () => {
  test.for<[string, Record<string, string>, string, string, string]>([
    ['kubevirt.io.hostpath-provisioner', {}, 'RWO f', '', ''],
    ['kubevirt.io.hostpath-provisioner', { overlayCSI: 'x' }, 'RWX f', '', ''],
    ['nfs.csi.k8s.io', {}, 'RWX f', '', ''],
    ['rbd.csi.ceph.com', {}, 'RWX b, RWO b, RWO f', 'csi-clone', ''],
    ['openshift-storage.cephfs.csi.ceph.com', {}, 'RWX f, RWO f', 'csi-clone', ''],
    ['linstor.csi.linbit.com', {}, 'RWX b, RWO b, RWO f, ROX b, ROX f', '', ''],
    ['csi-unity.dellemc.com', { protocol: 'NFS' }, 'RWX f, RWO f, ROX f', '', ''],
    ['csi-powermax.dellemc.com', {}, 'RWX b, RWO b, RWO f, ROX b', 'csi-clone', ''],
    ['csi-powerstore.dellemc.com', { 'csi.storage.k8s.io/fstype': 'nfs' }, 'RWX f, RWO f, ROX f', '', ''],
    ['csi-powerstore.dellemc.com', {}, 'RWX b, RWO b, RWO f, ROX b', 'copy', ''],
    ['ebs.csi.aws.com', {}, 'RWO b', '', ''],
    ['ebs.csi.aws.com', { type: 'io2' }, 'RWX b, RWO b, RWO f', '', '4Gi'],
    ['ebs.csi.aws.com', { type: 'gp3' }, 'RWO b', '', '1Gi'],
    ['pd.csi.storage.gke.io', {}, 'RWO b, RWO f', 'snapshot', ''],
    ['pd.csi.storage.gke.io', { type: 'hyperdisk-balanced' }, 'RWX b, RWO b, RWO f', 'snapshot', '4Gi'],
    ['pxd.portworx.com', {}, 'RWX b, RWX f, RWO b, RWO f', 'csi-clone', ''],
    ['pxd.portworx.com', { sharedv4_mount_options: 'vers=3.0,nolock' }, 'RWX f, RWO f', 'csi-clone', ''],
    ['pxd.portworx.com', { backend: 'pure_block' }, 'RWX b, RWO b, RWO f', 'csi-clone', ''],
    ['csi.trident.netapp.io', { backendType: 'ontap-nas-economy' }, 'RWX f, RWO f', 'snapshot', ''],
    ['csi.trident.netapp.io', { backendType: 'ontap-san' }, 'RWX b', 'snapshot', ''],
    [
      'csi.trident.netapp.io',
      { backendType: 'google-cloud-netapp-volumes', selector: 'zone=a; performance=flex' },
      ...(['RWX f, RWO f', 'snapshot', '1Gi'] as const),
    ],
    ['infinibox-csi-driver', { storage_protocol: 'fc' }, 'RWX b, RWO b, RWO f', 'csi-clone', ''],
    ['csi.vsphere.vmware.com', { 'csi.storage.k8s.io/fstype': 'nfs4' }, 'RWX f, RWO b, RWO f', '', ''],
    ['driver.longhorn.io', { migratable: 'true', fsType: 'ext4' }, 'RWX b, RWO b', '', ''],
    ['driver.longhorn.io', { fsType: 'ext4' }, 'RWO f', '', ''],
    ['topolvm.io', {}, 'RWO b, RWO f', 'copy', ''],
  ])('%s with %o offers %s', ([provisioner, parameters, offers, strategy, smallest]) => {
    const storageClass = classOf(provisioner, parameters);
    const known = recognizeProvisioner(storageClass);
    if (typeof known === 'string') throw new Error(known);
    expect([offersOf(storageClass), known.cloneStrategy ?? '', known.smallestClaim ?? '']).toEqual([
      offers,
      strategy,
      smallest,
    ]);
  });

  test('is told apart from one whose parameters say nothing, and from one that nobody knows', () => {
    expect(recognizeProvisioner(classOf('csi.trident.netapp.io'))).toBe('UnrecognizedStorageClassParameters');
    expect(recognizeProvisioner(classOf('filler.example'))).toBe('UnrecognizedProvisioner');
    expect(offersOf(classOf('filler.example'))).toBe('');
  });
});

describe('our own class', () => {
  test('offers Block volumes on one machine and by the CSI driver', () => {
    const own = classOf(provisionerName);
    expect(offersOf(own)).toBe('RWO f, RWO b');
    const byCsi = { by: 'csi', driver: provisionerName } as const;
    expect(claimPropertySets(own, undefined, byCsi)).toEqual(claimPropertySets(own, undefined));
  });
});

describe('the status of a profile', () => {
  test('tells all that is known of the class', () => {
    expect(storageProfileStatus(classOf('rook-ceph.rbd.csi.ceph.com'), profile(), facts)).toEqual({
      storageClass: 'fast',
      provisioner: 'rook-ceph.rbd.csi.ceph.com',
      claimPropertySets: [
        { accessModes: ['ReadWriteMany'], volumeMode: 'Block' },
        { accessModes: ['ReadWriteOnce'], volumeMode: 'Block' },
        { accessModes: ['ReadWriteOnce'], volumeMode: 'Filesystem' },
      ],
      cloneStrategy: 'csi-clone',
      dataImportCronSourceFormat: 'pvc',
      conditions: [
        {
          ...{ type: 'Recognized', status: 'True', reason: 'RecognizedProvisioner' },
          lastTransitionTime: '2026-03-04T05:06:07Z',
        },
      ],
    });
  });

  test('says what its spec asks for before what is known', () => {
    const spec: StorageProfile['spec'] = {
      claimPropertySets: [{ accessModes: ['ReadWriteMany'], volumeMode: 'Filesystem' }],
      ...{ cloneStrategy: 'copy', dataImportCronSourceFormat: 'snapshot' },
    };
    expect(storageProfileStatus(classOf('rbd.csi.ceph.com'), profile(spec), facts)).toMatchObject(spec);
    expect(storageProfileStatus(classOf('filler.example'), profile(spec), facts)).toMatchObject(spec);
  });

  test('keeps the time of its condition until that changes', () => {
    const condition = { type: 'Recognized', status: 'False', lastTransitionTime: '2020-01-01T00:00:00Z' };
    const former = profile({}, { conditions: [condition] });
    expect(storageProfileStatus(classOf('filler.example'), former, facts).conditions).toEqual([
      { ...condition, reason: 'UnrecognizedProvisioner' },
    ]);
    expect(storageProfileStatus(classOf('nfs.csi.k8s.io'), former, facts).conditions).toMatchObject([
      { status: 'True', lastTransitionTime: '2026-03-04T05:06:07Z' },
    ]);
  });

  test.for<[string, StorageProfile['spec'], VolumeSnapshotClass[], string | undefined]>([
    ['none of the driver', {}, [snapshots('other', 'other.example')], undefined],
    ['the first by name', {}, [snapshots('b', 'filler.example'), snapshots('a', 'filler.example')], 'a'],
    ['the default one', {}, [snapshots('a', 'filler.example'), snapshots('b', 'filler.example', true)], 'b'],
    [
      'the one that is asked for',
      { snapshotClass: 'a' },
      [snapshots('a', 'filler.example'), snapshots('b', 'filler.example', true)],
      'a',
    ],
  ])('names as its snapshot class %s', ([, spec, snapshotClasses, chosen]) => {
    const status = storageProfileStatus(classOf('filler.example'), profile(spec), { ...facts, snapshotClasses });
    expect([status.snapshotClass, status.cloneStrategy]).toEqual([chosen, chosen === undefined ? 'copy' : 'snapshot']);
  });

  test('takes the clone strategy that the class names', () => {
    const storageClass = classOf('rbd.csi.ceph.com');
    storageClass.metadata.annotations = { [annotations.cloneStrategy]: 'copy' };
    expect(storageProfileStatus(storageClass, profile(), facts).cloneStrategy).toBe('copy');
  });

  test('keeps imports as snapshots where the provisioner is faster so, and snapshots can be made', () => {
    const storageClass = classOf('pd.csi.storage.gke.io');
    const snapshotClasses = [snapshots('a', 'pd.csi.storage.gke.io')];
    expect(storageProfileStatus(storageClass, profile(), facts).dataImportCronSourceFormat).toBe('pvc');
    const able = storageProfileStatus(storageClass, profile(), { ...facts, snapshotClasses });
    expect(able.dataImportCronSourceFormat).toBe('snapshot');
  });

  test('offers what the volumes of a class without a provisioner offer, each once', () => {
    const volume = (name: string, storageClassName: string, accessModes: string[], volumeMode?: string) => ({
      ...{ apiVersion: 'v1' as const, kind: 'PersistentVolume' as const, metadata: { name } },
      spec: { storageClassName, accessModes, ...(volumeMode === undefined ? {} : { volumeMode }) },
    });
    const volumes: PersistentVolume[] = [
      volume('a', 'fast', ['ReadWriteOnce'], 'Block'),
      volume('b', 'fast', ['ReadWriteOnce', 'ReadOnlyMany']),
      volume('c', 'fast', ['ReadWriteOnce']),
      volume('d', 'slow', ['ReadWriteMany']),
    ];
    const byHand = classOf('kubernetes.io/no-provisioner');
    const status = storageProfileStatus(byHand, profile(), { ...facts, volumes });
    expect(status.claimPropertySets).toEqual([
      { accessModes: ['ReadOnlyMany'], volumeMode: 'Filesystem' },
      { accessModes: ['ReadWriteOnce'], volumeMode: 'Block' },
      { accessModes: ['ReadWriteOnce'], volumeMode: 'Filesystem' },
    ]);
    expect(status.conditions).toMatchObject([{ status: 'True', reason: 'RecognizedProvisioner' }]);
    expect(claimPropertySets(byHand, profile({}, status))).toEqual(status.claimPropertySets);
    // Those that are gone are not offered again.
    expect(storageProfileStatus(byHand, profile({}, status), facts)).toMatchObject({
      conditions: [{ status: 'False', reason: 'UnrecognizedProvisioner' }],
    });
  });
});

describe('the smallest claim', () => {
  test('is what the profile says, else what is known, else anything', () => {
    const told = profile();
    told.metadata.annotations = { [annotations.minimumSupportedPvcSize]: '2Gi' };
    const flex = classOf('ebs.csi.aws.com', { type: 'io1' });
    expect([smallestClaimBytes(flex, told), smallestClaimBytes(flex, profile())]).toEqual([2 * 2 ** 30, 4 * 2 ** 30]);
    expect(smallestClaimBytes(classOf('filler.example'), undefined)).toBe(0);
  });
});
