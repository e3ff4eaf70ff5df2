// However a qcow2 is laid out, an import by ranges makes of it the disk that qemu-img makes of it: copied from where it lies, unpacked, or converted.
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { HostileServer } from './hostile-server.ts';
import { ImportBench } from './import-bench.ts';

const mib = 1_048_576;
const claim = 48 * mib;
/** No whole number of clusters, and of sectors only. */
const virtualBytes = 40 * mib + 3 * 512;
let work: string;
let raw: string;
let bench: ImportBench;
let server: HostileServer;

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 'longshore-layouts-'));
  raw = join(work, 'raw');
  const disk = Buffer.alloc(virtualBytes);
  randomBytes(18 * mib).copy(disk, 65_536);
  randomBytes(3 * mib).copy(disk, 30 * mib + 4096);
  randomBytes(512).copy(disk, virtualBytes - 512);
  await writeFile(raw, disk);
  bench = await ImportBench.make();
  server = await HostileServer.start();
});

afterAll(async () => {
  expect(await bench.stagings()).toEqual([]);
  await server.stop();
  await bench.close();
  await rm(work, { recursive: true });
});

function convert(path: string, ...options: string[]): void {
  execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', ...options, raw, path]);
}

function writeInto(path: string, ...commands: string[]): void {
  execFileSync('qemu-io', ['-f', 'qcow2', ...commands.flatMap((command) => ['-c', command]), path]);
}

/** Clusters of which none follows the one before it in the file. */
function writeBackwards(path: string): void {
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', path, String(virtualBytes)]);
  const places = Array.from({ length: 100 }, (_, index) => 100 - index);
  writeInto(path, ...places.map((place) => `write -q -P ${place} ${place * 2 * 65_536} 64k`));
}

async function sha256AsConverted(path: string): Promise<string> {
  const target = join(work, 'converted');
  execFileSync('qemu-img', ['convert', '-f', 'qcow2', '-O', 'raw', path, target]);
  const content = await readFile(target);
  return createHash('sha256')
    .update(content)
    .update(Buffer.alloc(claim - content.byteLength))
    .digest('hex');
}

/** The file ends within its last cluster: qemu writes only the subclusters that were asked for. */
function writeFewSubclusters(path: string): void {
  const options = 'extended_l2=on,cluster_size=128k';
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-o', options, path, String(virtualBytes)]);
  writeInto(path, 'write -q -P 3 4M 1M', 'write -q -P 1 1028k 4k', 'write -q -P 2 1044k 8k');
}

type Way = 'copied' | 'unpacked' | 'converted';

describe('a qcow2', () => {
  const layouts: [name: string, way: Way, make: (path: string) => void | Promise<void>][] = [
    ['of plain clusters', 'copied', (path) => convert(path)],
    ['of version 2', 'copied', (path) => convert(path, '-o', 'compat=0.10')],
    ['of large clusters', 'copied', (path) => convert(path, '-o', 'cluster_size=2M')],
    ['of subclusters', 'copied', (path) => convert(path, '-o', 'extended_l2=on')],
    ['of few subclusters', 'copied', writeFewSubclusters],
    [
      'of few subclusters after compressed clusters',
      'converted',
      (path) => {
        convert(path, '-c', '-o', 'extended_l2=on');
        writeInto(path, 'write -q -P 9 25M 2k');
      },
    ],
    ['that is preallocated', 'copied', (path) => convert(path, '-o', 'preallocation=full')],
    ['written backwards', 'copied', writeBackwards],
    [
      'with zeros written over data, discarded parts and a snapshot',
      'copied',
      (path) => {
        convert(path);
        execFileSync('qemu-img', ['snapshot', '-c', 'before', path]);
        writeInto(path, 'write -q -z 1M 1M', 'write -q -z -u 4M 64k', 'discard -q 6M 1M', 'write -q -P 7 8M 100k');
      },
    ],
    ['of compressed clusters', 'unpacked', (path) => convert(path, '-c')],
    [
      'of compressed clusters after plain ones',
      'unpacked',
      (path) => {
        convert(path, '-c');
        writeInto(path, 'write -q -P 9 64k 2M');
      },
    ],
  ];
  test.each(layouts)('%s is %s', async (name, way, make) => {
    const path = join(work, name.replaceAll(' ', '-'));
    await make(path);
    server.set('image', await readFile(path));
    const { detail, sha256, children } = await bench.import(server.url('ranges', 'image'), claim);
    expect(detail).toBe('');
    expect(sha256).toBe(await sha256AsConverted(path));
    // Each child is recorded in the staging: the one that unpacks; or the one that maps, and the one that converts.
    expect(children).toBe(way === 'converted' ? 2 : 1);
  });

  test('whose server drops the connection goes on from there', async () => {
    const path = join(work, 'dropped');
    convert(path);
    server.set('dropped', await readFile(path));
    const { sha256 } = await bench.import(server.url('drops-once', 'dropped'), claim);
    expect(sha256).toBe(await sha256AsConverted(path));
  });

  test('of few subclusters is taken from a server without ranges', async () => {
    const path = join(work, 'few');
    writeFewSubclusters(path);
    server.set('few', await readFile(path));
    const { detail, sha256 } = await bench.import(server.url('no-ranges', 'few'), claim);
    expect(detail).toBe('');
    expect(sha256).toBe(await sha256AsConverted(path));
  });

  test('of which a subcluster lies beyond the end of the file is CorruptImage', async () => {
    const path = join(work, 'few-cut');
    writeFewSubclusters(path);
    const whole = await readFile(path);
    server.set('few-cut', whole.subarray(0, whole.byteLength - 512));
    for (const behaviour of ['ranges', 'no-ranges']) {
      expect(await bench.import(server.url(behaviour, 'few-cut'), claim)).toMatchObject({ code: 'CorruptImage' });
    }
  });

  test('of which a cluster lies beyond the end of the file is CorruptImage', async () => {
    const path = join(work, 'cut');
    convert(path);
    const whole = await readFile(path);
    server.set('cut', whole.subarray(0, whole.byteLength - 2 * mib));
    const { code, left } = await bench.import(server.url('ranges', 'cut'), claim);
    expect(code).toBe('CorruptImage');
    expect(left.filter((name) => !['disk.img', 'children.json'].includes(name))).toEqual([]);
  });
});
