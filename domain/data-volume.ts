// DataVolume of cdi.kubevirt.io/v1beta1: one schema that gives the type, the validation, the OpenAPI page and the CRD.
// Field names are CDI's. What CDI does not have lies under `status.longshore`.
import { type Static, Type } from 'typebox';
import {
  AccessMode,
  ClaimSpec,
  Condition,
  ResourceRequirements,
  TypedLocalObjectReference,
  TypedObjectReference,
} from './kube-shapes.ts';
import type { KubeObject, ObjectMeta } from './object-store.ts';

const text = (description: string) => Type.String({ description });

export const HttpSource = Type.Object(
  {
    url: text('http or https URL of the image'),
    secretRef: Type.Optional(text('secret with accessKeyId and secretKey, sent as basic authentication')),
    certConfigMap: Type.Optional(
      text('config map whose values are PEM certificates of CAs to trust besides those of the system'),
    ),
    extraHeaders: Type.Optional(Type.Array(Type.String(), { description: 'header lines `Name: value` to send' })),
    secretExtraHeaders: Type.Optional(
      Type.Array(Type.String(), { description: 'secrets, each value of which is a header line' }),
    ),
    checksum: Type.Optional(text('`algorithm:hex` of the bytes as served; md5, sha1, sha256 or sha512')),
    insecureSkipVerify: Type.Optional(Type.Boolean({ description: 'do not verify the certificate of the server' })),
  },
  { description: 'an image served over HTTP' },
);

const S3Source = Type.Object(
  {
    url: text('URL of the object'),
    secretRef: Type.Optional(Type.String()),
    certConfigMap: Type.Optional(Type.String()),
  },
  { description: 'an object of an S3 store' },
);

const GcsSource = Type.Object(
  { url: text('gs:// or https URL of the object'), secretRef: Type.Optional(Type.String()) },
  { description: 'an object of Google Cloud Storage' },
);

export const RegistrySource = Type.Object(
  {
    url: Type.Optional(text('docker://host/repository:tag or oci-archive:path')),
    imageStream: Type.Optional(Type.String()),
    pullMethod: Type.Optional(text('pod or node')),
    secretRef: Type.Optional(Type.String()),
    certConfigMap: Type.Optional(Type.String()),
    platform: Type.Optional(Type.Object({ architecture: Type.Optional(Type.String()) })),
  },
  { description: 'a container disk in an image registry' },
);

const NamedSource = (description: string) =>
  Type.Object({ namespace: Type.String(), name: Type.String() }, { description });

export const ImageioSource = Type.Object(
  {
    url: Type.String(),
    diskId: Type.String(),
    secretRef: Type.Optional(Type.String()),
    certConfigMap: Type.Optional(Type.String()),
    insecureSkipVerify: Type.Optional(Type.Boolean()),
  },
  { description: 'a disk of an oVirt engine' },
);

export const VddkSource = Type.Object(
  {
    url: Type.Optional(Type.String()),
    uuid: Type.Optional(Type.String()),
    backingFile: Type.Optional(Type.String()),
    thumbprint: Type.Optional(Type.String()),
    secretRef: Type.Optional(Type.String()),
    certConfigMap: Type.Optional(Type.String()),
    initImageURL: Type.Optional(Type.String()),
    extraArgs: Type.Optional(Type.String()),
  },
  { description: 'a disk of VMware' },
);

export const DataVolumeSource = Type.Object(
  {
    http: Type.Optional(HttpSource),
    s3: Type.Optional(S3Source),
    gcs: Type.Optional(GcsSource),
    registry: Type.Optional(RegistrySource),
    pvc: Type.Optional(NamedSource('a claim to clone')),
    upload: Type.Optional(Type.Object({}, { description: 'bytes that a client uploads' })),
    blank: Type.Optional(Type.Object({}, { description: 'an empty disk' })),
    imageio: Type.Optional(ImageioSource),
    vddk: Type.Optional(VddkSource),
    snapshot: Type.Optional(NamedSource('a volume snapshot to clone')),
  },
  { description: 'where the content comes from; exactly one member is set' },
);
export type DataVolumeSource = Static<typeof DataVolumeSource>;

