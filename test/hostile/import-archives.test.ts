// Archives from a web server and as uploads: in every format and compression the same files as GNU tar unpacks; and what nobody made by accident is refused with
// its own fault, with nothing changed outside and no byte of it left once the staging is discarded.
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, mkdir, readdir, readFile, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Fault } from '../../domain/fault.ts';
import type { TransferReport } from '../../domain/volume-record.ts';
import { importArchive } from '../../importer/archive/import-archive.ts';
import { receiveArchive } from '../../importer/archive/receive-archive.ts';
import type { Staging } from '../../volumes/staging.ts';
import { treeDigest } from '../../volumes/tree-digest.ts';
import { paxFile, type TarFile, tarArchive } from '../tar-archive.ts';
import { temporaryDirectory } from '../temporary-directory.ts';
import { compressionNames, packed } from './good-images.ts';
import { HostileServer } from './hostile-server.ts';
import { ImportBench } from './import-bench.ts';

const mib = 1_048_576;
const claim = 4 * mib;
const undo = new AsyncDisposableStack();
const { signal } = new AbortController();
let bench: ImportBench;
let server: HostileServer;
let work: string;
let given: string;

beforeAll(async () => {
  bench = await ImportBench.make({ config: { firstByteTimeoutMs: 20_000, idleTimeoutMs: 20_000 } });
  server = await HostileServer.start();
  work = await temporaryDirectory(undo, 'archives');
  given = join(work, 'given');
  await mkdir(join(given, 'etc/deep'), { recursive: true });
  await mkdir(join(given, 'empty'));
  await writeFile(join(given, 'etc/passwd'), 'root\n');
  await writeFile(join(given, 'etc/deep/random'), randomBytes(700_001));
  await writeFile(join(given, 'etc/run'), '#!/bin/sh\n');
  await chmod(join(given, 'etc/run'), 0o750);
  await writeFile(join(given, `${'long-'.repeat(40)}name`), 'of a long name');
  await writeFile(join(given, 'ünïcode'), 'ü');
  await writeFile(join(given, 'holes'), 'x');
  await truncate(join(given, 'holes'), mib);
  await symlink('../etc/deep/random', join(given, 'etc/link'));
  await symlink('nowhere', join(given, 'dangling'));
  execFileSync('ln', [join(given, 'etc/run'), join(given, 'hard')]);
});

afterAll(async () => {
  expect(await bench.stagings()).toEqual([]);
  await server.stop();
  await bench.close();
  await undo.disposeAsync();
});

const tar = (...args: string[]): Buffer => execFileSync('tar', ['-C', given, '-c', ...args], { maxBuffer: 1e8 });

interface Ending {
  code: string;
  detail: string;
  report?: TransferReport;
  digest?: string;
}

/** @param look is shown the staging before it is discarded */
async function endingOf(
  run: (staging: Staging) => Promise<TransferReport>,
  sizeBytes = claim,
  look: (data: string) => Promise<void> = async () => undefined,
): Promise<Ending> {
  const staging = await bench.staging(sizeBytes);
  try {
    const report = await run(staging);
    await look(staging.dataPath);
    return {
      code: 'complete',
      detail: '',
      report,
      digest: (await treeDigest(staging.dataPath, { signal })).contentDigest,
    };
  } catch (error) {
    // Safe: whatever an import throws is a Fault, else the code is undefined and no test expects that.
    const { code, detail } = error as Fault;
    return { code, detail };
  } finally {
    await staging.discard();
    expect(existsSync(staging.directory)).toBe(false);
  }
}

function imported(
  bytes: Buffer,
  more: { sizeBytes?: number; checksum?: string; behaviour?: string } = {},
): Promise<Ending> {
  const name = randomBytes(8).toString('hex');
  server.set(name, bytes);
  const { sizeBytes = claim, behaviour = 'ranges', ...checksum } = more;
  const url = server.url(behaviour, name);
  const source = { kind: 'http' as const, url, headers: [], certificates: [], insecureSkipVerify: false };
  return endingOf((staging) => importArchive({ source, sizeBytes, ...checksum }, staging, bench.hooks()), sizeBytes);
}

function uploaded(
  bytes: Buffer,
  more: { sizeBytes?: number; declaredBytes?: number; checksum?: string } = {},
): Promise<Ending> {
  const { sizeBytes = claim, declaredBytes = bytes.length, ...checksum } = more;
  const body = () => Readable.from([bytes.subarray(0, 1000), bytes.subarray(1000)]);
  return endingOf(
    (staging) => receiveArchive(body(), { staging, sizeBytes, declaredBytes, ...checksum }, bench.hooks()),
    sizeBytes,
  );
}

/** What GNU tar makes of it. */
async function unpackedByTar(bytes: Buffer): Promise<string> {
  const place = join(work, randomBytes(8).toString('hex'));
  await mkdir(place);
  execFileSync('tar', ['-C', place, '-x', '--preserve-permissions', '--no-same-owner'], { input: bytes });
  return (await treeDigest(place, { signal })).contentDigest;
}

