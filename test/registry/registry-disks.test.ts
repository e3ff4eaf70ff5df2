// A registry of our own that answers as only some do: in whatever layers and behind whatever tokens it lies, the very disk comes out.
import { randomBytes } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { RegistryLocation } from '../../importer/registry/registry-store.ts';
import { closeServer, listenOn } from '../../runtime/listen.ts';
import { packed as packedAs } from '../hostile/good-images.ts';
import type { Ending, ImportBench } from '../hostile/import-bench.ts';
import { tarArchive } from '../tar-archive.ts';
import { diskFile, layer, RegistryBench, sha256, whole } from './registry-bench.ts';
import { packed, type TestRegistry } from './test-registry.ts';

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
