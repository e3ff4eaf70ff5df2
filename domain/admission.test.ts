// The table follows CDI's own tests/api_validation_test.go: for each manifest the text that a client sees.
import { describe, expect, test } from 'vitest';
import { checksumWish, type DataVolumeLookups, validateDataVolume } from './admission.ts';
import { annotations } from './annotations.ts';
import { admissionMessage } from './cause.ts';
import type { DataVolume, DataVolumeSpec } from './data-volume.ts';
import { readDataVolume } from './data-volume-shape.ts';
import type { Claim } from './kube-shapes.ts';

const sha256 = `sha256:${'a'.repeat(64)}`;
const http = { http: { url: 'http://www.example.com/disk.img' } };
const pvc = { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '500Mi' } } };

function dataVolumeOf(spec: unknown, wishes: Record<string, string> = {}, name = 'test-dv'): Record<string, unknown> {
  const metadata = { name, namespace: 'default', annotations: wishes };
  return { apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'DataVolume', metadata, spec };
}

function read(value: Record<string, unknown>): DataVolume {
  const result = readDataVolume(value);
  if ('causes' in result) throw new Error(JSON.stringify(result.causes));
  return result.dataVolume;
}

/** What a client is told, whether the shape or a rule refuses. */
function refusalOf(value: Record<string, unknown>, lookups: DataVolumeLookups = { operation: 'create' }): string {
  const result = readDataVolume(value);
  if ('causes' in result) return result.causes.map(({ field, message }) => `${field}: ${message}`).join(', ');
  return admissionMessage(validateDataVolume(result.dataVolume, lookups));
}

const imageio = { url: 'https://engine/', diskId: '1', secretRef: 's', certConfigMap: 'c' };
const vddk = { url: 'https://esx/', secretRef: 's', uuid: 'u', backingFile: 'b', thumbprint: 't' };
const external = (rest: object) => ({ pvc: { ...pvc, ...rest } });