describe('an archive of GNU tar', () => {
  test.each(['pax', 'gnu', 'oldgnu'])('in format %s, plain and in each compression', async (format) => {
    const bytes = tar(`--format=${format}`, '.');
    const digest = await unpackedByTar(bytes);
    const all = [
      imported(bytes),
      imported(bytes, { behaviour: 'no-ranges' }),
      uploaded(bytes),
      ...compressionNames.flatMap((how) => [imported(packed(bytes, how)), uploaded(packed(bytes, how))]),
    ];
    for (const ending of await Promise.all(all)) {
      expect(ending).toMatchObject({ detail: '', digest, report: { contentDigest: digest, strategy: 'stream' } });
      expect(ending.report?.files).toEqual({ entries: 12, bytes: 5 + 700_001 + 2 * 10 + 14 + 2 + mib });
    }
  });

  test('in format ustar and v7, of what fits into it', async () => {
    for (const format of ['ustar', 'v7']) {
      const bytes = tar(`--format=${format}`, 'etc', 'hard', 'holes', 'dangling');
      expect(await imported(bytes)).toMatchObject({ detail: '', digest: await unpackedByTar(bytes) });
    }
  });

  test('compressed twice, and its report', async () => {
    const bytes = packed(packed(tar('.'), 'zst'), 'gz');
    const ending = await imported(bytes);
    expect(ending.report).toMatchObject({
      ...{ format: 'tar.zst.gz', verified: 'length', virtualSizeBytes: claim, sourceBytes: bytes.length },
      ...{ sourceDigest: expect.stringMatching(/^sha256:/), fetchedBytes: bytes.length },
    });
    expect(ending.report?.allocatedBytes).toBeLessThan(mib);
    expect(ending.report?.warnings).toBeUndefined();
  });

  test('to which a newer version of a file was appended', async () => {
    const file = join(work, 'appended.tar');
    execFileSync('tar', ['-C', given, '-cf', file, 'etc/passwd']);
    const newer = join(work, 'newer');
    await mkdir(join(newer, 'etc'), { recursive: true });
    await writeFile(join(newer, 'etc/passwd'), 'another root\n');
    execFileSync('tar', ['-C', newer, '-rf', file, 'etc/passwd']);
    const bytes = await readFile(file);
    expect(await imported(bytes)).toMatchObject({ detail: '', digest: await unpackedByTar(bytes) });
  });

  test('with absolute links, which stay inside and are told of', async () => {
    const bytes = tarArchive([
      { name: 'usr/bin/vi', body: Buffer.from('vi') },
      { name: 'etc/editor', type: '2', link: '/usr/bin/vi' },
    ]);
    const { report } = await imported(bytes);
    expect(report?.warnings).toEqual(['1 absolute links were made relative to the root of the archive']);
  });

  test('whose checksum is asked', async () => {
    const bytes = packed(tar('.'), 'gz');
    const checksum = `sha256:${execFileSync('sha256sum', { input: bytes }).toString().slice(0, 64)}`;
    expect(await imported(bytes, { checksum })).toMatchObject({
      report: { verified: 'digest', sourceDigest: checksum },
    });
    const wrong = checksum.replace(/.$/, (last) => (last === '0' ? '1' : '0'));
    expect((await imported(bytes, { checksum: wrong })).code).toBe('ChecksumMismatch');
    expect((await uploaded(bytes, { checksum: wrong })).code).toBe('ChecksumMismatch');
  });

  test('that comes over a connection that drops', async () => {
    const bytes = tar('.');
    expect(await imported(bytes, { behaviour: 'drops-once' })).toMatchObject({
      detail: '',
      digest: await unpackedByTar(bytes),
    });
  });
});

const secret = (more: Partial<TarFile>): TarFile => ({ name: 'a', body: Buffer.from('evil'), ...more });
const special = (type: string): TarFile => ({ name: 'a', type });
const linked = (name: string, link: string, type = '2'): TarFile => ({ name, type, link });