const StorageSpec = Type.Object(
  {
    accessModes: Type.Optional(Type.Array(AccessMode)),
    selector: Type.Optional(Type.Unknown()),
    resources: Type.Optional(ResourceRequirements),
    volumeName: Type.Optional(Type.String()),
    storageClassName: Type.Optional(Type.String()),
    volumeMode: Type.Optional(text('Filesystem, Block or FromStorageProfile')),
    dataSource: Type.Optional(TypedLocalObjectReference),
    dataSourceRef: Type.Optional(TypedObjectReference),
  },
  { description: 'the claim to make; missing parts come from the storage profile' },
);

export const DataVolumeSpec = Type.Object(
  {
    source: Type.Optional(DataVolumeSource),
    sourceRef: Type.Optional(
      Type.Object(
        { kind: Type.String(), namespace: Type.Optional(Type.String()), name: Type.String() },
        { description: 'a DataSource that names the source' },
      ),
    ),
    pvc: Type.Optional(ClaimSpec),
    storage: Type.Optional(StorageSpec),
    priorityClassName: Type.Optional(Type.String()),
    serviceAccountName: Type.Optional(Type.String()),
    contentType: Type.Optional(text('kubevirt (a disk image, the default) or archive')),
    checkpoints: Type.Optional(Type.Array(Type.Object({ previous: Type.String(), current: Type.String() }))),
    finalCheckpoint: Type.Optional(Type.Boolean()),
    preallocation: Type.Optional(Type.Boolean({ description: 'allocate all blocks of the volume' })),
  },
  { description: 'what is to be in the volume, and the volume itself' },
);
export type DataVolumeSpec = Static<typeof DataVolumeSpec>;

/** What Longshore tells beyond CDI. Every member is absent until it is known. */
export const LongshoreStatus = Type.Object(
  {
    volumeId: Type.Optional(text('server-made id of the volume')),
    node: Type.Optional(text('node whose worker owns the volume')),
    attempt: Type.Optional(Type.Integer({ description: 'number of the attempt that owns the volume, from 1' })),
    step: Type.Optional(text('step of the attempt that runs: probe, plan, transfer, convert, verify, resize, commit')),
    bytesDone: Type.Optional(Type.Integer({ description: 'bytes of the source read in this attempt' })),
    bytesTotal: Type.Optional(Type.Integer({ description: 'bytes of the source, absent where unknown' })),
    bytesFetched: Type.Optional(Type.Integer({ description: 'bytes read from the source in all attempts' })),
    bytesPerSecond: Type.Optional(Type.Integer()),
    etaSeconds: Type.Optional(Type.Integer()),
    virtualSize: Type.Optional(Type.Integer({ description: 'size in bytes that the guest sees' })),
    allocatedBytes: Type.Optional(Type.Integer({ description: 'bytes allocated on the pool at commit' })),
    format: Type.Optional(text('format of the source as found, such as qcow2 or raw.gz')),
    strategy: Type.Optional(text('how the bytes went: stream, nbd, staged, reflink, copy, blank')),
    verified: Type.Optional(text('digest, length, reflink or none: what the content was checked against')),
    contentDigest: Type.Optional(text('tree hash of the content at commit; see docs/digests.md')),
    sourceDigest: Type.Optional(text('`sha256:hex` of the bytes of the source, or `rangeRead` with the validator')),
    committedAt: Type.Optional(text('time of the commit, to which the digests refer')),
    requester: Type.Optional(text('who asked for a clone')),
    nextAttemptAt: Type.Optional(text('time of the next attempt, where one is planned')),
    fault: Type.Optional(
      Type.Object(
        { code: Type.String(), detail: Type.String(), retryable: Type.Boolean(), nextStep: Type.String() },
        { description: 'why the last attempt failed; docs/generated/errors.md lists the codes' },
      ),
    ),
    phases: Type.Optional(
      Type.Array(Type.Object({ step: Type.String(), seconds: Type.Number(), bytes: Type.Integer() }), {
        description: 'seconds and bytes of each step of the attempt that succeeded',
      }),
    ),
  },
  { description: 'what Longshore tells beyond CDI' },
);
export type LongshoreStatus = Static<typeof LongshoreStatus>;

export const DataVolumeStatus = Type.Object(
  {
    claimName: Type.Optional(Type.String()),
    phase: Type.Optional(text('where the DataVolume is in its life')),
    progress: Type.Optional(text('percentage such as 45.34%, or N/A')),
    restartCount: Type.Optional(Type.Integer({ description: 'number of attempts after the first' })),
    conditions: Type.Optional(Type.Array(Condition)),
    longshore: Type.Optional(LongshoreStatus),
  },
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