const refused: readonly (readonly [string, unknown, string])[] = [
  [
    '107 http URL "invalidURL"',
    { source: { http: { url: 'invalidURL' } }, pvc },
    ' spec.source Invalid source URL: invalidURL',
  ],
  ['108 http URL empty', { source: { http: { url: '' } }, pvc }, ' spec.source source URL is empty'],
  [
    '109 s3 URL "invalidURL"',
    { source: { s3: { url: 'invalidURL' } }, pvc },
    ' spec.source Invalid source URL: invalidURL',
  ],
  ['110 s3 URL empty', { source: { s3: { url: '' } }, pvc }, ' spec.source source URL is empty'],
  [
    'a gcs URL of another scheme',
    { source: { gcs: { url: 'ftp://x/y' } }, pvc },
    ' spec.source Invalid source URL scheme: ftp://x/y',
  ],
  [
    'a file URL',
    { source: { http: { url: 'file:///etc/passwd' } }, pvc },
    ' spec.source Invalid source URL scheme: file:///etc/passwd',
  ],
  [
    'a path for a URL',
    { source: { http: { url: '/disk.img' } }, pvc },
    ' spec.source Invalid source URL scheme: /disk.img',
  ],
  [
    'a URL without host',
    { source: { http: { url: 'http:///disk.img' } }, pvc },
    ' spec.source Invalid source URL: http:///disk.img',
  ],
  [
    'a URL with a line break',
    { source: { http: { url: 'http://a/\nb' } }, pvc },
    ' spec.source Invalid source URL: http://a/\nb',
  ],
  [
    '111 pvc source, empty namespace',
    { source: { pvc: { namespace: '', name: 'a' } }, pvc },
    ' spec.source.PVC source PVC is not valid',
  ],
  [
    '112 pvc source, empty name',
    { source: { pvc: { namespace: 'a', name: '' } }, pvc },
    ' spec.source.PVC source PVC is not valid',
  ],
  [
    'a snapshot without name',
    { source: { snapshot: { namespace: 'a', name: '' } }, pvc },
    ' spec.source.Snapshot source snapshot is not valid',
  ],
  [
    '114 imageio, empty diskId',
    { source: { imageio: { ...imageio, diskId: '' } }, pvc },
    ' spec.source.Imageio source Imageio is not valid',
  ],
  [
    'imageio without CA',
    { source: { imageio: { ...imageio, certConfigMap: '' } }, pvc },
    ' spec.source.Imageio source Imageio requires CertConfigMap or InsecureSkipVerify',
  ],
  [
    '115 vddk, empty uuid',
    { source: { vddk: { ...vddk, uuid: '' } }, pvc },
    ' spec.source.VDDK source VDDK is not valid',
  ],
  [
    '116 vddk, empty backingFile',
    { source: { vddk: { ...vddk, backingFile: '' } }, pvc },
    ' spec.source.VDDK source VDDK is not valid',
  ],
  [
    '117 vddk, empty thumbprint',
    { source: { vddk: { ...vddk, thumbprint: '' } }, pvc },
    ' spec.source.VDDK source VDDK is not valid',
  ],
  ['142 sourceRef, empty kind', { sourceRef: { kind: '', name: 'a' }, pvc }, ' Missing sourceRef kind'],
  [
    '143 sourceRef of another kind',
    { sourceRef: { kind: 'no-such-kind', name: 'a' }, pvc },
    ' Unsupported sourceRef kind no-such-kind, currently only DataSource is supported',
  ],
  ['144 sourceRef, empty name', { sourceRef: { kind: 'DataSource', name: '' }, pvc }, ' Missing sourceRef name'],
  [
    '164 size 0',
    { source: http, pvc: { ...pvc, resources: { requests: { storage: '0' } } } },
    " PVC size can't be equal or less than zero",
  ],
  [
    '165 size -500m',
    { source: http, pvc: { ...pvc, resources: { requests: { storage: '-500m' } } } },
    " PVC size can't be equal or less than zero",
  ],
  [
    '166 size invalid_size',
    { source: http, pvc: { ...pvc, resources: { requests: { storage: 'invalid_size' } } } },
    'spec.pvc.resources.requests.storage: Invalid value: "invalid_size": quantities must match the regular expression \'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$\'',
  ],
  [
    'a size below 1 MiB',
    { source: http, storage: { resources: { requests: { storage: '1023Ki' } } } },
    ' Storage size should be at least 1MiB',
  ],
  [
    '283 blank archive',
    { source: { blank: {} }, contentType: 'archive', pvc },
    ' SourceType cannot be blank and the contentType be archive',
  ],
  [
    '284 contentType "invalid"',
    { source: http, contentType: 'invalid', pvc },
    ' ContentType not one of: kubevirt, archive',
  ],
  [
    '285 neither source nor sourceRef',
    { pvc },
    ' Data volume should have either Source or SourceRef, or be externally populated',
  ],
  ['286 two sources', { source: { ...http, blank: {} }, pvc }, ' Multiple Data volume sources'],
  ['287 bad http URL', { source: { http: { url: 'bad' } }, pvc }, ' spec.source Invalid source URL: bad'],
  ['288 pvc source without name', { source: { pvc: { namespace: 'a' } }, pvc }, 'spec.source.pvc.name: Required value'],
  ['290 neither pvc nor storage', { source: http }, ' Missing Data volume PVC'],
  [
    'both pvc and storage',
    { source: http, pvc, storage: {} },
    ' Duplicate storage definition, both target storage and target pvc defined',
  ],
  [
    '291 pvc without accessModes',
    { source: http, pvc: { resources: pvc.resources } },
    ' Required value: at least 1 access mode is required',
  ],
  ['292 pvc without resources', { source: http, pvc: { accessModes: pvc.accessModes } }, ' PVC size is missing'],
  [
    '293 pvc without storage request',
    { source: http, pvc: { ...pvc, resources: { requests: {} } } },
    ' PVC size is missing',
  ],
  ['298 requests missing', { source: http, pvc: { ...pvc, resources: {} } }, ' PVC size is missing'],
  ['storage without size, no clone', { source: http, storage: {} }, ' Storage size is missing'],
  [
    'pvc without size, clone',
    { source: { pvc: { namespace: 'a', name: 'b' } }, pvc: { accessModes: pvc.accessModes } },
    ' PVC size is missing',
  ],
  [
    '299 unknown access mode',
    { source: http, pvc: { ...pvc, accessModes: ['Sometimes'] } },
    ' Unsupported value: "Sometimes": supported values: "ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"',
  ],
  [
    'unknown access mode in storage',
    { source: http, storage: { ...pvc, accessModes: ['ReadWriteOnce', 'X'] } },
    ' Unsupported value: "X": supported values: "ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"',
  ],
  [
    '300 two access modes',
    { source: http, pvc: { ...pvc, accessModes: ['ReadWriteOnce', 'ReadOnlyMany'] } },
    ' PVC multiple accessModes',
  ],
  [
    '301 source and sourceRef null',
    { source: null, sourceRef: null, pvc },
    ' Data volume should have either Source or SourceRef, or be externally populated',
  ],
  ['302 http: null', { source: { http: null }, pvc }, ' Missing Data volume source'],
  [
    '307 both source and sourceRef',
    { source: http, sourceRef: { kind: 'DataSource', name: 'a' }, pvc },
    ' Data volume should have either Source or SourceRef, or be externally populated',
  ],
  [
    'a storage class name of 254 characters',
    { source: http, pvc: { ...pvc, storageClassName: 'x'.repeat(254) } },
    ' Name cannot be longer than 253 characters',
  ],
  [
    'a registry without URL',
    { source: { registry: {} }, pvc },
    ' Source registry should have either URL or ImageStream',
  ],
  [
    'a registry URL and an image stream',
    { source: { registry: { url: 'docker://x', imageStream: 'y' } }, pvc },
    ' Source registry should have either URL or ImageStream',
  ],
  [
    'docker-archive',
    { source: { registry: { url: 'docker-archive:x' } }, pvc },
    ' Illegal registry source URL scheme docker-archive:x',
  ],
  [
    'a registry URL with a line break',
    { source: { registry: { url: 'docker://\n' } }, pvc },
    ' Illegal registry source URL docker://\n',
  ],
  [
    'an unknown pull method',
    { source: { registry: { url: 'docker://x', pullMethod: 'mail' } }, pvc },
    ' ImportMethod mail is neither pod, node or ""',
  ],
  [
    'an empty image stream',
    { source: { registry: { imageStream: '', pullMethod: 'node' } }, pvc },
    ' Source registry ImageStream is not valid',
  ],
  [
    'an image stream pulled by a pod',
    { source: { registry: { imageStream: 'x' } }, pvc },
    ' Source registry ImageStream is supported only with node pull import method',
  ],
  [
    'an archive from a registry',
    { source: { registry: { url: 'docker://x' } }, contentType: 'archive', pvc },
    ' ContentType must be kubevirt when Source is Registry',
  ],
  [
    'a checksum that is none',
    { source: { http: { ...http.http, checksum: 'abc' } }, pvc },
    " Invalid checksum format: invalid checksum format: expected 'algorithm:hash', got 'abc'",
  ],
  [
    'a bad URL and a bad checksum',
    { source: { http: { url: '', checksum: 'md5:' } }, pvc },
    ' spec.source source URL is empty Invalid checksum format: checksum hash value cannot be empty',
  ],
  [
    'a data source besides a source',
    { source: http, ...external({ dataSource: { kind: 'PersistentVolumeClaim', name: 'a' } }) },
    ' External population is incompatible with Source and SourceRef',
  ],
  [
    'two data sources that differ',
    external({
      dataSource: { kind: 'PersistentVolumeClaim', name: 'a' },
      dataSourceRef: { kind: 'PersistentVolumeClaim', name: 'b' },
    }),
    ' DataSourceRef and DataSource must match',
  ],
  [
    'an empty data source',
    external({ dataSource: { kind: '', name: '' } }),
    " Required value: DataSource name Required value: DataSource kind Required value: DataSource apiGroup when kind is not 'PersistentVolumeClaim'",
  ],
  [
    'a data source in another namespace',
    external({ dataSourceRef: { kind: 'PersistentVolumeClaim', name: 'a', namespace: 'b' } }),
    ' Invalid value: DataSourceRef namespace not supported',
  ],
];

