// Imports from a real S3 server that checks signatures: formats, ranges, drops, rights, regions, clocks and refusals.
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { CompleteMultipartUploadCommand, CreateMultipartUploadCommand, UploadPartCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { importArchive } from '../../importer/archive/import-archive.ts';
import type { S3Location } from '../../importer/s3/s3-server.ts';
import type { Config } from '../../runtime/config.ts';
import { type Ending, ImportBench } from '../hostile/import-bench.ts';
import { tarArchive } from '../tar-archive.ts';
import { temporaryDirectory } from '../temporary-directory.ts';
import { CuttingRelay } from './cutting-relay.ts';
import { LeadingProxy } from './leading-proxy.ts';
import { presign } from './presign.ts';
import { RoleService } from './role-service.ts';
import { SwiftServer, swiftDomain, swiftKeys, swiftRegion } from './swift-server.ts';

const mib = 1_048_576;
const sizeBytes = 24 * mib;
const raw = Buffer.concat([randomBytes(9 * mib), Buffer.alloc(10 * mib), randomBytes(5 * mib)]);
const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
const expected = sha256(raw);
/** Of the machine, not of the source: nothing here is about slow servers. */
const patient: Partial<Config> = { firstByteTimeoutMs: 20_000, idleTimeoutMs: 20_000 };
const images: Record<string, Buffer> = { 'disks/a raw+disk.img': raw };
let swift: SwiftServer;
let bench: ImportBench;
let published: string;

beforeAll(async () => {
  const work = await mkdtemp(join(tmpdir(), 'ls-s3-'));
  await writeFile(join(work, 'raw'), raw);
  execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', 'raw', 'qcow2'], { cwd: work });
  execFileSync('qemu-img', ['convert', '-c', '-f', 'raw', '-O', 'qcow2', 'raw', 'qcow2-c'], { cwd: work });
  execFileSync('gzip', ['-1', '-k', 'raw'], { cwd: work });
  for (const name of ['qcow2', 'qcow2-c', 'raw.gz']) images[name] = await readFile(join(work, name));
  await rm(work, { recursive: true });
  [swift, bench] = await Promise.all([SwiftServer.start(), ImportBench.make({ config: patient })]);
  for (const [name, bytes] of Object.entries(images)) await swift.put(name, bytes);
  published = await swift.publish();
}, 120_000);

afterAll(async () => {
  expect(await bench.stagings()).toEqual([]);
  await bench.close();
  await swift[Symbol.asyncDispose]();
});

function sourceOf(more: Partial<S3Location> & Pick<S3Location, 'url'>): S3Location & { kind: 's3' } {
  return { kind: 's3', credentials: secretOf(), certificates: [], insecureSkipVerify: false, ...more };
}

function secretOf() {
  return { ...swiftKeys };
}

function importFrom(source: Partial<S3Location> & Pick<S3Location, 'url'>, checksum?: string): Promise<Ending> {
  const asked = checksum === undefined ? {} : { checksum };
  return bench.import(source.url, sizeBytes, { source: sourceOf(source), ...asked });
}

async function withConfig(config: Partial<Config>, use: (own: ImportBench) => Promise<void>): Promise<void> {
  const own = await ImportBench.make({ config: { ...patient, ...config } });
  try {
    await use(own);
  } finally {
    await own.close();
  }
}

describe('an import from S3', () => {
  test.each([
    ['disks/a%20raw%2Bdisk.img', 'stream', 'raw'],
    ['raw.gz', 'stream', 'raw.gz'],
    ['qcow2', 'nbd', 'qcow2'],
    ['qcow2-c', 'nbd', 'qcow2'],
  ])('of %s brings the disk to the byte, and no more of it twice than tables', async (key, strategy, format) => {
    const ending = await importFrom({ url: swift.url(key) });
    expect(ending).toMatchObject({ code: 'complete', sha256: expected, report: { strategy, format } });
    const bytes = images[decodeURIComponent(key)]?.byteLength ?? 0;
    expect(ending.report?.fetchedBytes).toBeLessThanOrEqual(bytes + 131_072);
  });

  test('of an archive unpacks its files', async () => {
    const files = gzipSync(tarArchive([{ name: 'etc/data', body: raw.subarray(0, mib) }]));
    await swift.put('files.tar.gz', files);
    const staging = await bench.staging(sizeBytes);
    const report = await importArchive(
      { source: sourceOf({ url: swift.url('files.tar.gz') }), sizeBytes },
      staging,
      bench.hooks(),
    );
    expect(report).toMatchObject({ files: { bytes: mib }, sourceDigest: `sha256:${sha256(files)}` });
    expect((await readFile(join(staging.dataPath, 'etc/data'))).equals(raw.subarray(0, mib))).toBe(true);
    await staging.discard();
  });

  test.each(['sha256', 'md5'])('with a %s checksum reads all of it in order, and says that it agrees', async (name) => {
    const checksum = `${name}:${createHash(name)
      .update(images['qcow2'] ?? '')
      .digest('hex')}`;
    const ending = await importFrom({ url: swift.url('qcow2') }, checksum);
    expect(ending).toMatchObject({ code: 'complete', sha256: expected, report: { verified: 'digest' } });
  });

  test('with another checksum than asked is refused', async () => {
    const ending = await importFrom({ url: swift.url('raw.gz') }, `sha256:${'1'.repeat(64)}`);
    expect(ending).toMatchObject({ code: 'ChecksumMismatch', sha256: undefined });
  });

  test('of an object that came in parts is proved by its ETag all the same', async () => {
    const name = { Bucket: 'images', Key: 'in-parts' };
    const { UploadId } = await swift.client.send(new CreateMultipartUploadCommand(name));
    const bytes = images['qcow2'] ?? Buffer.alloc(0);
    const halves = [bytes.subarray(0, 6 * mib), bytes.subarray(6 * mib)];
    const parts: { PartNumber: number; ETag: string | undefined }[] = [];
    for (const [index, Body] of halves.entries()) {
      const part = { ...name, UploadId, PartNumber: index + 1, Body };
      parts.push({ PartNumber: index + 1, ETag: (await swift.client.send(new UploadPartCommand(part))).ETag });
    }
    const whole = { ...name, UploadId, MultipartUpload: { Parts: parts } };
    await swift.client.send(new CompleteMultipartUploadCommand(whole));
    const ending = await importFrom({ url: swift.url('in-parts') });
    expect(ending).toMatchObject({ code: 'complete', sha256: expected, report: { strategy: 'nbd' } });
    expect(ending.report?.sourceDigest).toMatch(/^rangeRead:"[0-9a-f]{32}-2"$/);
  });

  test.each(['disks/a%20raw%2Bdisk.img', 'qcow2'])('of %s goes on where a connection was cut', async (key) => {
    await using relay = await CuttingRelay.start(swift.port, mib);
    relay.cutsLeft = 3;
    const ending = await importFrom({ url: `${relay.origin}/images/${key}` });
    expect(ending).toMatchObject({ code: 'complete', sha256: expected });
    expect(relay.cuts).toBe(3);
    const bytes = images[decodeURIComponent(key)]?.byteLength ?? 0;
    expect(ending.report?.fetchedBytes).toBeLessThan(bytes * 1.1);
  });

  test('of an object that is replaced meanwhile is refused as changed', async () => {
    await swift.put('changing', raw);
    await using relay = await CuttingRelay.start(swift.port, 2 * mib);
    relay.cutsLeft = 1;
    relay.onCut = () => swift.put('changing', randomBytes(raw.byteLength));
    const ending = await importFrom({ url: `${relay.origin}/images/changing` });
    expect(ending).toMatchObject({ code: 'SourceChanged', sha256: undefined });
  });

  test('of an empty object is no disk image', async () => {
    await swift.put('empty', Buffer.alloc(0));
    expect(await importFrom({ url: swift.url('empty') })).toMatchObject({ code: 'NotADiskImage' });
  });
});

describe('where the object is', () => {
  test('is learnt from the server where requests are signed for another region', async () => {
    const ending = await importFrom({ url: swift.url('qcow2'), region: 'eu-south-9' });
    expect(ending).toMatchObject({ code: 'complete', sha256: expected });
  });

  test('may be told with the bucket in the name of the server', async () => {
    await using proxy = await LeadingProxy.start(() => swift.port);
    const url = `s3://images/qcow2?endpoint=http://${swiftDomain}&region=${swiftRegion}`;
    const ending = await importFrom({ url, proxy: { http: proxy.url } });
    expect(ending).toMatchObject({ code: 'complete', sha256: expected });
    expect([...proxy.hosts]).toEqual([`images.${swiftDomain}`]);
  });

  test('is the server that the operator set where the URL names none', async () => {
    await withConfig({ s3Endpoint: swift.origin }, async (own) => {
      const source = sourceOf({ url: 's3://images/raw.gz' });
      expect(await own.import('', sizeBytes, { source })).toMatchObject({ code: 'complete', sha256: expected });
    });
  });

  test('may be told by a presigned URL, which needs no secret', async () => {
    const url = presign(swift.url('raw.gz'), swiftRegion, swiftKeys);
    const { credentials: _, ...source } = sourceOf({ url });
    expect(await bench.import('', sizeBytes, { source })).toMatchObject({ code: 'complete', sha256: expected });
    const forged = { ...source, url: url.replace(/(X-Amz-Signature=)..../, '$10000') };
    expect(await bench.import('', sizeBytes, { source: forged })).toMatchObject({ code: 'SourceForbidden' });
  });
});

describe('a server whose clock is hours away', () => {
  test('is asked by its own time', async () => {
    const origin = await swift.startSkewed();
    const ending = await importFrom({ url: `${origin}/images/qcow2` });
    expect(ending).toMatchObject({ code: 'complete', sha256: expected });
  });
});

describe('the right to read', () => {
  test('is not claimed where there is no secret', async () => {
    const { credentials: _, ...source } = sourceOf({ url: `${swift.origin}${published}/qcow2` });
    expect(await bench.import('', sizeBytes, { source })).toMatchObject({ code: 'complete', sha256: expected });
  });

  test.each<[string, Partial<S3Location['credentials']>, string, string]>([
    ['a wrong secret key', { secretAccessKey: 'other' }, 'SourceUnauthorized', 'the secret key is not that of'],
    ['an unknown access key', { accessKeyId: 'probe:nobody' }, 'SourceUnauthorized', 'answered 403'],
  ])('is refused for %s', async (_name, wrong, code, words) => {
    const ending = await importFrom({ url: swift.url('qcow2'), credentials: { ...secretOf(), ...wrong } });
    expect(ending).toMatchObject({ code, sha256: undefined });
    expect(ending.detail).toContain(words);
    expect(ending.detail).not.toContain('other');
    expect(ending.left).toEqual([]);
  });

  test('is missing without a secret, and the refusal says so', async () => {
    const { credentials: _, ...source } = sourceOf({ url: swift.url('qcow2') });
    const ending = await bench.import('', sizeBytes, { source });
    expect(ending.code).toMatch(/^Source(Refused|Unauthorized|Forbidden)$/);
    expect(ending.detail).toContain('asked without credentials');
  });
});

describe('an object that is not there', () => {
  test.each([
    ['a key', 'nothing-here', 'images', 'no such key'],
    ['a bucket', 'qcow2', 'no-such-bucket', 'no such bucket'],
  ])('for want of %s is not found', async (_name, key, bucket, words) => {
    const ending = await importFrom({ url: swift.url(key, bucket) });
    expect(ending).toMatchObject({ code: 'SourceNotFound', sha256: undefined });
    expect(ending.detail).toContain(words);
  });

  test.each(['/', '/images', '/images/'])('for want of a name in %s is refused', async (path) => {
    expect(await importFrom({ url: `${swift.origin}${path}` })).toMatchObject({ code: 'SourceRefused' });
  });
});

describe('the role of the operator', () => {
  test('reads where it was set, and nowhere else', async () => {
    await using tokens = await RoleService.start(swiftKeys);
    await using undo = new AsyncDisposableStack();
    const tokenFile = join(await temporaryDirectory(undo, 'role'), 'token');
    await writeFile(tokenFile, 'the token of the pod');
    const role = { s3RoleArn: 'arn:aws:iam::1:role/reader', s3TokenFile: tokenFile, s3StsEndpoint: tokens.origin };
    const { credentials: _, ...source } = sourceOf({ url: swift.url('qcow2') });
    await withConfig({ ...role, s3Endpoint: swift.origin }, async (own) => {
      expect(await own.import('', sizeBytes, { source })).toMatchObject({ code: 'complete', sha256: expected });
      expect(tokens.asked).toEqual(['AssumeRoleWithWebIdentity arn:aws:iam::1:role/reader the token of the pod']);
    });
    await withConfig(role, async (own) => {
      const ending = await own.import('', sizeBytes, { source });
      expect(ending.detail).toContain('asked without credentials');
      expect(tokens.asked).toHaveLength(1);
    });
    await withConfig({ ...role, s3Endpoint: swift.origin, s3TokenFile: '/nowhere' }, async (own) => {
      expect(await own.import('', sizeBytes, { source })).toMatchObject({ code: 'SourceUnauthorized' });
    });
  });
});
