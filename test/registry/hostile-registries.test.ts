// A registry of our own that answers as none should, or as only some do: each ends in its own fault with nothing left, or in the very disk.

import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { RegistryLocation } from '../../importer/registry/registry-store.ts';
import { closeServer, listenOn } from '../../runtime/listen.ts';
import { packed as packedAs } from '../hostile/good-images.ts';
import { type Ending, ImportBench } from '../hostile/import-bench.ts';
import { noDisks } from '../hostile/no-disk-corpus.ts';
import { hostileQcow2Images } from '../hostile/qcow2-corpus.ts';
import { descriptionOfAFileOfTheMachine } from '../hostile/vmdk-corpus.ts';
import { type TarFile, tarArchive } from '../tar-archive.ts';
import { packed, TestRegistry, types } from './test-registry.ts';

const mib = 1_048_576;
const sizeBytes = 4 * mib;
const disk = Buffer.concat([randomBytes(mib), Buffer.alloc(mib), randomBytes(mib + 512)]);
const whole = sha256(Buffer.concat([disk, Buffer.alloc(sizeBytes - disk.length)]));
let bench: ImportBench;
let registry: TestRegistry;
let qcow2: Buffer;

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

beforeAll(async () => {
  const work = await mkdtemp(join(tmpdir(), 'longshore-registry-'));
  await writeFile(join(work, 'raw'), disk);
  execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', 'raw', 'qcow2'], { cwd: work });
  qcow2 = await readFile(join(work, 'qcow2'));
  await rm(work, { recursive: true });
  [bench, registry] = await Promise.all([ImportBench.make(), TestRegistry.start()]);
});

afterAll(() => Promise.all([bench.close(), registry.stop()]));

afterEach(async () => {
  registry.reset();
  expect(await bench.stagings()).toEqual([]);
});

function pull(reference: string, more: Partial<RegistryLocation> = {}): Promise<Ending> {
  const source = {
    kind: 'registry' as const,
    url: registry.url(reference),
    certificates: [],
    insecureSkipVerify: true,
  };
  return bench.import('', sizeBytes, { source: { ...source, ...more } });
}

function layer(...files: TarFile[]): Buffer {
  return packed(tarArchive(files));
}

const diskFile: TarFile = { name: 'disk/disk.img', body: disk };