describe('a DataVolume is refused for', () => {
  test.each(refused)('%s', (_name, spec, message) => {
    expect(refusalOf(dataVolumeOf(spec))).toBe(message);
  });

  test('303 a missing spec', () => {
    const { spec: _spec, ...withoutSpec } = dataVolumeOf({});
    expect(refusalOf(withoutSpec)).toBe('spec: Required value');
  });

  test('a name of 254 characters', () => {
    const value = dataVolumeOf({ source: http, pvc }, {}, 'x'.repeat(254));
    expect(refusalOf(value)).toBe(' Name cannot be longer than 253 characters');
  });
});

const accepted: readonly (readonly [string, unknown])[] = [
  ['289 valid http', { source: http, pvc }],
  ['296 leading zero in the size', { source: http, pvc: { ...pvc, resources: { requests: { storage: '0500Mi' } } } }],
  ['a size that is a number', { source: http, pvc: { ...pvc, resources: { requests: { storage: 1_073_741_824 } } } }],
  ['upload through storage', { source: { upload: {} }, storage: { resources: { requests: { storage: '1Gi' } } } }],
  [
    'several access modes through storage',
    { source: { blank: {} }, storage: { ...pvc, accessModes: ['ReadWriteOnce', 'ReadOnlyMany'] } },
  ],
  ['a clone without size through storage', { source: { pvc: { namespace: 'a', name: 'b' } }, storage: {} }],
  ['gs://', { source: { gcs: { url: 'gs://bucket/object' } }, pvc }],
  ['docker://', { source: { registry: { url: 'docker://quay.io/x:1', pullMethod: 'node' } }, pvc }],
  [
    'imageio and vddk complete',
    { source: { imageio: { ...imageio, certConfigMap: '', insecureSkipVerify: true } }, pvc },
  ],
  ['vddk complete', { source: { vddk }, pvc }],
  ['an archive', { source: http, contentType: 'archive', pvc }],
  ['a sourceRef', { sourceRef: { kind: 'DataSource', name: 'a' }, storage: {} }],
  [
    'a claim that somebody else fills',
    external({ dataSourceRef: { apiGroup: 'x.example', kind: 'Thing', name: 'a' } }),
  ],
  ['a checksum', { source: { http: { ...http.http, checksum: ` ${sha256.toUpperCase()}` } }, pvc }],
];

