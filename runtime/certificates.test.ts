import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { CertificateAuthority, loadTlsPair } from './certificates.ts';

const request = { name: 'api', cn: 'api', hosts: ['localhost', '127.0.0.1', '::1'], usages: ['server'] } as const;
let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'longshore-pki-'));
});
afterEach(() => rm(directory, { recursive: true }));

test('a pair is kept while it fits and made anew when it does not', async () => {
  const authority = await CertificateAuthority.openOrCreate(directory);
  const first = await authority.issue(request);
  expect(await (await CertificateAuthority.openOrCreate(directory)).issue(request)).toEqual(first);
  const wider = await authority.issue({ ...request, hosts: [...request.hosts, 'example.test'] });
  expect(wider.cert).not.toBe(first.cert);
  expect((await authority.issue({ ...request, cn: 'other' })).cert).not.toBe(wider.cert);
  expect((await readdir(directory)).sort()).toEqual(['api.crt', 'api.key', 'ca.crt', 'ca.key']);
  expect((await stat(join(directory, 'api.key'))).mode & 0o777).toBe(0o600);
});

test('a pair of another authority is made anew', async () => {
  const first = await (await CertificateAuthority.openOrCreate(directory)).issue(request);
  await rm(join(directory, 'ca.key'));
  await writeFile(join(directory, 'ca.crt'), '');
  await rm(join(directory, 'ca.crt'));
  const second = await (await CertificateAuthority.openOrCreate(directory)).issue(request);
  expect(second.cert).not.toBe(first.cert);
});

test('a pair that was never issued is told', async () => {
  await expect(loadTlsPair(directory, 'worker')).rejects.toMatchObject({ code: 'NotFound' });
});
