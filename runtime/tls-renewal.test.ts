import { execFile } from 'node:child_process';
import { mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CertificateAuthority, loadTlsPair, type TlsPair } from './certificates.ts';
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

test('of two looks that overlap, the one that began with the former files puts nothing of them back', async () => {
  const folder = path('overlap');
  const former = await CertificateAuthority.openOrCreate(join(folder, 'former'));
  const next = await CertificateAuthority.openOrCreate(join(folder, 'next'));
  const [first, second] = [await former.issue(request), await next.issue(request)];
  const pairOf = async ({ key, cert, ca }: Pick<TlsPair, 'key' | 'cert' | 'ca'>) => {
    await writeDurably(join(folder, 'door.key'), key, 0o600);
    await writeDurably(join(folder, 'door.crt'), cert, 0o600);
    await writeDurably(join(folder, 'ca.crt'), ca, 0o600);
  };
  await pairOf(first);
  let look = (): void => undefined;
  const onWritten = (call: () => void) => {
    look = call;
  };
  const tls = await loadRenewedTls({ directory: folder, name: request.name, everySeconds: 3_600, onWritten, logger });
  const taken: TlsPair[] = [];
  tls.onRenewal?.((pair) => taken.push(pair));

  // A pipe in place of the CA holds the first look until the test writes into it.
  await rm(join(folder, 'ca.crt'));
  await promisify(execFile)('mkfifo', [join(folder, 'ca.crt')]);
  look();
  const slow = await open(join(folder, 'ca.crt'), 'w');
  for (const file of ['door.key', 'door.crt']) await readFile(join(folder, file)); // the first look has read them before
  await pairOf(second);
  look();
  await loadTlsPair(folder, request.name); // as long as the second look takes where it does not wait
  const both = `${first.ca}${second.ca}`;
  await slow.writeFile(both);
  await slow.close();
  await expect.poll(() => taken.length).toBe(2);
  expect(taken).toEqual([{ ...first, ca: both }, second]);
});
