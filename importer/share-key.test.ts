import { expect, test } from 'vitest';
import type { SourceLocation } from './open-source.ts';
import { shareKeyOf } from './share-key.ts';

const identity = JSON.stringify(['https://images.example', '/disk', '"etag"', 1]);
const plain = {
  kind: 'http' as const,
  url: 'https://images.example/disk',
  headers: [],
  certificates: [],
  insecureSkipVerify: false,
};
const stream = { strategy: 'stream' as const };
const head = Buffer.from('how it begins');

function keyOf(change: object = {}, checksum?: string): string | undefined {
  // Safe: members of the same kind of source.
  return shareKeyOf({ ...plain, ...change } as SourceLocation, { identity, head }, stream, checksum);
}

test('credentials do not count: each import has shown its own', () => {
  const key = keyOf();
  expect(key).toMatch(/^[0-9a-f]{64}$/);
  expect(keyOf({ credentials: { username: 'anna', password: 'secret' } })).toBe(key);
  expect(keyOf({ url: 'https://anna:secret@images.example/disk' })).toBe(key);
  expect(keyOf({ headers: [['Authorization', 'Bearer abc']] })).toBe(key);
});

test.each<[string, object]>([
  ['another URL', { url: 'https://images.example/disk?version=2' }],
  ['a header', { headers: [['X-Tenant', 'a']] }],
  ['a CA', { certificates: ['PEM'] }],
  ['no look at the certificate', { insecureSkipVerify: true }],
  ['a proxy', { proxy: { https: 'http://proxy.example:3128' } }],
  ['another kind of source', { kind: 's3' }],
])('%s may decide who answers, and with what: it is shared with none that has it not', (_what, change) => {
  expect(keyOf(change)).not.toBe(keyOf());
});

test('what begins otherwise is something else, whatever the server says', () => {
  const other = { identity, head: Buffer.from('how it begins for another user') };
  expect(shareKeyOf(plain, other, stream, undefined)).not.toBe(keyOf());
});

test('without an identity, or where the server contradicts itself, nothing is shared', () => {
  expect(shareKeyOf(plain, { identity: undefined, head }, stream, undefined)).toBeUndefined();
  expect(keyOf({ onePass: true })).toBeUndefined();
});

test('a checksum wants a leader that makes a digest of its algorithm', () => {
  const sha256 = `sha256:${'0'.repeat(64)}`;
  expect(keyOf({}, sha256)).toBe(keyOf());
  expect(keyOf({}, `md5:${'0'.repeat(32)}`)).not.toBe(keyOf());
  const ranged = shareKeyOf(plain, { identity, head }, { strategy: 'nbd' }, undefined);
  expect(ranged).not.toBe(shareKeyOf(plain, { identity, head }, { strategy: 'staged' }, sha256));
});

test('of a registry the repository counts, and no tag', () => {
  const registry = { kind: 'registry' as const, certificates: [], insecureSkipVerify: false };
  const key = (url: string) => shareKeyOf({ ...registry, url }, { identity, head }, stream, undefined);
  expect(key('docker://r.example/a/disk:2')).toBe(key('docker://r.example/a/disk:1'));
  expect(key('docker://r.example/b/disk:1')).not.toBe(key('docker://r.example/a/disk:1'));
});
