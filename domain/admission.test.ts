// What is asked of a DataVolume besides its source and its claim, as CDI's own tests/api_validation_test.go has it.
import { describe, expect, test } from 'vitest';
import { dataVolumeOf, http, pvc, readDataVolumeOf, refusalOf, sha256, vddk } from '../test/data-volume-examples.ts';
import { checksumWish } from './admission.ts';
import { annotations } from './annotations.ts';
import type { DataVolumeSpec } from './data-volume.ts';
import type { Claim } from './kube-shapes.ts';

describe('a DataVolume is refused for', () => {
  test('303 a missing spec', () => {
    const { spec: _spec, ...withoutSpec } = dataVolumeOf({});
    expect(refusalOf(withoutSpec)).toBe('spec: Required value');
  });

  test('a name of 254 characters', () => {
    const value = dataVolumeOf({ source: http, pvc }, {}, 'x'.repeat(254));
    expect(refusalOf(value)).toBe(' Name cannot be longer than 253 characters');
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
    refusalOf(dataVolumeOf(next), { operation: 'update', former: readDataVolumeOf(dataVolumeOf(former)) });

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

  test('is taken where bytes pass, and given on in lower case', () => {
    const url = 'https://host/bucket/disk';
    const sources = [
      http,
      { s3: { url } },
      { s3: { url: 's3://bucket/disk' } },
      { gcs: { url } },
      { registry: { url: 'docker://host/disk' } },
    ];
    for (const source of sources) expect(wished({ source }, sha256)).toBe('');
    expect(wished({ source: { upload: {} } }, sha256)).toBe('');
    const value = dataVolumeOf({ source: { upload: {} }, pvc }, { [annotations.checksum]: sha256.toUpperCase() });
    expect(checksumWish(readDataVolumeOf(value))).toBe(sha256);
    expect(checksumWish(readDataVolumeOf(dataVolumeOf({ source: http, pvc })))).toBeUndefined();
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
    expect(wished({ source: { blank: {} } }, sha256)).toContain('is only for sources http, s3, gcs, registry, upload');
    expect(wished({ source: { pvc: { namespace: 'a', name: 'b' } } }, sha256)).toContain('is only for sources');
  });
});
