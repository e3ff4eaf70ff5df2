// Of a qcow2 with compressed clusters an import makes the disk that qemu-img makes of it, however it is laid out and whatever its source; and clusters that
// cannot be unpacked end it, with one attempt and nothing left.
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { deflateRawSync, zstdCompressSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { faultCatalogue } from '../../domain/fault-catalogue.ts';
import { convertReceived } from '../../importer/convert-received.ts';
import { receiveUpload } from '../../importer/receive-upload.ts';
import { HostileServer } from './hostile-server.ts';
import { ImportBench } from './import-bench.ts';
import { type ClusterContent, type Compression, packCluster, packedQcow2 } from './packed-qcow2.ts';

const mib = 1_048_576;
const claim = 16 * mib;
/** No whole number of clusters. */
const virtualBytes = 12 * mib + 5 * 512;
const compressions: readonly Compression[] = ['zlib', 'zstd'];
let work: string;
let raw: string;
let bench: ImportBench;
let server: HostileServer;

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 'longshore-packed-'));
  raw = join(work, 'raw');
  const disk = Buffer.alloc(virtualBytes);
  // Words that pack well, bytes that do not pack, zeros, and some of all in one cluster.
  for (let at = mib; at < 5 * mib; at += 16) disk.write(`line ${at % 77_777}\n`, at, 'latin1');
  randomBytes(2 * mib).copy(disk, 5 * mib);
  for (let at = 9 * mib; at < 10 * mib; at += 5000) randomBytes(1000).copy(disk, at);
  disk.write('the end', virtualBytes - 512, 'latin1');
  await writeFile(raw, disk);
  // What is looked at here are images: a server that is slow on a busy machine is no news.
  bench = await ImportBench.make({ config: { firstByteTimeoutMs: 20_000, idleTimeoutMs: 20_000 } });
  server = await HostileServer.start();
});

afterAll(async () => {
  expect(await bench.stagings()).toEqual([]);
  await server.stop();
  await bench.close();
  await rm(work, { recursive: true });
});

async function asConverted(image: Buffer): Promise<string> {
  const [path, target] = [join(work, 'reference.qcow2'), join(work, 'reference.raw')];
  await writeFile(path, image);
  execFileSync('qemu-img', ['convert', '-f', 'qcow2', '-O', 'raw', path, target]);
  const content = await readFile(target);
  return createHash('sha256')
    .update(content)
    .update(Buffer.alloc(claim - content.byteLength))
    .digest('hex');
}

async function importedFrom(behaviour: string, image: Buffer) {
  server.set('image', image);
  return bench.import(server.url(behaviour, 'image'), claim);
}

async function uploaded(image: Buffer) {
  const target = { sizeBytes: claim, preallocation: false };
  const staging = await bench.staging(claim);
  const run = (async () => {
    const result = await receiveUpload(Readable.from([image]), { staging, ...target }, bench.hooks());
    return result.kind === 'ready' ? result.report : convertReceived(target, staging, bench.hooks());
  })();
  return bench.endingOf(run, staging);
}

/** By ranges, while it comes, and from a file; each with one child, which is ours. */
async function expectAsConverted(image: Buffer): Promise<void> {
  const expected = await asConverted(image);
  for (const bring of [
    () => importedFrom('ranges', image),
    () => importedFrom('no-ranges', image),
    () => uploaded(image),
  ]) {
    const { detail, sha256, children } = await bring();
    expect({ detail, sha256, children }).toEqual({ detail: '', sha256: expected, children: 1 });
  }
}

describe('what qemu-img packs', () => {
  const sizes = ['512', '4k', '64k', '2M'];
  const variants = sizes.flatMap((size) => [
    [size, 'zlib', '0.10'],
    [size, 'zlib', '1.1'],
    [size, 'zstd', '1.1'],
  ]);
  test.each(variants)(
    'in clusters of %s with %s, compat %s, is unpacked as it unpacks it',
    async (size, type, compat) => {
      const path = join(work, 'packed.qcow2');
      const options = [
        `compat=${compat}`,
        `cluster_size=${size}`,
        ...(type === 'zstd' ? ['compression_type=zstd'] : []),
      ];
      // -W: in no order.
      const words = ['convert', '-c', '-W', '-m', '8', '-f', 'raw', '-O', 'qcow2', '-o', options.join(',')];
      execFileSync('qemu-img', [...words, raw, path]);
      await expectAsConverted(await readFile(path));
    },
  );

  test('is unpacked where plain clusters, zeros and discarded ones were written over it', async () => {
    const path = join(work, 'written.qcow2');
    execFileSync('qemu-img', ['convert', '-c', '-f', 'raw', '-O', 'qcow2', raw, path]);
    const commands = ['write -q -P 9 2M 100k', 'write -q -z 3M 1M', 'write -q -z -u 4M 64k', 'discard -q 4608k 128k'];
    execFileSync('qemu-io', ['-f', 'qcow2', ...commands.flatMap((command) => ['-c', command]), path]);
    await expectAsConverted(await readFile(path));
  });
});

