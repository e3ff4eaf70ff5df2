// A registry of our own that answers as none should: each answer ends in its own fault with nothing left.
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { RegistryLocation } from '../../importer/registry/registry-store.ts';
import { packed as packedAs } from '../hostile/good-images.ts';
import type { Ending, ImportBench } from '../hostile/import-bench.ts';
import { noDisks } from '../hostile/no-disk-corpus.ts';
import { hostileQcow2Images } from '../hostile/qcow2-corpus.ts';
import { descriptionOfAFileOfTheMachine } from '../hostile/vmdk-corpus.ts';
import { tarArchive } from '../tar-archive.ts';
import { diskFile, layer, RegistryBench, sha256, sizeBytes } from './registry-bench.ts';
import { packed, type TestRegistry, types } from './test-registry.ts';

const disk = diskFile.body;
const mib = 1_048_576;
let own: RegistryBench;
let bench: ImportBench;
let registry: TestRegistry;
let qcow2: Buffer;

beforeAll(async () => {
  own = await RegistryBench.make();
  ({ bench, registry, qcow2 } = own);
});

afterAll(() => own.close());

afterEach(async () => {
  registry.reset();
  expect(await bench.stagings()).toEqual([]);
});

function pull(reference: string, more: Partial<RegistryLocation> = {}): Promise<Ending> {
  return own.pull(reference, more);
}

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