describe('is refused with its own fault and leaves nothing:', () => {
  test.each<[string, () => Buffer, string]>([
    ['a name with ..', () => tarArchive([secret({ name: '../evil' })]), 'HostileArchive'],
    [
      'a long name with ..',
      () => tarArchive([paxFile({ path: `${'x/'.repeat(100)}../../evil` }), secret({})]),
      'HostileArchive',
    ],
    ['an absolute name', () => tarArchive([secret({ name: '/tmp/longshore-evil' })]), 'HostileArchive'],
    [
      'an absolute name in pax',
      () => tarArchive([paxFile({ path: '/tmp/longshore-evil' }), secret({})]),
      'HostileArchive',
    ],
    ['a link out', () => tarArchive([linked('a', '../../..')]), 'HostileArchive'],
    ['a file through a link', () => tarArchive([linked('a', 'b'), secret({ name: 'a/b' })]), 'HostileArchive'],
    [
      'a file through an absolute link',
      () => tarArchive([linked('a', '/tmp'), secret({ name: 'a/b' })]),
      'HostileArchive',
    ],
    ['a hard link out', () => tarArchive([linked('a', '../../../../etc/hostname', '1')]), 'HostileArchive'],
    ['an absolute hard link', () => tarArchive([linked('a', '/etc/hostname', '1')]), 'HostileArchive'],
    ['a hard link through a link', () => tarArchive([linked('a', '.'), linked('b', 'a/a', '1')]), 'HostileArchive'],
    ['a file and a directory of one name', () => tarArchive([{ name: 'a/', type: '5' }, secret({})]), 'HostileArchive'],
    ['a character device', () => tarArchive([special('3')]), 'HostileArchive'],
    ['a block device', () => tarArchive([special('4')]), 'HostileArchive'],
    ['a pipe', () => tarArchive([special('6')]), 'HostileArchive'],
    ['what nobody knows', () => tarArchive([special('Q')]), 'HostileArchive'],
    ['a file stored sparse', () => tar('-S', 'holes'), 'HostileArchive'],
    ['headers of 8 GiB', () => tarArchive([{ name: 'p', type: 'x', size: '77777777777' }]), 'HostileArchive'],
    [
      'headers without end',
      () => tarArchive(Array.from({ length: 3000 }, () => paxFile({ a: 'b' }))),
      'HostileArchive',
    ],
    ['a name with a zero byte', () => tarArchive([paxFile({ path: 'a\0b' }), secret({})]), 'HostileArchive'],
    ['a damaged header', () => damaged(tar('etc')), 'CorruptArchive'],
    ['an archive that ends early', () => tar('etc').subarray(0, 300_000), 'CorruptArchive'],
    ['the same inside of gz', () => gzipSync(tar('etc').subarray(0, 300_000)), 'CorruptArchive'],
    ['a gz that ends early', () => gzipSync(tar('etc')).subarray(0, 300_000), 'CorruptCompression'],
    [
      'a file that is larger than the volume',
      () => tarArchive([secret({ size: '00100000000' })], false),
      'ImageTooLarge',
    ],
    ['a bomb of one file', () => packed(bombOfZeros(64 * mib), 'gz'), 'ImageTooLarge'],
    ['a bomb in zst in gz', () => packed(packed(bombOfZeros(64 * mib), 'zst'), 'gz'), 'ImageTooLarge'],
    [
      'a bomb of many files',
      () => packed(tarArchive(Array.from({ length: 9000 }, (_, n) => ({ name: `f${n}` }))), 'zst'),
      'ImageTooLarge',
    ],
    [
      'a bomb behind the end',
      () => packed(Buffer.concat([tarArchive([secret({})]), Buffer.alloc(80 * mib)]), 'gz'),
      'HostileArchive',
    ],
    ['a disk', () => Buffer.alloc(mib, 'x'), 'NotAnArchive'],
    ['a disk in gz', () => gzipSync(Buffer.alloc(mib, 'x')), 'NotAnArchive'],
    ['a qcow2', () => Buffer.concat([Buffer.from('QFI\xfb', 'latin1'), Buffer.alloc(5000)]), 'NotAnArchive'],
    ['zeros', () => Buffer.alloc(10_240), 'NotAnArchive'],
    ['a zip', () => Buffer.concat([Buffer.from('PK\x03\x04'), Buffer.alloc(5000)]), 'NotAnArchive'],
    ['a page', () => Buffer.from('<html>404</html>'), 'NotAnArchive'],
  ])('%s', async (_what, make, code) => {
    const bytes = make();
    const [byImport, byUpload] = await Promise.all([imported(bytes), uploaded(bytes)]);
    expect([byImport, byUpload]).toEqual([
      { code, detail: expect.stringMatching(/.{8}/) },
      { code, detail: expect.stringMatching(/.{8}/) },
    ]);
    expect(await readdir('/tmp')).not.toContain('longshore-evil');
  });

  test('an upload whose client hangs up', async () => {
    expect((await uploaded(tar('etc'), { declaredBytes: 10 * mib })).code).toBe('UploadInterrupted');
  });

  test('an attempt that is cancelled in the middle', async () => {
    const name = 'cancelled';
    server.set(name, tar('.'));
    const abort = new AbortController();
    const url = server.url('stalls', name);
    const source = { kind: 'http' as const, url, headers: [], certificates: [], insecureSkipVerify: false };
    const hooks = { ...bench.hooks(abort.signal), onProgress: () => setTimeout(() => abort.abort(), 200) };
    expect((await endingOf((staging) => importArchive({ source, sizeBytes: claim }, staging, hooks))).code).toBe(
      'Cancelled',
    );
  });
});

function damaged(bytes: Buffer): Buffer {
  bytes.writeUInt8(bytes.readUInt8(1024 + 3) ^ 1, 1024 + 3);
  return bytes;
}

function bombOfZeros(bytes: number): Buffer {
  return tarArchive([{ name: 'zeros', body: Buffer.alloc(bytes) }]);
}
