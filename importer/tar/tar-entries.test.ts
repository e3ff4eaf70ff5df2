// Archives of GNU tar in each of its formats, read from a stream and by ranges; and archives that no program would make.
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { paxFile, type TarFile, tarArchive } from '../../test/tar-archive.ts';
import { TarEntries, type TarEntry } from './tar-entries.ts';
import { TarRanges, TarStream } from './tar-input.ts';

const long = `${'directory-of-a-long-name/'.repeat(6)}${'x'.repeat(90)}`;
const bodies = {
  'a/small': randomBytes(700),
  [long]: randomBytes(10),
  empty: Buffer.alloc(0),
  last: randomBytes(200_000),
};
let work: string;

beforeAll(() => {
  work = mkdtempSync(join(tmpdir(), 'longshore-tar-'));
  for (const [name, body] of Object.entries(bodies)) {
    mkdirSync(dirname(join(work, 'in', name)), { recursive: true });
    writeFileSync(join(work, 'in', name), body);
  }
  symlinkSync('a/small', join(work, 'in/link'));
});

afterAll(() => rmSync(work, { recursive: true }));

async function* pieces(bytes: Buffer, length: number) {
  for (let at = 0; at < bytes.length; at += length) yield Buffer.from(bytes.subarray(at, at + length));
}

async function entriesOf(input: TarStream | TarRanges): Promise<TarEntry[]> {
  const entries = new TarEntries(input);
  const found: TarEntry[] = [];
  for (let entry = await entries.next(); entry !== undefined; entry = await entries.next()) found.push(entry);
  return found;
}

const ranges = (bytes: Buffer) =>
  new TarRanges(bytes.length, async (offset, length) => bytes.subarray(offset, offset + length));

