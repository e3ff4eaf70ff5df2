// What is known of storage provisioners, so that a claim gets an access mode and a volume mode that its class has: the table of CDI's
// pkg/storagecapabilities, one row a provisioner or a variant of it that the parameters of the class tell. The first row that fits counts.
import type { StorageClass } from './kube-shapes.ts';

export type VolumeMode = 'Filesystem' | 'Block';

export interface ClaimProperties {
  readonly accessModes: string[];
  readonly volumeMode: VolumeMode;
}

export type CloneStrategy = 'copy' | 'snapshot' | 'csi-clone';

export interface KnownProvisioner {
  readonly names: readonly string[];
  /** Whether the parameters of the class are those of this variant. Default: they are. */
  readonly fits?: (parameters: Readonly<Record<string, string>>) => boolean;
  /** The preferred first. */
  readonly offers: readonly ClaimProperties[];
  readonly cloneStrategy?: CloneStrategy;
  /** Smaller claims are refused by the provisioner. A quantity. */
  readonly smallestClaim?: string;
  /** Its clones are made faster from one snapshot than from one claim. */
  readonly keepsSnapshots?: true;
}

const longModes = { RWO: 'ReadWriteOnce', ROX: 'ReadOnlyMany', RWX: 'ReadWriteMany' } as const;
type ShortMode = keyof typeof longModes;

const block = (...modes: ShortMode[]) => modes.map((mode) => properties(mode, 'Block'));
const files = (...modes: ShortMode[]) => modes.map((mode) => properties(mode, 'Filesystem'));

function properties(mode: ShortMode, volumeMode: 'Block' | 'Filesystem'): ClaimProperties {
  return { accessModes: [longModes[mode]], volumeMode };
}

const ownFiles = files('RWO');
const ownBlock = block('RWO');
const sharedFiles = files('RWX', 'RWO');
const sharedBlock = [...block('RWX', 'RWO'), ...files('RWO')];
const allFiles = files('RWX', 'RWO', 'ROX');
const allButSharedFiles = [...sharedBlock, ...block('ROX'), ...files('ROX')];
const blockAndFiles = [...ownBlock, ...ownFiles];

const isOneOf = (name: string, ...values: string[]) => {
  return (parameters: Readonly<Record<string, string>>) => values.includes((parameters[name] ?? '').toLowerCase());
};
const isNfs = isOneOf('csi.storage.k8s.io/fstype', 'nfs');

function isSharedByNfs(parameters: Readonly<Record<string, string>>): boolean {
  const options = (parameters['sharedv4_mount_options'] ?? '').split(',');
  return parameters['backend'] === undefined && options.includes('vers=3.0') && options.includes('nolock');
}

function isGoogleFlex({ backendType, selector = '' }: Readonly<Record<string, string>>): boolean {
  return backendType === 'google-cloud-netapp-volumes' && selector.split(/\s*[;,]\s*/).includes('performance=flex');
}

const csiClone = { cloneStrategy: 'csi-clone' } as const;
const bySnapshot = { cloneStrategy: 'snapshot', keepsSnapshots: true } as const;
const byCopy = { cloneStrategy: 'copy' } as const;

const hyperdisks = ['hyperdisk-balanced', 'hyperdisk-balanced-high-availability'];
const rookBlock = ['rook-ceph.rbd.csi.ceph.com', 'openshift-storage.rbd.csi.ceph.com'];
const cephFiles = ['cephfs.csi.ceph.com', 'rook-ceph.cephfs.csi.ceph.com', 'openshift-storage.cephfs.csi.ceph.com'];
const pathsOfNodes = [
  'kubevirt.io.hostpath-provisioner',
  'kubevirt.io/hostpath-provisioner',
  'k8s.io/minikube-hostpath',
];