describe('the disk comes out', () => {
  test.each<[string, () => Buffer[], string, string]>([
    ['of one layer packed with gzip', () => [layer(diskFile)], 'raw', 'stream'],
    ['of one that is packed with zstd', () => [zstdCompressSync(tarArchive([diskFile]))], 'raw', 'stream'],
    ['of one that is not packed', () => [tarArchive([diskFile])], 'raw', 'stream'],
    [
      'of one packed in two parts',
      () => [Buffer.concat([packed(tarArchive([], false)), layer(diskFile)])],
      'raw',
      'stream',
    ],
    ['of the lower of two layers', () => [layer(diskFile), layer({ name: 'etc/x' })], 'raw', 'stream'],
    ['of the upper, which replaces it', () => [layer({ name: 'disk/disk.img' }), layer(diskFile)], 'raw', 'stream'],
    [
      'of plain layers, one of which replaces it',
      () => [tarArchive([{ name: 'disk/disk.img' }]), tarArchive([diskFile])],
      'raw',
      'stream',
    ],
    ['as a qcow2 out of a plain layer', () => [tarArchive([{ name: 'disk/d', body: qcow2 }])], 'qcow2', 'staged'],
    ['as a qcow2 out of a packed layer', () => [layer({ name: 'disk/d', body: qcow2 })], 'qcow2', 'staged'],
    ['packed by itself', () => [layer({ name: 'disk/d.gz', body: gzipSync(disk) })], 'raw.gz', 'stream'],
    [
      'packed by itself in a plain layer',
      () => [tarArchive([{ name: 'disk/d.gz', body: gzipSync(qcow2) }])],
      'qcow2.gz',
      'staged',
    ],
    [
      'packed by itself with bzip2',
      () => [layer({ name: 'disk/d.bz2', body: packedAs(disk, 'bz2') })],
      'raw.bz2',
      'stream',
    ],
    [
      'packed by itself, twice',
      () => [layer({ name: 'disk/d.gz', body: gzipSync(gzipSync(disk)) })],
      'raw.gz.gz',
      'stream',
    ],
    [
      'after another one was deleted',
      () => [layer({ name: 'disk/old', body: qcow2 }), layer({ name: 'disk/.wh.old' }, diskFile)],
      'raw',
      'stream',
    ],
  ])('%s', async (_what, layers, format, strategy) => {
    const { digest } = registry.image('good', { layers: layers() });
    const ended = await pull(':good');
    expect(ended).toMatchObject({ code: 'complete', sha256: whole, report: { format, strategy } });
    expect(ended.report?.verified).toBe('digest');
    expect((await pull(`@${digest}`)).sha256).toBe(whole);
  });

  test('and no layer is read that an upper one hides', async () => {
    const old = layer({ name: 'disk/old', body: qcow2 });
    registry.image('hidden', { layers: [old, layer({ name: '.wh.disk' }, diskFile)] });
    expect(await pull(':hidden')).toMatchObject({ code: 'complete', sha256: whole });
    expect(registry.requests.filter((asked) => asked.includes(sha256(old)))).toEqual([]);
  });

  test('and no byte of a layer comes twice', async () => {
    const bytes = layer(diskFile);
    registry.image('once', { layers: [bytes] });
    const { report } = await pull(':once');
    expect(report?.fetchedBytes).toBeGreaterThan(bytes.length);
    expect(report?.fetchedBytes).toBeLessThan(bytes.length + 2000);
  });

  test('and what a plain layer holds beside it is not fetched where the disk is too large', async () => {
    const other = { name: 'usr/large', body: randomBytes(8 * mib) };
    registry.image('beside', {
      layers: [tarArchive([other, { name: 'disk/d', body: Buffer.alloc(5 * mib, 1) }, other])],
    });
    const { code, lastProgress } = await pull(':beside');
    expect(code).toBe('ImageTooLarge');
    expect(lastProgress?.bytesFetched).toBeLessThan(mib);
  });

  test('with what its environment says as labels', async () => {
    const environment = ['TEST_KUBEVIRT_IO_TEST=value', 'KUBEVIRT_IO_X=not a label', 'PATH=/bin', 'A_KUBEVIRT_IO_='];
    registry.image('labels', { layers: [layer(diskFile)], environment });
    expect((await pull(':labels')).report?.labels).toEqual({ 'test.kubevirt.io/test': 'value' });
  });

  test('after a registry that is busy said when to come again', async () => {
    registry.image('busy', { layers: [layer(diskFile)] });
    const refused = new Set<string>();
    registry.answer = ({ url = '' }, response) => {
      if (refused.has(url)) return false;
      refused.add(url);
      response.writeHead(429, { 'retry-after': '0' }).end();
      return true;
    };
    expect(await pull(':busy')).toMatchObject({ code: 'complete', sha256: whole });
    expect(refused.size).toBe(3);
  });

  test('of a layer whose connection breaks again and again', async () => {
    const bytes = layer(diskFile);
    registry.image('broken', { layers: [bytes] });
    let breaks = 0;
    registry.answer = ({ url = '', headers }, response) => {
      const from = /^bytes=(\d+)-/.exec(headers.range ?? '');
      if (!url.endsWith(sha256(bytes)) || from === null || Number(from[1]) === 0 || breaks === 3) return false;
      breaks += 1;
      const start = Number(from[1]);
      response.writeHead(206, {
        'content-range': `bytes ${start}-${bytes.length - 1}/${bytes.length}`,
        'content-length': bytes.length - start,
      });
      response.write(bytes.subarray(start, start + 100_000), () => response.destroy());
      return true;
    };
    expect(await pull(':broken')).toMatchObject({ code: 'complete', sha256: whole });
    expect(breaks).toBe(3);
  });

  test('of a registry that serves no ranges', async () => {
    registry.servesRanges = false;
    registry.image('whole', { layers: [tarArchive([{ name: 'disk/d', body: qcow2 }])] });
    expect(await pull(':whole')).toMatchObject({ code: 'complete', sha256: whole, report: { strategy: 'staged' } });
  });
});