describe('a DataVolume is taken with', () => {
  test.each(accepted)('%s', (_name, spec) => {
    expect(refusalOf(dataVolumeOf(spec))).toBe('');
  });
});

describe('a claim of that name', () => {
  const claim = (metadata: Partial<Claim['metadata']>): Claim => ({
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name: 'test-dv', namespace: 'default', ...metadata },
    spec: {},
  });
  const owner = (kind: string) => ({ apiVersion: 'x/v1', kind, name: 'o', uid: 'u', controller: true });
  const create = (existing: Claim, wishes = {}, adoptsClaims = false): string =>
    refusalOf(dataVolumeOf({ source: http, pvc }, wishes), { operation: 'create', claim: existing, adoptsClaims });
  const text = ' Destination PVC default/test-dv already exists';

  test('207 that nobody owns, or something else, refuses', () => {
    expect(create(claim({}))).toBe(text);
    expect(create(claim({ ownerReferences: [owner('VirtualMachine')] }))).toBe(text);
    expect(create(claim({ ownerReferences: [{ ...owner('DataVolume'), controller: false }] }))).toBe(text);
  });

  test('that a DataVolume owns, even a former one, does not', () => {
    expect(create(claim({ ownerReferences: [owner('DataVolume')] }))).toBe('');
  });

  test('that is said to be filled for it does not', () => {
    expect(create(claim({ annotations: { [annotations.populatedFor]: 'test-dv' } }))).toBe('');
    expect(create(claim({ annotations: { [annotations.populatedFor]: 'other' } }))).toBe(text);
  });

  test('may be adopted by wish, or by the feature gate unless the wish says no', () => {
    expect(create(claim({}), { [annotations.allowClaimAdoption]: 'true' })).toBe('');
    expect(create(claim({}), {}, true)).toBe('');
    expect(create(claim({}), { [annotations.allowClaimAdoption]: 'false' }, true)).toBe(text);
  });
});

