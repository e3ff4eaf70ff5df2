// DataVolume of cdi.kubevirt.io/v1beta1: one schema that gives the type, the validation, the OpenAPI page and the CRD.
// Field names are CDI's. What CDI does not have lies under `status.longshore`.
import { type Static, type TSchemaOptions, Type } from 'typebox';
import { AccessMode, ClaimSpec, claimMembers, optionalConditions } from './kube-shapes.ts';
import type { KubeObject, ObjectMeta } from './object-store.ts';
import {
  optionalFlag,
  optionalInteger,
  optionalList,
  optionalObject,
  optionalText,
  optionalTexts,
  text,
} from './schema-members.ts';

const certConfigMap = () =>
  optionalText('config map whose values are PEM certificates of CAs to trust besides those of the system');
const insecureSkipVerify = () => optionalFlag('do not verify the certificate of the server');

export const HttpSource = Type.Object(
  {
    url: text('http or https URL of the image'),
    secretRef: optionalText('secret with accessKeyId and secretKey, sent as basic authentication'),
    certConfigMap: certConfigMap(),
    extraHeaders: optionalTexts('header lines `Name: value` to send'),
    secretExtraHeaders: optionalTexts('secrets, each value of which is a header line'),
    checksum: optionalText('`algorithm:hex` of the bytes as served; md5, sha1, sha256 or sha512'),
    insecureSkipVerify: insecureSkipVerify(),
  },
  { description: 'an image served over HTTP' },
);

const S3Source = Type.Object(
  {
    url: text('URL of the object'),
    secretRef: optionalText('secret with accessKeyId and secretKey'),
    certConfigMap: certConfigMap(),
  },
  { description: 'an object of an S3 store' },
);

const GcsSource = Type.Object(
  {
    url: text('gs:// or https URL of the object'),
    secretRef: optionalText('secret with the key of a service account'),
  },
  { description: 'an object of Google Cloud Storage' },
);

export const RegistrySource = Type.Object(
  {
    url: optionalText('docker://host/repository:tag or oci-archive:path'),
    imageStream: optionalText('image stream of OpenShift, in place of a URL'),
    pullMethod: optionalText('pod (the importer pulls, the default) or node (the container runtime of the node pulls)'),
    secretRef: optionalText('secret with accessKeyId and secretKey of the registry'),
    certConfigMap: certConfigMap(),
    platform: optionalObject('which image of a multi-platform one is meant', {
      architecture: optionalText('architecture of the image, such as amd64'),
    }),
  },
  { description: 'a container disk in an image registry' },
);

export const NamedObject = (description: string) =>
  Type.Object({ namespace: text('namespace of the object'), name: text('name of the object') }, { description });

export const ImageioSource = Type.Object(
  {
    url: text('URL of the engine'),
    diskId: text('id of the disk'),
    secretRef: optionalText('secret with accessKeyId (user) and secretKey (password) of the engine'),
    certConfigMap: certConfigMap(),
    insecureSkipVerify: insecureSkipVerify(),
  },
  { description: 'a disk of an oVirt engine' },
);

export const VddkSource = Type.Object(
  {
    url: optionalText('URL of the vCenter or ESXi host'),
    uuid: optionalText('UUID of the virtual machine'),
    backingFile: optionalText('path of the disk in its datastore'),
    thumbprint: optionalText('fingerprint of the certificate of the host'),
    secretRef: optionalText('secret with accessKeyId (user) and secretKey (password) of the host'),
    certConfigMap: certConfigMap(),
    initImageURL: optionalText('image that holds the VDDK library'),
    extraArgs: optionalText('config map with further settings of the VDDK library'),
  },
  { description: 'a disk of VMware' },
);

const blank = () => optionalObject('an empty disk', {});

export const DataVolumeSource = Type.Object(
  {
    http: Type.Optional(HttpSource),
    s3: Type.Optional(S3Source),
    gcs: Type.Optional(GcsSource),
    registry: Type.Optional(RegistrySource),
    pvc: Type.Optional(NamedObject('a claim to clone')),
    upload: optionalObject('bytes that a client uploads', {}),
    blank: blank(),
    imageio: Type.Optional(ImageioSource),
    vddk: Type.Optional(VddkSource),
    snapshot: Type.Optional(NamedObject('a volume snapshot to clone')),
  },
  { description: 'where the content comes from; exactly one member is set' },
);
export type DataVolumeSource = Static<typeof DataVolumeSource>;

/** The sources that are imported: those of a VolumeImportSource. */
export const ImportSource = Type.Object(
  {
    http: Type.Optional(HttpSource),
    s3: Type.Optional(S3Source),
    registry: Type.Optional(RegistrySource),
    gcs: Type.Optional(GcsSource),
    blank: blank(),
    imageio: Type.Optional(ImageioSource),
    vddk: Type.Optional(VddkSource),
  },
  { description: 'where the content comes from; exactly one member is set' },
);

const StorageSpec = Type.Object(
  {
    accessModes: optionalList(
      AccessMode,
      'how many nodes or pods may use the volume, and whether they may write; absent for what the storage profile prefers',
    ),
    ...claimMembers,
    volumeMode: optionalText('Filesystem, Block or FromStorageProfile'),
  },
  { description: 'the claim to make; missing parts come from the storage profile' },
);

