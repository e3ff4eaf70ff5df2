// Imports from Google Cloud Storage: service accounts, anybody's objects, ranges, drops, generations and refusals.
import { execFileSync } from 'node:child_process';
import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { importArchive } from '../../importer/archive/import-archive.ts';
import type { GcsLocation } from '../../importer/gcs/gcs-server.ts';
import { versionOfSource } from '../../importer/version-of-source.ts';
import { type Ending, ImportBench } from '../hostile/import-bench.ts';
import { tarArchive } from '../tar-archive.ts';
import { CuttingRelay } from './cutting-relay.ts';
import { GcsTestServer } from './gcs-test-server.ts';

const mib = 1_048_576;
const sizeBytes = 12 * mib;
const raw = Buffer.concat([randomBytes(5 * mib), Buffer.alloc(4 * mib), randomBytes(3 * mib)]);
const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
const expected = sha256(raw);
const images: Record<string, Buffer> = { 'disks/a%20raw%2Bdisk.img': raw };
let gcs: GcsTestServer;
let bench: ImportBench;

beforeAll(async () => {
  const work = await mkdtemp(join(tmpdir(), 'ls-gcs-'));
  await writeFile(join(work, 'raw'), raw);
  execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', 'raw', 'qcow2'], { cwd: work });
  execFileSync('gzip', ['-1', '-k', 'raw'], { cwd: work });
  for (const name of ['qcow2', 'raw.gz']) images[name] = await readFile(join(work, name));
  await rm(work, { recursive: true });
  gcs = await GcsTestServer.start();
  bench = await benchWith(gcs.origin);
  for (const [name, bytes] of Object.entries(images)) {
    gcs.put(`images/${name}`, bytes);
    gcs.put(`public/${name}`, bytes, { isPublic: true });
  }
});

afterEach(() => gcs.reset());

afterAll(async () => {
  expect(await bench.stagings()).toEqual([]);
  await bench.close();
  await gcs[Symbol.asyncDispose]();
});

function benchWith(gcsEndpoint: string): Promise<ImportBench> {
  return ImportBench.make({ config: { gcsEndpoint, firstByteTimeoutMs: 20_000, idleTimeoutMs: 20_000 } });
}

function sourceOf(url: string, more: Partial<GcsLocation> = {}): GcsLocation & { kind: 'gcs' } {
  return { kind: 'gcs', url, certificates: [], insecureSkipVerify: false, ...more };
}

function importFrom(url: string, serviceAccount = gcs.keyFile(), by = bench, checksum?: string): Promise<Ending> {
  const source = sourceOf(url, serviceAccount === '' ? {} : { serviceAccount });
  return by.import('', sizeBytes, { source, ...(checksum === undefined ? {} : { checksum }) });
}

function authorizations(): unknown[] {
  return gcs.asked.filter(({ path }) => path !== '/token').map(({ headers }) => headers.authorization);
}

