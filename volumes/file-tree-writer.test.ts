// The writer of trees against archives that nobody made by accident, and against what GNU tar makes of ordinary ones.
import { link, mkdir, readdir, readFile, readlink, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../test/temporary-directory.ts';
import { FileTreeWriter } from './file-tree-writer.ts';

const mib = 1_048_576;
let undo: AsyncDisposableStack;
let place: string;
let writer: FileTreeWriter;

const at = (...names: string[]) => join(place, 'data', ...names);
const facts = (bytes: number, mode = 0o644) => ({ mode, modified: 1_000_000_000, bytes });

async function* pieces(...parts: (string | Buffer)[]) {
  for (const part of parts) yield Buffer.from(part);
}

const file = (name: string, text = 'text', mode?: number) =>
  writer.file(name, facts(Buffer.byteLength(text), mode), pieces(text));

beforeEach(async () => {
  undo = new AsyncDisposableStack();
  place = await temporaryDirectory(undo, 'tree');
  await writeFile(join(place, 'secret'), 'secret');
  writer = undo.use(await FileTreeWriter.create(at(), mib));
});
afterEach(() => undo.disposeAsync());

describe('what is written', () => {
  test('has its place, its content, its permissions and its time', async () => {
    await file('./a/b/run', '#!', 0o755);
    await writer.directory('a/', 0o750);
    await file('plain');
    expect(await readFile(at('a/b/run'), 'utf8')).toBe('#!');
    const [run, a] = [await stat(at('a/b/run')), await stat(at('a'))];
    expect([run.mode & 0o7777, run.mtimeMs, a.mode & 0o7777]).toEqual([0o755, 1e12, 0o750]);
  });

  test('gives nobody more rights than the owner has, and the owner can always get at it', async () => {
    await file('setuid', 'x', 0o6755);
    await file('nothing', 'x', 0);
    await writer.directory('closed', 0o1000);
    await file('closed/in', 'x');
    const modes = await Promise.all(
      ['setuid', 'nothing', 'closed'].map(async (name) => (await stat(at(name))).mode & 0o7777),
    );
    expect(modes).toEqual([0o755, 0o600, 0o700]);
  });

  test('keeps long zeros as a hole, also at the end', async () => {
    const zeros = Buffer.alloc(256 * 1024);
    await writer.file('sparse', facts(2 * zeros.length + 4), pieces(zeros, 'data', zeros));
    const { size, blocks } = await stat(at('sparse'));
    expect(size).toBe(2 * zeros.length + 4);
    expect(blocks * 512).toBeLessThan(zeros.length);
    expect((await readFile(at('sparse'))).subarray(zeros.length, zeros.length + 4).toString()).toBe('data');
  });

  test('of two of the same name the later one stays, and one that was linked to keeps its content', async () => {
    await file('a', 'first');
    await writer.hardLink('b', 'a');
    await file('a', 'second');
    expect([await readFile(at('a'), 'utf8'), await readFile(at('b'), 'utf8')]).toEqual(['second', 'first']);
    await writer.symbolicLink('a', 'b');
    await file('a', 'third');
    expect([await readFile(at('a'), 'utf8'), await readFile(at('b'), 'utf8')]).toEqual(['third', 'first']);
  });

  test('a file that replaces another one of the same size takes no more room', async () => {
    for (let round = 0; round < 5; round += 1) await writer.file('a', facts(mib / 2), pieces(Buffer.alloc(mib / 2, 1)));
    expect((await stat(at('a'))).size).toBe(mib / 2);
  });
});

describe('a link', () => {
  test.each([
    ['link', 'a/b', 'a/b'],
    ['x/link', '../a', '../a'],
    ['x/y/link', '../../a', '../../a'],
    ['x/link', '.', '.'],
    ['link', '/etc/passwd', 'etc/passwd'],
    ['x/y/link', '/usr/bin/vi', '../../usr/bin/vi'],
    ['x/link', '/../..', '..'],
    ['link', '/', '.'],
  ])('%s to %s leads to %s', async (name, target, expected) => {
    await writer.symbolicLink(name, target);
    expect(await readlink(at(name))).toBe(expected);
    expect(writer.rebasedLinks).toBe(target.startsWith('/') ? 1 : 0);
  });

  test('is never followed: what would be written through it is refused', async () => {
    await mkdir(at('real'));
    await writer.symbolicLink('to', 'real');
    await expect(file('to/file')).rejects.toMatchObject({ code: 'HostileArchive' });
    await expect(writer.directory('to', 0o755)).rejects.toMatchObject({ code: 'HostileArchive' });
    await expect(writer.symbolicLink('to/b', 'x')).rejects.toMatchObject({ code: 'HostileArchive' });
    await expect(writer.hardLink('c', 'to/x')).rejects.toMatchObject({ code: 'HostileArchive' });
    expect(await readdir(at('real'))).toEqual([]);
  });
});

describe('is refused, and nothing outside is touched:', () => {
  const write: [string, () => Promise<void>, string][] = [
    ['a name with ..', () => file('../secret'), 'HostileArchive'],
    ['a name with .. in the middle', () => file('a/../../secret'), 'HostileArchive'],
    ['an absolute name', () => file('/tmp/x'), 'HostileArchive'],
    ['an absolute directory', () => writer.directory('//tmp', 0o777), 'HostileArchive'],
    ['no name', () => file(''), 'HostileArchive'],
    ['the name of the directory itself', () => file('./'), 'HostileArchive'],
    ['a zero byte in a name', () => file('a\0b'), 'HostileArchive'],
    ['a name that is no UTF-8', () => file('a\uFFFDb'), 'HostileArchive'],
    ['a name of 256 bytes', () => file('x'.repeat(256)), 'HostileArchive'],
    ['a path of 129 directories', () => file(`${'d/'.repeat(129)}f`), 'HostileArchive'],
    ['a link that climbs out', () => writer.symbolicLink('a', '..'), 'HostileArchive'],
    ['a link that climbs out from below', () => writer.symbolicLink('a/b', '../../secret'), 'HostileArchive'],
    ['a link that may climb out through another one', () => writer.symbolicLink('a', 'b/../x'), 'HostileArchive'],
    ['an absolute link that may', () => writer.symbolicLink('a', '/b/../x'), 'HostileArchive'],
    ['a link to nothing', () => writer.symbolicLink('a', ''), 'HostileArchive'],
    ['a link with a zero byte', () => writer.symbolicLink('a', 'b\0c'), 'HostileArchive'],
    ['a link of 5000 bytes', () => writer.symbolicLink('a', 'x/'.repeat(2500)), 'HostileArchive'],
    ['a hard link out', () => writer.hardLink('a', '../secret'), 'HostileArchive'],
    ['an absolute hard link', () => writer.hardLink('a', '/etc/hostname'), 'HostileArchive'],
    ['a hard link to what is not there', () => writer.hardLink('a', 'b'), 'HostileArchive'],
    ['a hard link into what is not there', () => writer.hardLink('a', 'b/c'), 'HostileArchive'],
    ['a hard link to itself', () => writer.hardLink('a', './a'), 'HostileArchive'],
    ['a hard link to the directory', () => writer.hardLink('a', '.'), 'HostileArchive'],
    ['a file that is too large', () => writer.file('a', facts(mib), pieces()), 'ImageTooLarge'],
  ];
  test.each(write)('%s', async (_what, writing, code) => {
    await expect(writing()).rejects.toMatchObject({ code });
    expect((await readdir(place)).sort()).toEqual(['data', 'secret']);
    expect(await readFile(join(place, 'secret'), 'utf8')).toBe('secret');
    const left = await readdir(at(), { recursive: true, withFileTypes: true });
    expect(left.filter((entry) => !entry.isDirectory())).toEqual([]);
  });

  test('what is a directory and something else too', async () => {
    await writer.directory('a', 0o755);
    await expect(file('a')).rejects.toMatchObject({ code: 'HostileArchive' });
    await expect(writer.symbolicLink('a', 'b')).rejects.toMatchObject({ code: 'HostileArchive' });
    await file('f');
    await expect(writer.directory('f', 0o755)).rejects.toMatchObject({ code: 'HostileArchive' });
    await expect(file('f/g')).rejects.toMatchObject({ code: 'HostileArchive' });
    await expect(writer.hardLink('h', 'a')).rejects.toMatchObject({ code: 'HostileArchive' });
  });

  test('more entries than the volume has room for', async () => {
    const writing = async () => {
      for (let n = 0; n < 3000; n += 1) await writer.symbolicLink(`l${n}`, 'x');
    };
    await expect(writing()).rejects.toMatchObject({ code: 'ImageTooLarge' });
  });

  test('hard links that together are more than the volume has', async () => {
    await writer.file('a', facts(mib / 4), pieces(Buffer.alloc(mib / 4, 1)));
    await writer.hardLink('b', 'a');
    await writer.hardLink('c', 'a');
    await expect(writer.hardLink('d', 'a')).rejects.toMatchObject({ code: 'ImageTooLarge' });
  });
});

test('a hard link that was put into the tree by somebody else is replaced and not written through', async () => {
  await link(join(place, 'secret'), at('a'));
  await file('a', 'mine');
  expect(await readFile(join(place, 'secret'), 'utf8')).toBe('secret');
});