export const optionalCheckpoints = () =>
  optionalList(
    Type.Object({
      previous: text('checkpoint from which on the differences are read; empty for the first'),
      current: text('checkpoint up to which the content is read'),
    }),
    'steps of an import in several stages, the first a whole copy and each further one what has changed since',
  );
export const optionalFinalCheckpoint = () => optionalFlag('true when the last of the checkpoints stands in the list');
export const optionalPreallocation = () => optionalFlag('allocate all blocks of the volume');

export const optionalContentType = (options: TSchemaOptions = {}) =>
  optionalText('kubevirt (a disk image, the default) or archive (the files of a tar)', options);

export const DataVolumeSpec = Type.Object(
  {
    source: Type.Optional(DataVolumeSource),
    sourceRef: optionalObject('a DataSource that names the source', {
      kind: text('DataSource'),
      namespace: optionalText('namespace of the DataSource; that of the DataVolume where it is absent'),
      name: text('name of the DataSource'),
    }),
    pvc: Type.Optional(ClaimSpec),
    storage: Type.Optional(StorageSpec),
    priorityClassName: optionalText('priority class of the pods that fill the volume'),
    serviceAccountName: optionalText('service account of the pods that fill the volume'),
    contentType: optionalContentType({ enum: ['kubevirt', 'archive'] }),
    checkpoints: optionalCheckpoints(),
    finalCheckpoint: optionalFinalCheckpoint(),
    preallocation: optionalPreallocation(),
  },
  { description: 'what is to be in the volume, and the volume itself' },
);
export type DataVolumeSpec = Static<typeof DataVolumeSpec>;

/** What Longshore tells beyond CDI. Every member is absent until it is known. */
export const LongshoreStatus = Type.Object(
  {
    volumeId: optionalText('server-made id of the volume'),
    node: optionalText('node whose worker owns the volume'),
    pool: optionalText('pool of that node in which the volume lies'),
    attempt: optionalInteger('number of the attempt that owns the volume, from 1'),
    step: optionalText('step of the attempt that runs: probe, plan, transfer, convert, verify, resize, commit'),
    bytesDone: optionalInteger('bytes of the source read in this attempt'),
    bytesTotal: optionalInteger('bytes of the source, absent where unknown'),
    bytesFetched: optionalInteger('bytes read from the source in all attempts'),
    bytesPerSecond: optionalInteger('bytes of the source read per second, lately'),
    etaSeconds: optionalInteger('seconds that the attempt will still take, absent where unknown'),
    peakBytes: optionalInteger(
      'most bytes that may lie on the pool at once for it, the volume included; known before the transfer begins',
    ),
    virtualSize: optionalInteger('size in bytes that the guest sees'),
    allocatedBytes: optionalInteger('bytes allocated on the pool at commit'),
    format: optionalText('format of the source as found, such as qcow2 or raw.gz'),
    strategy: optionalText('how the bytes went: stream, nbd, staged, shared, reflink, copy, blank'),
    verified: optionalText('digest, length, reflink or none: what the content was checked against'),
    contentDigest: optionalText('tree hash of the content at commit; see docs/digests.md'),
    sourceDigest: optionalText('`sha256:hex` of the bytes of the source, or `rangeRead` with the validator'),
    committedAt: optionalText('time of the commit, to which the digests refer'),
    requester: optionalText('who asked for a clone'),
    nextAttemptAt: optionalText('time of the next attempt, where one is planned'),
    fault: optionalObject('why the last attempt failed; docs/generated/errors.md lists the codes', {
      code: text('code of the fault'),
      detail: text('what happened, in this case'),
      retryable: Type.Boolean({ description: 'may pass by itself, so that a further attempt is made' }),
      nextStep: text('what to do about it'),
    }),
    phases: optionalList(
      Type.Object({
        step: text('name of the step'),
        seconds: Type.Number({ description: 'how long it took' }),
        bytes: Type.Integer({ description: 'bytes that it dealt with', format: 'int64' }),
      }),
      'seconds and bytes of each step of the attempt that succeeded',
    ),
  },
  { description: 'what Longshore tells beyond CDI' },
);
export type LongshoreStatus = Static<typeof LongshoreStatus>;

/** What CDI tells. Texts that begin with the name of the member are CDI's own, which its clients look for. */
export const cdiStatusMembers = {
  claimName: optionalText('name of the claim'),
  phase: optionalText('where the DataVolume is in its life'),
  progress: optionalText('percentage such as 45.34%, or N/A'),
  restartCount: optionalInteger(
    'RestartCount is the number of times the pod populating the DataVolume has restarted: the number of attempts after the first',
    'int32',
  ),
  conditions: optionalConditions('Ready, Bound and Running'),
};

export const DataVolumeStatus = Type.Object(
  { ...cdiStatusMembers, longshore: Type.Optional(LongshoreStatus) },
  { description: 'DataVolumeStatus contains the current status of the DataVolume' },
);
export type DataVolumeStatus = Static<typeof DataVolumeStatus>;

export interface DataVolume extends KubeObject {
  apiVersion: 'cdi.kubevirt.io/v1beta1';
  kind: 'DataVolume';
  metadata: ObjectMeta;
  spec: DataVolumeSpec;
  status?: DataVolumeStatus;
}