const rows: readonly KnownProvisioner[] = [
  // Directories of nodes, and network file systems
  { names: [pathsOfNodes[0] ?? ''], fits: (given) => given['overlayCSI'] !== undefined, offers: files('RWX') },
  { names: [...pathsOfNodes, 'kubernetes.io/storageos', 'storageos', 'directpv-min-io'], offers: ownFiles },
  { names: ['nfs.csi.k8s.io', 'k8s-sigs.io/nfs-subdir-external-provisioner'], offers: files('RWX') },
  // Ceph
  { names: ['kubernetes.io/rbd'], offers: sharedBlock },
  { names: ['rbd.csi.ceph.com'], offers: sharedBlock, ...csiClone },
  { names: rookBlock, offers: sharedBlock, ...csiClone, keepsSnapshots: true },
  { names: cephFiles, offers: sharedFiles, ...csiClone },
  // Arrays
  { names: ['csi-unity.dellemc.com', 'csi.huawei.com'], fits: isOneOf('protocol', 'nfs'), offers: allFiles },
  { names: ['linstor.csi.linbit.com', 'csi-unity.dellemc.com', 'csi.huawei.com'], offers: allButSharedFiles },
  {
    names: ['csi-vxflexos.dellemc.com', 'csi-powermax.dellemc.com', 'csi-powerstore.dellemc.com'],
    ...{ fits: isNfs, offers: allFiles },
  },
  { names: ['csi-isilon.dellemc.com'], offers: allFiles, ...csiClone },
  { names: ['csi-vxflexos.dellemc.com'], offers: allButSharedFiles, ...csiClone },
  { names: ['csi-powermax.dellemc.com'], offers: [...sharedBlock, ...block('ROX')], ...csiClone },
  { names: ['csi-powerstore.dellemc.com'], offers: [...sharedBlock, ...block('ROX')], ...byCopy },
  { names: ['hspc.csi.hitachi.com'], offers: sharedBlock, ...csiClone, smallestClaim: '1Gi' },
  { names: ['xspc.csi.hpe.com'], offers: [], smallestClaim: '1Gi' },
  { names: ['csi.hpe.com', 'block.csi.ibm.com'], offers: sharedBlock, ...csiClone },
  { names: ['spectrumscale.csi.ibm.com'], offers: sharedFiles, ...csiClone },
  {
    names: ['infinibox-csi-driver'],
    ...{ fits: isOneOf('storage_protocol', 'iscsi', 'fc', 'nvme'), offers: sharedBlock, ...csiClone },
  },
  {
    names: ['infinibox-csi-driver'],
    ...{ fits: isOneOf('storage_protocol', 'nfs', 'nfs_treeq'), offers: sharedFiles, ...csiClone },
  },
  {
    names: ['csi.san.synology.com'],
    ...{ fits: isOneOf('protocol', 'iscsi'), offers: sharedBlock, ...csiClone, smallestClaim: '1Gi' },
  },
  {
    names: ['csi.san.synology.com'],
    ...{ fits: isOneOf('protocol', 'nfs', 'smb'), offers: sharedFiles, ...csiClone, smallestClaim: '1Gi' },
  },
  {
    names: ['csi.trident.netapp.io'],
    fits: ({ backendType = '' }) => backendType.startsWith('ontap-nas'),
    ...{ offers: sharedFiles, ...bySnapshot },
  },
  {
    names: ['csi.trident.netapp.io'],
    fits: ({ backendType = '' }) => backendType.startsWith('ontap-san'),
    ...{ offers: block('RWX'), ...bySnapshot },
  },
  {
    names: ['csi.trident.netapp.io'],
    ...{ fits: isGoogleFlex, offers: sharedFiles, ...bySnapshot, smallestClaim: '1Gi' },
  },
  // Clouds
  { names: ['ebs.csi.aws.com'], fits: isOneOf('type', 'io1'), offers: ownBlock, smallestClaim: '4Gi' },
  { names: ['ebs.csi.aws.com'], fits: isOneOf('type', 'io2'), offers: sharedBlock, smallestClaim: '4Gi' },
  { names: ['ebs.csi.aws.com'], fits: isOneOf('type', 'gp2', 'gp3'), offers: ownBlock, smallestClaim: '1Gi' },
  { names: ['kubernetes.io/aws-ebs', 'ebs.csi.aws.com'], offers: ownBlock },
  { names: ['efs.csi.aws.com'], offers: files('RWX') },
  { names: ['kubernetes.io/azure-disk', 'disk.csi.azure.com'], offers: ownBlock },
  { names: ['kubernetes.io/azure-file', 'file.csi.azure.com', 'manila.csi.openstack.org'], offers: files('RWX') },
  { names: ['kubernetes.io/gce-pd'], offers: blockAndFiles },
  {
    names: ['pd.csi.storage.gke.io'],
    ...{ fits: isOneOf('type', ...hyperdisks), offers: sharedBlock, ...bySnapshot, smallestClaim: '4Gi' },
  },
  { names: ['pd.csi.storage.gke.io'], offers: blockAndFiles, ...bySnapshot },
  { names: ['vpc.block.csi.ibm.io'], offers: blockAndFiles, ...byCopy },
  {
    names: ['vpc.file.csi.ibm.io'],
    ...{ fits: isOneOf('profile', 'dp2'), offers: sharedFiles, ...bySnapshot, smallestClaim: '10Gi' },
  },
  {
    names: ['vpc.file.csi.ibm.io'],
    ...{ fits: isOneOf('profile', 'rfs'), offers: sharedFiles, ...bySnapshot, smallestClaim: '1Gi' },
  },
  { names: ['vpc.file.csi.ibm.io'], offers: sharedFiles, ...bySnapshot },
  { names: ['blockvolume.csi.oraclecloud.com'], offers: sharedBlock, ...csiClone },
  { names: ['cinder.csi.openstack.org', 'csi.ovirt.org'], offers: blockAndFiles },
  // Storage made of software
  { names: ['kubernetes.io/portworx-volume'], fits: isSharedByNfs, offers: sharedFiles },
  { names: ['pxd.portworx.com'], fits: isSharedByNfs, offers: sharedFiles, ...csiClone },
  { names: ['pxd.portworx.com'], fits: isOneOf('backend', 'pure_block'), offers: sharedBlock, ...csiClone },
  { names: ['pxd.portworx.com'], fits: isOneOf('backend', 'pure_fa_file'), offers: sharedFiles, ...csiClone },
  {
    names: ['kubernetes.io/portworx-volume'],
    offers: [...block('RWX'), ...files('RWX'), ...block('RWO'), ...files('RWO')],
  },
  {
    names: ['pxd.portworx.com'],
    ...{ offers: [...block('RWX'), ...files('RWX'), ...block('RWO'), ...files('RWO')], ...csiClone },
  },
  { names: ['topolvm.cybozu.com', 'topolvm.io'], offers: blockAndFiles, ...byCopy },
  {
    names: ['csi.vsphere.vmware.com'],
    fits: (given) => (given['csi.storage.k8s.io/fstype'] ?? '').toLowerCase().includes('nfs'),
    offers: [...files('RWX'), ...blockAndFiles],
  },
  { names: ['csi.vsphere.vmware.com'], offers: blockAndFiles },
  { names: ['kubesan.gitlab.io'], offers: [...block('RWX', 'ROX', 'RWO'), ...ownFiles], ...csiClone },
  { names: ['driver.longhorn.io'], fits: isOneOf('migratable', 'true'), offers: block('RWX', 'RWO') },
  { names: ['driver.longhorn.io'], fits: (given) => (given['nfsOptions'] ?? '') !== '', offers: sharedFiles },
  { names: ['driver.longhorn.io'], fits: (given) => (given['fsType'] ?? '') !== '', offers: ownFiles },
  { names: ['driver.longhorn.io'], offers: ownBlock },
];

/** Classes with this provisioner bind to volumes that somebody made by hand. */
export const noProvisioner = 'kubernetes.io/no-provisioner';

/** @returns what is known, or why nothing is, as the reason of condition Recognized has it */
export function recognizeProvisioner({
  provisioner,
  parameters = {},
}: StorageClass): KnownProvisioner | 'UnrecognizedProvisioner' | 'UnrecognizedStorageClassParameters' {
  const named = rows.filter(({ names }) => names.includes(provisioner));
  const known = named.find(({ fits = () => true }) => fits(parameters));
  if (known !== undefined) return known;
  return named.length === 0 ? 'UnrecognizedProvisioner' : 'UnrecognizedStorageClassParameters';
}
