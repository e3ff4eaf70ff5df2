import { expect, test } from 'vitest';
import { digestOfVersion, importNameOf, isSameVersion, isTold, pinnedReference } from './source-version.ts';

const monday = 'Mon, 23 Nov 2026 10:00:00 GMT';
const tuesday = 'Tue, 24 Nov 2026 10:00:00 GMT';
const sha = `sha256:${'ab12'.repeat(16)}`;

test.for([
  ['the same digest', { digest: sha }, { digest: sha }, true],
  ['another digest, whatever else is told', { digest: sha, etag: '"a"' }, { digest: `${sha}0`, etag: '"a"' }, false],
  ['the same ETag', { etag: '"a"', lastModified: monday }, { etag: '"a"', lastModified: tuesday }, true],
  ['an ETag that became weak on its way', { etag: '"a"' }, { etag: 'W/"a"' }, true],
  ['another ETag', { etag: '"a"' }, { etag: '"b"' }, false],
  ['another ETag and date', { etag: '"a"', lastModified: monday }, { etag: '"b"', lastModified: tuesday }, false],
  [
    'another ETag of a mirror: the same date and length',
    { etag: '"a"', lastModified: monday, bytes: 7 },
    { etag: '"b"', lastModified: monday, bytes: 7 },
    true,
  ],
  [
    'another ETag and length of the same second',
    { etag: '"a"', lastModified: monday, bytes: 7 },
    { etag: '"b"', lastModified: monday, bytes: 8 },
    false,
  ],
  [
    'another ETag where no length is told',
    { etag: '"a"', lastModified: monday },
    { etag: '"b"', lastModified: monday },
    false,
  ],
  ['the same date', { lastModified: monday }, { lastModified: monday }, true],
  ['another date', { lastModified: monday, bytes: 7 }, { lastModified: tuesday, bytes: 7 }, false],
  ['nothing in common', { etag: '"a"' }, { lastModified: monday }, false],
] as const)('%s', ([, one, other, isSame]) => {
  expect(isSameVersion(one, other)).toBe(isSame);
  expect(isSameVersion(other, one)).toBe(isSame);
});

test('a length alone tells no version', () => {
  expect(isTold({ bytes: 7 })).toBe(false);
  expect(isTold({ etag: '"a"' })).toBe(true);
  expect(isTold({ lastModified: monday })).toBe(true);
  expect(isTold({ digest: sha })).toBe(true);
});

test('a digest stays what it is, and everything else is hashed under its name', () => {
  expect(digestOfVersion({ digest: sha, etag: '"a"' })).toBe(sha);
  expect(digestOfVersion({ etag: 'W/"a"' })).toBe(digestOfVersion({ etag: '"a"', lastModified: monday }));
  expect(digestOfVersion({ etag: '"a"' })).toMatch(/^etag:[0-9a-f]{64}$/);
  expect(digestOfVersion({ lastModified: monday, bytes: 7 })).toMatch(/^last-modified:[0-9a-f]{64}$/);
  expect(digestOfVersion({ lastModified: monday, bytes: 7 })).not.toBe(digestOfVersion({ lastModified: monday }));
});

test.for([
  ['fedora', sha, 'fedora-ab12ab12ab12'],
  ['fedora', 'uid:68ff6df7-4a1b-4d3b-8ae3-6d1f9a6c1e11', 'fedora-68ff6df7-4a1'],
  ['fedora', 'sha256:short', undefined],
  ['fedora', 'no digest at all', undefined],
  ['fedora', 'sha256:AB12AB12AB12AB12', undefined],
] as const)('the import of %s at %s is called %s', ([dataSource, digest, name]) => {
  expect(importNameOf(dataSource, digest)).toBe(name);
});

test.for([
  ['docker://quay.io/containerdisks/fedora:latest', `docker://quay.io/containerdisks/fedora@${sha}`],
  ['docker://quay.io/containerdisks/fedora', `docker://quay.io/containerdisks/fedora@${sha}`],
  ['docker://localhost:5000/fedora:39', `docker://localhost:5000/fedora@${sha}`],
  ['docker://localhost:5000/fedora', `docker://localhost:5000/fedora@${sha}`],
  ['docker://quay.io/fedora:39@sha256:00', `docker://quay.io/fedora@${sha}`],
  ['docker://[::1]:5000/a/b:c', `docker://[::1]:5000/a/b@${sha}`],
  ['docker://fedora:39', `docker://fedora@${sha}`],
  ['oci-archive:/images/fedora.tar', 'oci-archive:/images/fedora.tar'],
])('%s at a digest is %s', ([url = '', pinned]) => {
  expect(pinnedReference(url, sha)).toBe(pinned);
});