describe.each(['ustar', 'pax', 'gnu', 'oldgnu', 'v7'])('an archive in format %s', (format) => {
  test('tells the same files in order and by ranges, with the bytes that they have', async () => {
    const names = format === 'v7' ? ['a', 'empty', 'last', 'link'] : ['.'];
    const bytes = execFileSync('tar', ['-c', `--format=${format}`, '-C', join(work, 'in'), ...names], {
      maxBuffer: 1e8,
    });
    const found = await entriesOf(new TarStream(pieces(bytes, 1000)));
    expect(await entriesOf(ranges(bytes))).toEqual(found);
    const plain = found.map((entry) => ({ ...entry, name: entry.name.replace(/^\.\//, '') }));
    const files = plain.filter(({ type }) => type === 'file');
    expect(files.map(({ name }) => name).sort()).toEqual(
      Object.keys(bodies)
        .filter((name) => format !== 'v7' || name !== long)
        .sort(),
    );
    for (const { name, bodyOffset, bodyBytes } of files) {
      expect(bytes.subarray(bodyOffset, bodyOffset + bodyBytes).equals(Reflect.get(bodies, name))).toBe(true);
    }
    expect(plain.find(({ name }) => name === 'link')).toMatchObject({ type: 'symbolic link', linkName: 'a/small' });
    expect(plain.find(({ name }) => name === 'a/')).toMatchObject({ type: 'directory', bodyBytes: 0 });
  });
});

test.each(['0.0', '0.1', '1.0', 'gnu'])(
  'a file that GNU tar stored sparse (%s) is told as such, with its name',
  async (version) => {
    writeFileSync(join(work, 'sparse'), 'x');
    truncateSync(join(work, 'sparse'), 10_000_000);
    const how = version === 'gnu' ? ['--format=gnu'] : ['--format=pax', `--sparse-version=${version}`];
    const bytes = execFileSync('tar', ['-cS', ...how, '-C', work, 'sparse']);
    expect(await entriesOf(ranges(bytes))).toMatchObject([{ name: 'sparse', type: 'sparse file' }]);
  },
);

test('what nobody wants is not read by ranges', async () => {
  const bytes = tarArchive([{ name: 'big', body: Buffer.alloc(50_000_000) }, { name: 'small' }]);
  let read = 0;
  const input = new TarRanges(bytes.length, async (offset, length) => {
    read += length;
    return bytes.subarray(offset, offset + length);
  });
  expect((await entriesOf(input)).map(({ name }) => name)).toEqual(['big', 'small']);
  expect(read).toBeLessThan(1_000_000);
});

test('the size of a pax record goes before that of the header', async () => {
  const file: TarFile = { name: 'a', body: Buffer.alloc(600), size: '00000000000' };
  const found = await entriesOf(ranges(tarArchive([paxFile({ size: '600', path: 'b' }), file, { name: 'c' }])));
  expect(found).toMatchObject([{ name: 'b', bodyBytes: 600 }, { name: 'c' }]);
});

test.each([
  ['ranges', ranges],
  ['in order', (bytes: Buffer) => new TarStream(pieces(bytes, 512))],
] as const)('an archive may end right behind its last body, as umoci writes it: %s', async (_name, input) => {
  const bytes = tarArchive([{ name: 'a' }, { name: 'b', body: Buffer.alloc(700, 1) }], false);
  expect(await entriesOf(input(bytes.subarray(0, 3 * 512 + 188)))).toMatchObject([{ name: 'a' }, { name: 'b' }]);
  await expect(entriesOf(input(bytes.subarray(0, 3 * 512 + 187)))).rejects.toMatchObject({ code: 'CorruptImage' });
});

test('a size in binary is read', async () => {
  const size = `\x80${'\0'.repeat(8)}\x00\x02\x58`;
  const found = await entriesOf(ranges(tarArchive([{ name: 'a', body: Buffer.alloc(600), size }, { name: 'b' }])));
  expect(found).toMatchObject([{ name: 'a', bodyBytes: 600 }, { name: 'b' }]);
});

const damagedHeader = (): Buffer => {
  const bytes = tarArchive([{ name: 'a' }]);
  bytes.writeUInt8(bytes.readUInt8(3) + 1, 3);
  return bytes;
};

describe('an archive that nobody made by accident', () => {
  test.each<[string, Buffer, string]>([
    ['no archive at all', Buffer.alloc(4096, 7), 'CorruptImage'],
    ['nothing', Buffer.alloc(0), 'CorruptImage'],
    ['a header that was changed', damagedHeader(), 'CorruptImage'],
    ['a body that ends early', tarArchive([{ name: 'a', size: '00000100000' }], false), 'CorruptImage'],
    ['a size that is no number', tarArchive([{ name: 'a', size: '9999999' }]), 'CorruptImage'],
    ['a negative size', tarArchive([{ name: 'a', size: '\xff'.repeat(12) }]), 'CorruptImage'],
    ['a size of 2^88', tarArchive([{ name: 'a', size: `\x80${'\xff'.repeat(11)}` }]), 'CorruptImage'],
    ['a negative size in pax', tarArchive([paxFile({ size: '-512' }), { name: 'a' }]), 'CorruptImage'],
    ['a size of 2^60 in pax', tarArchive([paxFile({ size: String(2 ** 60) }), { name: 'a' }]), 'CorruptImage'],
    ['pax records of 8 GiB', tarArchive([{ name: 'p', type: 'x', size: '77777777777' }]), 'HostileImage'],
    ['a name of 8 GiB', tarArchive([{ name: 'p', type: 'L', size: '77777777777' }]), 'HostileImage'],
    ['headers for headers', tarArchive(Array.from({ length: 3000 }, () => paxFile({ a: 'b' }))), 'HostileImage'],
    [
      'a pax record that counts too far',
      tarArchive([{ name: 'p', type: 'x', body: Buffer.from('99 a=b\n') }]),
      'CorruptImage',
    ],
    ['a pax record of length 0', tarArchive([{ name: 'p', type: 'x', body: Buffer.from('0 a=b\n') }]), 'CorruptImage'],
    [
      'a pax record without a value',
      tarArchive([{ name: 'p', type: 'x', body: Buffer.from('5 ab\n') }]),
      'CorruptImage',
    ],
  ])('%s is refused, however it is read', async (_what, bytes, code) => {
    await expect(entriesOf(new TarStream(pieces(bytes, 4096)))).rejects.toMatchObject({ code });
    await expect(entriesOf(ranges(bytes))).rejects.toMatchObject({ code });
  });
});
