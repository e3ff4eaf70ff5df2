// What is to be in a claim, as a table: by its DataVolume, by the annotations that CDI's clients write, and who has nothing to fill.
import { describe, expect, test } from 'vitest';
import { annotations } from '../../domain/annotations.ts';
import type { DataVolume, DataVolumeSpec } from '../../domain/data-volume.ts';
import type { Claim } from '../../domain/kube-shapes.ts';
import { claimOf, httpOf } from '../../test/claim-examples.ts';
import { type ClaimContent, contentOfClaim, operationOfContent } from './claim-content.ts';

const uid = 'dv-uid';
const owner = { apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'DataVolume', name: 'disk', uid, controller: true };

function dataVolumeOf(spec: DataVolumeSpec): DataVolume {
  const metadata = { namespace: 'ns', name: 'disk', uid };
  return { apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'DataVolume', metadata, spec };
}

function owned(told: Record<string, string> = {}, spec: Partial<Claim['spec']> = {}): Claim {
  const claim = claimOf({ [annotations.createdForDataVolume]: uid, ...told });
  return { ...claim, metadata: { ...claim.metadata, ownerReferences: [owner] }, spec: { ...claim.spec, ...spec } };
}

function shown(content: ClaimContent): string {
  return content.kind === 'unsupported' ? `${content.operation} unsupported: ${content.fault.detail}` : content.kind;
}

describe('by its DataVolume', () => {
  test.each<[DataVolumeSpec, string]>([
    [{ source: { http: { url: 'http://host/x' } } }, 'image'],
    [{ source: { blank: {} } }, 'blank'],
    [{ source: { upload: {} } }, 'upload'],
    [{ source: { pvc: { namespace: 'ns', name: 'origin' } } }, 'clone'],
    [
      { source: { snapshot: { namespace: 'ns', name: 's' } } },
      'clone unsupported: source snapshot is not supported yet',
    ],
    [{ source: { s3: { url: 'https://s3/x' } } }, 'image'],
    [{ source: { gcs: { url: 'gs://bucket/x' } } }, 'image'],
    [{ source: { registry: { url: 'docker://x' } } }, 'image'],
    [
      { source: { registry: { url: 'docker://x', pullMethod: 'node' } } },
      'import unsupported: pullMethod node is not supported: the worker pulls the image by itself, so leave pullMethod out',
    ],
    [
      { source: { registry: { imageStream: 'x', pullMethod: 'pod' } } },
      'import unsupported: an imageStream is not supported: name the image by its url, such as docker://host/repository:tag',
    ],
    [
      { source: { imageio: { url: 'https://engine', diskId: 'x' } } },
      'import unsupported: source imageio is not supported yet',
    ],
    [{ sourceRef: { kind: 'DataSource', name: 'x' } }, 'unknown'],
    [{}, 'none'],
    [
      { source: { blank: {} }, contentType: 'archive' },
      'import unsupported: an empty disk is no archive: contentType has to be kubevirt',
    ],
  ])('%j', (spec, expected) => {
    expect(shown(contentOfClaim(owned(), dataVolumeOf(spec)))).toBe(expected);
  });

  test('what the DataVolume says goes before annotations that somebody else wrote', () => {
    const claim = owned({ [annotations.importEndpoint]: 'http://evil/x', [annotations.importSource]: 'http' });
    const content = contentOfClaim(claim, dataVolumeOf({ source: { http: { url: 'http://good/x', secretRef: 's' } } }));
    expect(content).toMatchObject({ kind: 'image', source: { kind: 'http', url: 'http://good/x', secretRef: 's' } });
  });

  test('what its DataSource stood for is cloned', () => {
    const named = dataVolumeOf({ sourceRef: { kind: 'DataSource', name: 'x' } });
    const metadata = { ...named.metadata, annotations: { [annotations.cloneSource]: 'pvc/images/golden' } };
    const content = contentOfClaim(owned(), { ...named, metadata });
    expect(content).toEqual({ kind: 'clone', source: { namespace: 'images', name: 'golden' } });
  });

  test('one that was taken over keeps what is in it', () => {
    const spec = { source: { http: { url: 'http://host/x' } } };
    expect(shown(contentOfClaim(owned({ [annotations.createdForDataVolume]: 'other' }), dataVolumeOf(spec)))).toBe(
      'none',
    );
    expect(shown(contentOfClaim(owned({ [annotations.populatedFor]: 'disk' }), dataVolumeOf(spec)))).toBe('none');
  });

  test('nothing is begun while its DataVolume has not been seen, or is gone', () => {
    expect(shown(contentOfClaim(owned(), undefined))).toBe('unknown');
  });

  test('a block volume is filled as any other', () => {
    const block = owned({}, { volumeMode: 'Block' });
    expect(shown(contentOfClaim(block, dataVolumeOf({ source: { blank: {} } })))).toBe('blank');
    expect(shown(contentOfClaim({ ...claimOf(), spec: block.spec }, undefined))).toBe('none');
  });
});

