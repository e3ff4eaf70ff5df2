import { expect, test } from 'vitest';
import { namedImage, type SourceOptions } from './named-image.ts';

const checksum = `md5:${'0'.repeat(32)}`;

test.each<[string, SourceOptions, object, object]>([
  ['https://a/d', {}, { http: { url: 'https://a/d' } }, {}],
  ['https://a/d', { checksum }, { http: { url: 'https://a/d', checksum } }, {}],
  [
    'https://a/d',
    { header: ['A: b'], ca: 'c' },
    { http: { url: 'https://a/d', certConfigMap: 'c', extraHeaders: ['A: b'] } },
    {},
  ],
  ['https://a/b/k', { as: 's3', secret: 's' }, { s3: { url: 'https://a/b/k', secretRef: 's' } }, {}],
  ['s3://b/k', { checksum }, { s3: { url: 's3://b/k' } }, { checksum }],
  ['S3://b/k', { as: 's3' }, { s3: { url: 'S3://b/k' } }, {}],
  ['gs://b/o', { secret: 's' }, { gcs: { url: 'gs://b/o', secretRef: 's' } }, {}],
  [
    'docker://h/r:t',
    { secret: 's', ca: 'c' },
    { registry: { url: 'docker://h/r:t', secretRef: 's', certConfigMap: 'c' } },
    {},
  ],
  ['docker://h/r', { checksum }, { registry: { url: 'docker://h/r' } }, { checksum }],
  ['oci-archive:a.tar', {}, { registry: { url: 'oci-archive:a.tar' } }, {}],
])('%s with %j', (url, options, source, wish) => {
  expect(namedImage(url, options)).toEqual({ source, ...wish });
});