const clusterBits = 16;
const clusterBytes = 2 ** clusterBits;

/** A cluster of its own for each number; half of it packs well. */
function clusterOf(index: number): Buffer {
  const cluster = Buffer.alloc(clusterBytes, `cluster ${index} `);
  randomBytes(9_000 + 37 * index).copy(cluster, 20_000);
  return cluster;
}

function packedOnes(count: number, compression: Compression): [number, ClusterContent][] {
  return Array.from({ length: count }, (_, index) => [index, { packed: packCluster(clusterOf(index), compression) }]);
}

function imageOf(
  compression: Compression,
  clusters: [number, ClusterContent][],
  more: { order?: number[]; virtualBytes?: number } = {},
): Buffer {
  return packedQcow2({ compression, clusterBits, virtualBytes, clusters: new Map(clusters), ...more });
}

describe.each(compressions)('what is laid out otherwise, with %s', (compression) => {
  const layouts: [string, () => Buffer][] = [
    [
      'backwards',
      () =>
        imageOf(compression, packedOnes(150, compression), { order: Array.from({ length: 150 }, (_, i) => 149 - i) }),
    ],
    [
      'in no order',
      () =>
        imageOf(compression, packedOnes(150, compression), {
          order: Array.from({ length: 150 }, (_, i) => (i * 67) % 150),
        }),
    ],
    [
      'with clusters that share sectors, the last of which the file does not fill',
      () => imageOf(compression, packedOnes(3, compression)),
    ],
    [
      'with one cluster under many numbers',
      () =>
        imageOf(compression, [
          ...packedOnes(2, compression),
          ...Array.from({ length: 150 }, (_, i): [number, ClusterContent] => [i + 2, { sameAs: 1 }]),
        ]),
    ],
    [
      'between zeros and plain clusters',
      () =>
        imageOf(
          compression,
          packedOnes(120, compression).map(([index, packed]) => {
            if (index % 7 === 3) return [index, { zero: true }];
            return [index, index % 5 === 2 ? { plain: clusterOf(index) } : packed];
          }),
        ),
    ],
    [
      'with a cluster that ends beyond the disk',
      () => imageOf(compression, packedOnes(4, compression), { virtualBytes: 3 * clusterBytes + 512 }),
    ],
    [
      'with more sectors than a cluster needs',
      () =>
        imageOf(
          compression,
          packedOnes(5, compression).map(([index, content]) => [
            index,
            'packed' in content && index < 4 ? { ...content, moreSectors: 3 } : content,
          ]),
        ),
    ],
  ];
  test.each(layouts)('%s, is unpacked as qemu-img unpacks it', async (_name, make) => {
    await expectAsConverted(make());
  });
});

test('a deflate stream that goes back further than 4 KiB is taken as qemu-img takes it', async () => {
  const cluster = Buffer.concat([randomBytes(30_000), Buffer.alloc(5536)]);
  const packed = deflateRawSync(Buffer.concat([cluster, cluster.subarray(0, 30_000)]), { windowBits: 15 });
  await expectAsConverted(imageOf('zlib', [[0, { packed }]]));
});

test('a cluster in several zstd frames, some of which are skipped, is taken as qemu-img takes it', async () => {
  const cluster = clusterOf(1);
  const skipped = Buffer.from('502a4d180500000001020304fe', 'hex');
  const frames = [cluster.subarray(0, 100), cluster.subarray(100, 40_000), cluster.subarray(40_000)].map((part) =>
    zstdCompressSync(part),
  );
  await expectAsConverted(imageOf('zstd', [[0, { packed: Buffer.concat([skipped, ...frames]) }]]));
});

