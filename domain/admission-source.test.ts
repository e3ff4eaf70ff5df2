// Rules about sources. The table follows CDI's own tests/api_validation_test.go: for each manifest the text that a client sees.
import { describe, expect, test } from 'vitest';
import { dataVolumeOf, http, pvc, refusalOf, sha256, vddk } from '../test/data-volume-examples.ts';

const imageio = { url: 'https://engine/', diskId: '1', secretRef: 's', certConfigMap: 'c' };

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
];

describe('a DataVolume is refused for', () => {
  test.each(refused)('%s', (_name, spec, message) => {
    expect(refusalOf(dataVolumeOf(spec))).toBe(message);
  });
});

const accepted: readonly (readonly [string, unknown])[] = [
  ['289 valid http', { source: http, pvc }],
  ['upload through storage', { source: { upload: {} }, storage: { resources: { requests: { storage: '1Gi' } } } }],
  ['gs://', { source: { gcs: { url: 'gs://bucket/object' } }, pvc }],
  ['docker://', { source: { registry: { url: 'docker://quay.io/x:1', pullMethod: 'node' } }, pvc }],
  [
    'imageio and vddk complete',
    { source: { imageio: { ...imageio, certConfigMap: '', insecureSkipVerify: true } }, pvc },
  ],
  ['vddk complete', { source: { vddk }, pvc }],
  ['an archive', { source: http, contentType: 'archive', pvc }],
  ['a sourceRef', { sourceRef: { kind: 'DataSource', name: 'a' }, storage: {} }],
  ['a checksum', { source: { http: { ...http.http, checksum: ` ${sha256.toUpperCase()}` } }, pvc }],
];

describe('a DataVolume is taken with', () => {
  test.each(accepted)('%s', (_name, spec) => {
    expect(refusalOf(dataVolumeOf(spec))).toBe('');
  });
});