describe('by annotations alone', () => {
  const endpoint = { [annotations.importEndpoint]: 'http://host/x' };
  test.each<[string, Record<string, string>, string]>([
    ['nothing', {}, 'none'],
    ['an upload target', { [annotations.uploadTarget]: '' }, 'upload'],
    ['an endpoint', endpoint, 'image'],
    ['an endpoint of source http', { ...endpoint, [annotations.importSource]: 'http' }, 'image'],
    ['source none', { [annotations.importSource]: 'none' }, 'blank'],
    ['source s3', { ...endpoint, [annotations.importSource]: 's3' }, 'image'],
    ['source registry', { ...endpoint, [annotations.importSource]: 'registry' }, 'image'],
    [
      'source registry, pulled by the node',
      { ...endpoint, [annotations.importSource]: 'registry', [annotations.importRegistryMethod]: 'node' },
      'import unsupported: pullMethod node is not supported: the worker pulls the image by itself, so leave pullMethod out',
    ],
    [
      'source imageio',
      { ...endpoint, [annotations.importSource]: 'imageio' },
      'import unsupported: source imageio is not supported yet',
    ],
    [
      'no endpoint',
      { [annotations.importSource]: 'http' },
      `import unsupported: annotation ${annotations.importEndpoint} is missing`,
    ],
    [
      'an archive from a registry',
      { ...endpoint, [annotations.importSource]: 'registry', [annotations.contentType]: 'archive' },
      'import unsupported: a container image holds a disk: contentType has to be kubevirt',
    ],
    ['a clone', { [annotations.cloneRequest]: 'ns/origin' }, 'clone'],
    [
      'a clone from elsewhere',
      { [annotations.cloneRequest]: 'other/origin' },
      'clone unsupported: a clone between namespaces needs a DataVolume',
    ],
    [
      'a clone of nothing',
      { [annotations.cloneRequest]: 'ns/' },
      `clone unsupported: annotation ${annotations.cloneRequest} is not namespace/name: ns/`,
    ],
    [
      'a clone with a path',
      { [annotations.cloneRequest]: 'ns/a/b' },
      `clone unsupported: annotation ${annotations.cloneRequest} is not namespace/name: ns/a/b`,
    ],
  ])('%s', (_what, told, expected) => {
    expect(shown(contentOfClaim(claimOf(told), undefined))).toBe(expected);
  });

  test('files in place of a disk', () => {
    const archive = { [annotations.contentType]: 'archive' };
    const wanted = { contentType: 'archive' };
    expect(contentOfClaim(claimOf({ ...endpoint, ...archive }), undefined)).toMatchObject({ kind: 'image', ...wanted });
    const upload = { [annotations.uploadTarget]: '', ...archive };
    expect(contentOfClaim(claimOf(upload), undefined)).toEqual({ kind: 'upload', ...wanted });
    const clone = { [annotations.cloneRequest]: 'ns/origin', ...archive };
    expect(contentOfClaim(claimOf(clone), undefined)).toMatchObject({ kind: 'clone', ...wanted });
  });

  test('headers come in the order of their numbers, not of their text', () => {
    const told = Object.fromEntries([10, 2, 1].map((n) => [`${annotations.importExtraHeaders}.${n}`, `h${n}`]));
    const content = contentOfClaim(claimOf({ ...endpoint, ...told, [annotations.importSecretName]: '' }), undefined);
    const source = httpOf('http://host/x', { extraHeaders: ['h1', 'h2', 'h10'] });
    expect(content).toEqual({ kind: 'image', source });
  });
});

test('only what somebody fills has an operation', () => {
  const kinds: ClaimContent[] = [{ kind: 'blank' }, { kind: 'upload' }, { kind: 'none' }, { kind: 'unknown' }];
  expect(kinds.map(operationOfContent)).toEqual(['import', 'upload', undefined, undefined]);
});