describe('an import from GCS', () => {
  const rows = [
    ['disks/a%20raw%2Bdisk.img', 'stream', 'raw'],
    ['raw.gz', 'stream', 'raw.gz'],
    ['qcow2', 'nbd', 'qcow2'],
  ] as const;

  test.each(rows)('of gs://…/%s by a service account brings the disk', async (key, strategy, format) => {
    const ending = await importFrom(`gs://images/${key}`);
    expect(ending).toMatchObject({ code: 'complete', sha256: expected, report: { strategy, format } });
    expect(ending.report?.fetchedBytes).toBeLessThanOrEqual((images[key]?.byteLength ?? 0) + 131_072);
    expect(gcs.tokensMade).toBe(1);
    expect(new Set(authorizations())).toEqual(new Set(['Bearer ya29.1']));
    expect(gcs.asked.some(({ headers }) => headers['if-range'] !== undefined)).toBe(false);
  });

  test.each(rows)(
    'of http://server/bucket/%s that anybody may read needs no account',
    async (key, strategy, format) => {
      const ending = await importFrom(`${gcs.origin}/public/${key}`, '');
      expect(ending).toMatchObject({ code: 'complete', sha256: expected, report: { strategy, format } });
      expect(new Set(authorizations())).toEqual(new Set([undefined]));
    },
  );

  test.each(['md5', 'sha512'])('with a %s checksum is verified, or refused', async (name) => {
    const hex = createHash(name)
      .update(images['qcow2'] ?? '')
      .digest('hex');
    const good = await importFrom('gs://images/qcow2', undefined, bench, `${name}:${hex}`);
    expect(good).toMatchObject({ code: 'complete', sha256: expected, report: { verified: 'digest' } });
    const other = await importFrom('gs://images/raw.gz', undefined, bench, `${name}:${hex}`);
    expect(other).toMatchObject({ code: 'ChecksumMismatch', sha256: undefined });
  });

  test('of an archive unpacks its files', async () => {
    const files = gzipSync(tarArchive([{ name: 'etc/data', body: raw.subarray(0, mib) }]));
    gcs.put('images/files.tar.gz', files);
    const staging = await bench.staging(sizeBytes);
    const report = await importArchive(
      { source: sourceOf('gs://images/files.tar.gz', { serviceAccount: gcs.keyFile() }), sizeBytes },
      staging,
      bench.hooks(),
    );
    expect(report).toMatchObject({ files: { bytes: mib }, sourceDigest: `sha256:${sha256(files)}` });
    expect((await readFile(join(staging.dataPath, 'etc/data'))).equals(raw.subarray(0, mib))).toBe(true);
    await staging.discard();
  });

  test('of what is stored with Content-Encoding takes the stored bytes, by ranges', async () => {
    gcs.put('public/encoded', images['raw.gz'] ?? Buffer.alloc(0), { isPublic: true, encoding: 'gzip' });
    const ending = await importFrom('gs://public/encoded', '');
    expect(ending).toMatchObject({ code: 'complete', sha256: expected, report: { format: 'raw.gz' } });
    expect(ending.report?.sourceBytes).toBe(images['raw.gz']?.byteLength);
  });

  test.each(rows)('of %s goes on where a connection was cut, and fetches little twice', async (key) => {
    await using relay = await CuttingRelay.start(gcs.port, 2 * mib);
    relay.cutsLeft = 3;
    const own = await benchWith(relay.origin);
    const ending = await importFrom(`gs://images/${key}`, undefined, own);
    expect(ending).toMatchObject({ code: 'complete', sha256: expected });
    expect(relay.cuts).toBe(3);
    expect(ending.report?.fetchedBytes).toBeLessThan((images[key]?.byteLength ?? 0) * 1.1);
    await own.close();
  });

  test('of an object that is replaced meanwhile is refused as changed', async () => {
    gcs.put('images/changing', raw);
    await using relay = await CuttingRelay.start(gcs.port, 2 * mib);
    relay.cutsLeft = 1;
    relay.onCut = async () => void gcs.put('images/changing', randomBytes(raw.byteLength));
    const own = await benchWith(relay.origin);
    expect(await importFrom('gs://images/changing', undefined, own)).toMatchObject({ code: 'SourceChanged' });
    expect(await own.stagings()).toEqual([]);
    await own.close();
  });

  test('of a generation that the URL names is of that one, though there is a newer one', async () => {
    const first = gcs.put('images/twice', raw);
    gcs.put('images/twice', randomBytes(mib));
    expect(await importFrom(`gs://images/twice?generation=${first}`)).toMatchObject({ sha256: expected });
    expect((await importFrom('gs://images/twice')).report?.sourceBytes).toBe(mib);
  });

  test('of an empty object is no disk image', async () => {
    gcs.put('images/empty', Buffer.alloc(0));
    expect(await importFrom('gs://images/empty')).toMatchObject({ code: 'NotADiskImage', left: [] });
  });

  test('tells a schedule its version by the first answer', async () => {
    const told = await versionOfSource(sourceOf('gs://public/qcow2'), bench.hooks());
    expect(told).toEqual({ etag: expect.stringMatching(/^"[0-9a-f]{32}"$/), bytes: images['qcow2']?.byteLength });
  });
});

describe('an access token', () => {
  test('that is withdrawn while the object is read is replaced', async () => {
    gcs.readsOfToken = 2;
    expect(await importFrom('gs://images/qcow2')).toMatchObject({ code: 'complete', sha256: expected });
    expect(gcs.tokensMade).toBeGreaterThan(1);
  });

  test('that ends within the minute serves one request', async () => {
    gcs.tokenSeconds = 1;
    expect(await importFrom('gs://images/raw.gz')).toMatchObject({ code: 'complete', sha256: expected });
  });

  test('is not given for the key of another account, and the refusal keeps its words to itself', async () => {
    const { privateKey } = generateKeyPairSync('rsa', {
      modulusLength: 2048,
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    });
    const ending = await importFrom('gs://images/raw.gz', gcs.keyFile({ private_key: privateKey }));
    expect(ending).toMatchObject({ code: 'SourceUnauthorized', left: [] });
    expect(ending.detail).toContain('invalid_grant');
    expect(ending.detail).not.toContain('secret');
  });

  test.each([
    ['no JSON', 'text'],
    ['of a user', JSON.stringify({ type: 'authorized_user', client_email: 'x', private_key: 'y' })],
    ['with a key that is none', JSON.stringify({ type: 'service_account', client_email: 'x', private_key: 'hush' })],
    [
      'with a token service that is none',
      JSON.stringify({ type: 'service_account', client_email: 'x', private_key: 'hush', token_uri: 'file:///etc' }),
    ],
  ])('is not asked for by a key file that is %s', async (_what, file) => {
    const ending = await importFrom('gs://images/raw.gz', file);
    expect(ending).toMatchObject({ code: 'SourceUnauthorized', left: [] });
    expect(ending.detail).not.toContain('hush');
    expect(gcs.asked).toEqual([]);
  });
});

describe('is refused, with nothing left:', () => {
  test.each<[string, string, string, boolean]>([
    ['an object that is not there', 'gs://images/none', 'SourceNotFound', true],
    ['an object that is not for everybody', 'gs://images/qcow2', 'SourceForbidden', false],
    ['a bucket alone', 'gs://images', 'SourceRefused', true],
    ['a bucket alone, with a slash', 'gs://images/', 'SourceRefused', true],
    ['a generation that is no number', 'gs://images/qcow2?generation=new', 'SourceRefused', true],
    ['another scheme', 's3://images/qcow2', 'SourceRefused', true],
  ])('%s', async (_what, url, code, withAccount) => {
    expect(await importFrom(url, withAccount ? undefined : '')).toMatchObject({ code, left: [], sha256: undefined });
  });
});