describe('an update', () => {
  const update = (former: unknown, next: unknown): string =>
    refusalOf(dataVolumeOf(next), { operation: 'update', former: read(dataVolumeOf(former)) });

  test('356 of the spec is refused', () => {
    const moved = { source: { http: { url: 'http://www.example.com/other.img' } }, pvc };
    expect(update({ source: http, pvc }, moved)).toBe(' Cannot update DataVolume Spec');
    expect(update({ source: http, pvc }, { source: http, pvc, preallocation: true })).toBe(
      ' Cannot update DataVolume Spec',
    );
  });

  test('that says the same in other words is taken', () => {
    const larger = { ...pvc, resources: { requests: { storage: '512000Ki' } } };
    expect(update({ source: http, pvc }, { pvc: larger, source: http, finalCheckpoint: false, checkpoints: [] })).toBe(
      '',
    );
  });

  test('of the checkpoints of an import in stages is taken', () => {
    const stage = (count: number) => ({
      source: { vddk },
      pvc,
      checkpoints: Array.from({ length: count }, (_unused, index) => ({
        previous: `${index}`,
        current: `${index + 1}`,
      })),
    });
    expect(update(stage(1), { ...stage(2), finalCheckpoint: true })).toBe('');
    expect(update(stage(1), { ...stage(2), source: { vddk: { ...vddk, uuid: 'v' } } })).toBe(
      ' Cannot update DataVolume Spec',
    );
    expect(update({ source: http, pvc }, { source: http, pvc, checkpoints: [{ previous: '', current: '1' }] })).toBe(
      ' Cannot update DataVolume Spec',
    );
  });
});

describe('the annotation longshore.dev/checksum', () => {
  const wished = (spec: Partial<DataVolumeSpec>, checksum: string): string =>
    refusalOf(dataVolumeOf({ pvc, ...spec }, { [annotations.checksum]: checksum }));

  test('is taken for http and upload and given on in lower case', () => {
    expect(wished({ source: http }, sha256)).toBe('');
    expect(wished({ source: { upload: {} } }, sha256)).toBe('');
    const value = dataVolumeOf({ source: { upload: {} }, pvc }, { [annotations.checksum]: sha256.toUpperCase() });
    expect(checksumWish(read(value))).toBe(sha256);
    expect(checksumWish(read(dataVolumeOf({ source: http, pvc })))).toBeUndefined();
  });

  test('is checked like http.checksum', () => {
    expect(wished({ source: http }, 'sha256:12')).toBe(
      ' Invalid checksum format: invalid sha256 hash length: expected 64 hex characters, got 2',
    );
  });

  test('must not contradict http.checksum', () => {
    const source = { http: { ...http.http, checksum: sha256 } };
    expect(wished({ source }, sha256.toUpperCase())).toBe('');
    expect(wished({ source }, `sha256:${'b'.repeat(64)}`)).toContain('must match');
  });

  test('is refused where nothing would be compared', () => {
    expect(wished({ source: { blank: {} } }, sha256)).toContain('is only for sources http and upload');
    expect(wished({ source: { pvc: { namespace: 'a', name: 'b' } } }, sha256)).toContain('is only for sources');
  });
});