describe('a token', () => {
  test('is asked for without a user, and renewed while the layer is read', async () => {
    registry.image('tokens', { layers: [tarArchive([{ name: 'disk/d', body: qcow2 }])] });
    registry.tokens = { good: new Set(), usesOfEach: 2 };
    expect(await pull(':tokens')).toMatchObject({ code: 'complete', sha256: whole });
    expect(registry.tokens.good.size).toBeGreaterThan(1);
  });

  test('is given to who has the right, and to nobody else', async () => {
    registry.image('tokens', { layers: [layer(diskFile)] });
    registry.tokens = { good: new Set(), usesOfEach: 100, user: 'me:mine' };
    const credentials = { username: 'me', password: 'mine' };
    expect(await pull(':tokens', { credentials })).toMatchObject({ code: 'complete', sha256: whole });
    expect((await pull(':tokens', { credentials: { ...credentials, password: 'no' } })).code).toBe(
      'SourceUnauthorized',
    );
    expect((await pull(':tokens')).code).toBe('SourceUnauthorized');
  });

  test('and a user go to the registry only, not to where it keeps its layers', async () => {
    const bytes = layer(diskFile);
    registry.image('led', { layers: [bytes] });
    const told: unknown[] = [];
    const elsewhere: Server = createServer((request, response) => {
      told.push(request.headers.authorization);
      registry.send(request, response, bytes);
    });
    const { port } = await listenOn(elsewhere, { host: '127.0.0.1', port: 0 });
    registry.tokens = { good: new Set(), usesOfEach: 100 };
    registry.answer = ({ url = '' }, response) => {
      if (!url.endsWith(sha256(bytes))) return false;
      response.writeHead(307, { location: `http://127.0.0.1:${port}/kept` }).end();
      return true;
    };
    expect(await pull(':led')).toMatchObject({ code: 'complete', sha256: whole });
    expect(new Set(told)).toEqual(new Set([undefined]));
    await closeServer(elsewhere);
  });

  test.each([
    ['from a server that is none', 'Bearer realm="file:///etc/passwd"', 'SourceRefused'],
    ['in a way that nobody knows', 'Negotiate', 'SourceUnauthorized'],
    ['from nowhere', 'Bearer service="x"', 'SourceUnauthorized'],
  ])('%s is not had', async (_what, challenge, code) => {
    registry.answer = (_request, response) => {
      response.writeHead(401, { 'www-authenticate': challenge }).end();
      return true;
    };
    expect((await pull(':x')).code).toBe(code);
  });
});

const cut = Buffer.alloc(1000, 7);
const manyFiles = Array.from({ length: 3 }, (_, at) => ({ name: `disk/${at}`, body: Buffer.alloc(1024) }));

const corpus = [...hostileQcow2Images(), ...noDisks()];
const lying = (name: string) => corpus.find((image) => image.name === name)?.bytes ?? Buffer.alloc(0);

function withAnotherSum(gzip: Buffer): Buffer {
  gzip.writeUInt8(gzip.readUInt8(gzip.length - 8) ^ 1, gzip.length - 8);
  return gzip;
}

