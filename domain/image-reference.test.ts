// How the URL of a container image is read.
import { expect, test } from 'vitest';
import { parseImageReference } from './image-reference.ts';

const digest = `sha256:${'0a'.repeat(32)}`;

test.for([
  ['docker://host/disk', { host: 'docker.io', repository: 'host/disk', reference: 'latest' }],
  ['docker://fedora', { host: 'docker.io', repository: 'library/fedora', reference: 'latest' }],
  ['docker://docker.io/fedora:42', { host: 'docker.io', repository: 'library/fedora', reference: '42' }],
  [
    'docker://quay.io/containerdisks/fedora:42',
    { host: 'quay.io', repository: 'containerdisks/fedora', reference: '42' },
  ],
  ['docker://127.0.0.1:5000/a', { host: '127.0.0.1:5000', repository: 'a', reference: 'latest' }],
  ['docker://[::1]:5000/a/b:t', { host: '[::1]:5000', repository: 'a/b', reference: 't' }],
  ['docker://localhost/a', { host: 'localhost', repository: 'a', reference: 'latest' }],
  [`docker://r.example/a@${digest}`, { host: 'r.example', repository: 'a', reference: digest }],
  [`docker://r.example:1/a:tag@${digest}`, { host: 'r.example:1', repository: 'a', reference: digest }],
] as const)('%s is read', ([url, reference]) => {
  expect(parseImageReference(url)).toEqual(reference);
});

test.for([
  'http://r.example/a',
  'docker:/r.example/a',
  'docker://',
  'docker://r.example/',
  'docker://r.example/A',
  'docker://r.example/a:',
  'docker://r.example/a:b/c:-',
  'docker://r.example/a/../b',
  'docker://r.example/a?b=c',
  'docker://r.example:99999/a',
  'docker://user@r.example/a',
  'docker://r.example/a@sha256:12',
  `docker://r.example/a@${digest}@${digest}`,
  'docker://r_.example:5/a b',
])('%s names no image', (url) => {
  expect(parseImageReference(url)).toBeUndefined();
});
