import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CertificateAuthority, type TlsPair } from './certificates.ts';
import { writeDurably } from './durable-file.ts';
import { createLogger } from './logger.ts';
import { loadRenewedTls } from './tls-renewal.ts';

const logger = createLogger({ logLevel: 'silent' }, 'test');
const request = { name: 'door', cn: 'door', hosts: ['127.0.0.1'], usages: ['server' as const] };

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ls-renewal-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

const path = (name: string): string => join(directory, name);

test('a CA that comes beside the former one is taken without a new certificate, and then the pair that it signs', async () => {
  const former = await CertificateAuthority.openOrCreate(directory);
  const first = await former.issue(request);
  const tls = await loadRenewedTls({ directory, name: request.name, everySeconds: 0.01, logger });
  const taken: TlsPair[] = [];
  tls.onRenewal?.((pair) => taken.push(pair));

  const next = await CertificateAuthority.openOrCreate(path('next'));
  const both = `${former.certificate}${next.certificate}`;
  await writeDurably(path('ca.crt'), both, 0o600);
  await expect.poll(() => tls.ca).toBe(both);
  expect(taken).toEqual([{ ...first, ca: both }]);

  const second = await next.issue(request);
  await writeDurably(path('door.key'), second.key, 0o600);
  await writeDurably(path('door.crt'), second.cert, 0o600);
  await expect.poll(() => tls.cert).toBe(second.cert);
  expect(taken.slice(1)).toEqual([{ ...second, ca: both }]);
});