describe('is refused, with nothing left', () => {
  test.each<[string, () => Buffer, string]>([
    ['a zip', () => lying('zip'), 'NotADiskImage'],
    ['a tar', () => tarArchive([{ name: 'disk.img', body: disk }]), 'NotADiskImage'],
    ['a gzip that ends early', () => gzipSync(disk).subarray(0, -100_000), 'CorruptCompression'],
    ['a gzip whose sum is another', () => withAnotherSum(gzipSync(disk)), 'CorruptCompression'],
    ['an xz that ends early', () => packedAs(disk, 'xz').subarray(0, -100_000), 'CorruptCompression'],
    ['a qcow2 with a backing file', () => lying('backing file /etc/passwd'), 'HostileImage'],
    ['a qcow2 with an external data file', () => lying('external data file'), 'HostileImage'],
    ['a vmdk that names a file of the machine', () => descriptionOfAFileOfTheMachine(), 'HostileImage'],
    ['a cut qcow2', () => qcow2.subarray(0, -200_000), 'CorruptImage'],
    ['a qcow2 of a larger disk', () => lying('larger than the volume'), 'ImageTooLarge'],
  ])('%s as the disk of a layer, packed or plain', async (_what, make, code) => {
    const archive = tarArchive([{ name: 'disk/d', body: make() }]);
    for (const bytes of [archive, packed(archive)]) {
      registry.image('bad', { layers: [bytes] });
      expect(await pull(':bad')).toMatchObject({ code, report: undefined, sha256: undefined });
    }
  });

  test.each<[string, () => Buffer[], string, RegExp]>([
    [
      'an image without a disk',
      () => [layer({ name: 'etc/x' })],
      'NotAContainerDisk',
      /Failed to find VM disk image file/,
    ],
    ['an image without layers', () => [], 'NotAContainerDisk', /Failed to find VM disk image file/],
    [
      'two disks in a packed layer',
      () => [layer(diskFile, { name: 'disk/b' })],
      'NotAContainerDisk',
      /more than one file: disk\/disk.img, disk\/b/,
    ],
    [
      'two disks in a plain layer',
      () => [tarArchive([diskFile, { name: 'disk/b' }])],
      'NotAContainerDisk',
      /more than one file/,
    ],
    [
      'two disks in two layers',
      () => [layer({ name: 'disk/b' }), layer(diskFile)],
      'NotAContainerDisk',
      /disk\/disk.img, disk\/b/,
    ],
    ['many disks', () => [layer(...manyFiles)], 'NotAContainerDisk', /disk\/0, disk\/1/],
    [
      'a disk that is a link',
      () => [layer({ name: 'disk/d', type: '2', link: '/etc/shadow' })],
      'HostileImage',
      /symbolic link/,
    ],
    ['a disk that is a device', () => [layer({ name: 'disk/d', type: '4' })], 'HostileImage', /block device/],
    ['a path that leads upwards', () => [layer({ name: 'disk/../../etc/x' })], 'HostileImage', /tainted/],
    [
      'headers without end',
      () => [layer({ name: 'p', type: 'x', size: '77777777777' })],
      'HostileImage',
      /extended headers/,
    ],
    ['a layer that is no archive', () => [packed(cut)], 'CorruptImage', /tar archive/],
    ['a layer that is nothing known', () => [cut], 'CorruptImage', /tar archive/],
    ['a packed layer that is cut', () => [layer(diskFile).subarray(0, -100_000)], 'CorruptCompression', /./],
    [
      'a disk larger than the volume',
      () => [layer({ name: 'disk/d', body: Buffer.alloc(5 * mib) })],
      'ImageTooLarge',
      /./,
    ],
    [
      'a page in place of a disk',
      () => [layer({ name: 'disk/d', body: Buffer.from(`<html>${'x'.repeat(600)}`) })],
      'NotADiskImage',
      /./,
    ],
  ])('%s', async (_what, layers, code, detail) => {
    registry.image('bad', { layers: layers() });
    const ended = await pull(':bad');
    expect(ended).toMatchObject({ code, detail: expect.stringMatching(detail), report: undefined });
  });

  test('a bootc image, in CDI’s words', async () => {
    registry.image('bootc', { layers: [layer(diskFile)], labels: { 'containers.bootc': '1' } });
    expect(await pull(':bootc')).toMatchObject({
      code: 'NotAContainerDisk',
      detail: expect.stringContaining('bootc image detected'),
    });
  });

  test.each<[string, () => Buffer, () => number]>([
    ['packed', () => layer(diskFile), () => 4],
    ['plain', () => tarArchive([diskFile]), () => 512 + mib - 1],
    ['plain one with a qcow2 as', () => tarArchive([{ name: 'disk/d', body: qcow2 }]), () => 512 + qcow2.length - 1],
  ])('a %s layer with one other byte, which only the digest tells', async (_what, make, changedAt) => {
    const bytes = make();
    registry.image('changed', { layers: [bytes] });
    const other = Buffer.from(bytes);
    other.writeUInt8(other.readUInt8(changedAt()) ^ 1, changedAt());
    registry.answer = (request, response) => {
      if (request.url?.endsWith(sha256(bytes)) !== true) return false;
      registry.send(request, response, other);
      return true;
    };
    expect(await pull(':changed')).toMatchObject({
      ...{ code: 'ChecksumMismatch', report: undefined },
      detail: `layer sha256:${sha256(bytes)} really is sha256:${sha256(other)}`,
    });
  });

  test('a layer of another length than the manifest says', async () => {
    const bytes = layer(diskFile);
    registry.image('longer', { layers: [bytes] });
    registry.answer = (request, response) => {
      if (request.url?.endsWith(sha256(bytes)) !== true) return false;
      registry.send(request, response, Buffer.concat([bytes, Buffer.alloc(1)]));
      return true;
    };
    expect((await pull(':longer')).code).toBe('ChecksumMismatch');
  });

  test.each(['manifests', 'blobs'])('%s whose bytes are not those of their digest', async (kind) => {
    const { digest } = registry.image('changed', { layers: [layer(diskFile)] });
    registry.answer = (request, response) => {
      if (request.url?.includes(`/${kind}/`) !== true) return false;
      registry.send(
        request,
        response,
        Buffer.from('{"schemaVersion":2,"config":{"digest":"","size":1},"layers":[]}'),
        types.manifest,
      );
      return true;
    };
    expect((await pull(`@${digest}`)).code).toBe('ChecksumMismatch');
  });

  test('a manifest that the registry names otherwise than it is', async () => {
    registry.image('named', { layers: [layer(diskFile)] });
    registry.answer = (_request, response) => {
      response.setHeader('docker-content-digest', `sha256:${'0'.repeat(64)}`);
      return false;
    };
    expect((await pull(':named')).code).toBe('ChecksumMismatch');
  });

  test.each<[string, () => object | Buffer, string, RegExp]>([
    ['of 5 MiB', () => Buffer.alloc(5 * mib, ' '), 'NotAContainerDisk', /too much/],
    ['that is no JSON', () => Buffer.from('<html>'), 'NotAContainerDisk', /no JSON/],
    ['that is null', () => Buffer.from('null'), 'NotAContainerDisk', /no JSON object/],
    ['of schema version 1', () => ({ schemaVersion: 1, fsLayers: [] }), 'NotAContainerDisk', /schema version 1/],
    [
      'of another type',
      () => ({ mediaType: 'application/vnd.cncf.helm.config.v1+json' }),
      'NotAContainerDisk',
      /media type application\/vnd.cncf/,
    ],
    [
      'that is two things at once',
      () => ({ manifests: [], layers: [], config: {} }),
      'NotAContainerDisk',
      /an index and an image at once/,
    ],
    ['without its members', () => ({ mediaType: types.manifest }), 'NotAContainerDisk', /form/],
    [
      'whose digest is none',
      () => ({ mediaType: types.manifest, config: { digest: 'md5:12', size: 1 }, layers: [] }),
      'NotAContainerDisk',
      /sha256/,
    ],
    [
      'whose configuration is huge',
      () => ({ mediaType: types.manifest, config: { digest: `sha256:${'0'.repeat(64)}`, size: 1e12 }, layers: [] }),
      'NotAContainerDisk',
      /too much/,
    ],
  ])('a manifest %s', async (_what, value, code, detail) => {
    registry.manifest(value(), { tag: 'odd' });
    expect(await pull(':odd')).toMatchObject({ code, detail: expect.stringMatching(detail) });
  });

  test('an index that leads to itself', async () => {
    let last = registry.manifest({ manifests: [] }, { type: types.index });
    for (let depth = 0; depth < 5; depth += 1) {
      const entry = { ...last, platform: { architecture: 'amd64', os: 'linux' } };
      last = registry.manifest({ mediaType: types.index, manifests: [entry] }, { tag: 'deep', type: types.index });
    }
    expect(await pull(':deep', { architecture: 'amd64' })).toMatchObject({
      code: 'NotAContainerDisk',
      detail: expect.stringContaining('again and again'),
    });
  });

  test.each([
    [401, 'SourceUnauthorized'],
    [403, 'SourceForbidden'],
    [404, 'SourceNotFound'],
    [429, 'SourceUnavailable'],
    [500, 'SourceUnavailable'],
  ])('an answer %i', async (status, code) => {
    registry.answer = (_request, response) => {
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end('{"errors":[{"code":"NAME_UNKNOWN","message":"words of the registry"}]}');
      return true;
    };
    const ended = await pull(':x');
    expect(ended).toMatchObject({
      code,
      detail: expect.stringContaining(`failed to pull image: ${registry.url(':x')}`),
    });
    expect(ended.detail).toContain(`${status}, NAME_UNKNOWN`);
    expect(ended.detail).not.toContain('words of the registry');
  });

  test('a registry without TLS that is not among the insecure ones', async () => {
    registry.image('plain', { layers: [layer(diskFile)] });
    expect((await pull(':plain', { insecureSkipVerify: false })).code).toBe('SourceUntrusted');
    expect(registry.requests).toEqual([]);
  });
});

test('an abort in the middle of a layer leaves nothing', async () => {
  const bytes = layer(diskFile);
  registry.image('slow', { layers: [bytes] });
  const stop = new AbortController();
  registry.answer = (request, response) => {
    if (!request.url?.endsWith(sha256(bytes)) || request.headers.range === 'bytes=0-65535') return false;
    response.writeHead(200, { 'content-length': bytes.length }).write(bytes.subarray(0, 1000));
    stop.abort();
    return true;
  };
  const source = { kind: 'registry' as const, url: registry.url(':slow'), certificates: [], insecureSkipVerify: true };
  const ended = await bench.import('', sizeBytes, { source, signal: stop.signal });
  expect(ended).toMatchObject({ code: 'Cancelled', report: undefined });
});