test('a deflate stream that has the cluster and no end is taken as qemu-img takes it', async () => {
  const cluster = clusterOf(0);
  // 512 blocks of 128 bytes with 5 before each: whole sectors, so that nothing follows.
  const blocks = Array.from({ length: 512 }, (_, index) => [
    Buffer.from([0, 128, 0, 127, 255]),
    cluster.subarray(index * 128, (index + 1) * 128),
  ]);
  await expectAsConverted(imageOf('zlib', [[0, { packed: Buffer.concat(blocks.flat()) }]]));
});

function spoiled(bytes: Buffer, at: number): Buffer {
  const image = Buffer.from(bytes);
  image.fill(0xff, at, at + 64);
  return image;
}

/** In the middle of what packs not, a frame without a checksum does not tell damage. */
function spoiledAtEnd(bytes: Buffer): Buffer {
  return spoiled(bytes, bytes.byteLength - 64);
}

describe('what cannot be unpacked', () => {
  const many = (compression: Compression, bad: Buffer): Buffer =>
    imageOf(compression, [
      ...packedOnes(90, compression),
      [90, { packed: bad }],
      [91, { packed: packCluster(clusterOf(91), compression) }],
    ]);
  const zeros = Buffer.alloc(clusterBytes + 1);
  const huge = Buffer.alloc(64 * mib);
  const cases: [string, Compression, () => Buffer][] = [
    ['is damaged', 'zlib', () => many('zlib', spoiled(packCluster(clusterOf(90), 'zlib'), 300))],
    ['is damaged', 'zstd', () => many('zstd', spoiled(packCluster(clusterOf(90), 'zstd'), 0))],
    ['is damaged inside of its frame', 'zstd', () => many('zstd', spoiledAtEnd(packCluster(clusterOf(90), 'zstd')))],
    ['is one byte more', 'zlib', () => many('zlib', deflateRawSync(zeros, { windowBits: 12 }))],
    ['is one byte more', 'zstd', () => many('zstd', zstdCompressSync(zeros))],
    ['is one byte less', 'zlib', () => many('zlib', deflateRawSync(zeros.subarray(2), { windowBits: 12 }))],
    ['is one byte less', 'zstd', () => many('zstd', zstdCompressSync(zeros.subarray(2)))],
    ['is a bomb', 'zlib', () => many('zlib', deflateRawSync(huge, { windowBits: 12 }))],
    ['is a bomb', 'zstd', () => many('zstd', zstdCompressSync(huge))],
    ['is cut', 'zlib', () => many('zlib', packCluster(clusterOf(90), 'zlib').subarray(0, 5000))],
    ['is empty', 'zstd', () => many('zstd', Buffer.from('28b52ffd2000010000', 'hex'))],
    ['wants a dictionary', 'zstd', () => many('zstd', Buffer.from('28b52ffd6101000100010000', 'hex'))],
    ['wants a window of 2^41 bytes', 'zstd', () => many('zstd', Buffer.from('28b52ffd00f8010000', 'hex'))],
    [
      'lies beyond the end of the file',
      'zlib',
      () =>
        imageOf(
          'zlib',
          packedOnes(9, 'zlib').map(([index, content]) => [
            index,
            'packed' in content && index === 8 ? { ...content, moreSectors: 9 } : content,
          ]),
        ),
    ],
  ];
  test.each(cases)('a cluster that %s, with %s, is CorruptImage', async (_name, _compression, make) => {
    const image = make();
    for (const bring of [() => importedFrom('ranges', image), () => importedFrom('no-ranges', image)]) {
      const { code, left, children, detail } = await bring();
      expect({ code, detail }).toMatchObject({ code: 'CorruptImage' });
      expect(left.filter((name) => !['children.json', 'disk.img', 'source', 'received.json'].includes(name))).toEqual(
        [],
      );
      expect(children).toBe(1);
    }
    expect(faultCatalogue.CorruptImage.retryable).toBe(false);
  });

  test('is named by its place', async () => {
    const clusters = packedOnes(4, 'zlib');
    const image = imageOf('zlib', [...clusters, [4, { packed: Buffer.alloc(900, 0xff) }]]);
    const { detail } = await importedFrom('ranges', image);
    expect(detail).toContain(`byte ${image.byteLength - 900}`);
  });
});
