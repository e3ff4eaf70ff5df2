// The digest of a directory: the same whatever order and times it came with, another for every other content; and what docs/digests.md computes with coreutils.
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readFile, symlink, truncate, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../test/temporary-directory.ts';
import { copyTree } from './copy-tree.ts';
import { treeDigest } from './tree-digest.ts';

const { signal } = new AbortController();
let undo: AsyncDisposableStack;
let place: string;
const at = (...names: string[]) => join(place, ...names);
const digest = async (directory = 'tree') => (await treeDigest(at(directory), { signal })).contentDigest;

beforeEach(async () => {
  undo = new AsyncDisposableStack();
  place = await temporaryDirectory(undo, 'tree');
  await mkdir(at('tree/b/c'), { recursive: true });
  await mkdir(at('tree/empty'), { recursive: true });
  await writeFile(at('tree/b/c/file'), randomBytes(3_000_000));
  await writeFile(at('tree/b/with a newline\n and blanks'), 'x');
  await writeFile(at('tree/a'), 'run', { mode: 0o755 });
  await writeFile(at('tree/ü'), '');
  await writeFile(at('tree/zeros'), '');
  await truncate(at('tree/zeros'), 2_000_000);
  await symlink('b/c', at('tree/link'));
});
afterEach(() => undo.disposeAsync());

test('is what the commands of docs/digests.md compute', async () => {
  const page = await readFile(fileURLToPath(new URL('../docs/digests.md', import.meta.url)), 'utf8');
  const script = /```bash\n(files_digest\(\) .*?)```/s.exec(page)?.[1] ?? '';
  const said = execFileSync('bash', ['-c', `${script}\nfiles_digest "$1"`, 'bash', at('tree')], { encoding: 'utf8' });
  expect(await digest()).toBe(said.trim());
});

test('counts what is there', async () => {
  const found = await treeDigest(at('tree'), { signal });
  expect(found).toMatchObject({ entries: 9, bytes: 5_000_004, specials: 0 });
  expect(found.allocatedBytes).toBeGreaterThanOrEqual(3_000_000);
  expect(found.allocatedBytes).toBeLessThan(3_200_000);
});

describe('changes with', () => {
  test.each<[string, () => Promise<unknown>]>([
    ['a byte', () => writeFile(at('tree/a'), 'rum')],
    ['a permission', () => chmod(at('tree/a'), 0o744)],
    ['a name', () => writeFile(at('tree/A'), '')],
    ['a directory', () => mkdir(at('tree/b/empty'))],
    ['where a link leads', () => symlink('b', at('tree/another'))],
  ])('%s', async (_what, change) => {
    const before = await digest();
    await change();
    expect(await digest()).not.toBe(before);
  });

  test('nothing else: not with times, nor with holes that are filled with zeros', async () => {
    const before = await digest();
    await utimes(at('tree/a'), 1, 2);
    await writeFile(at('tree/zeros'), Buffer.alloc(2_000_000));
    expect(await digest()).toBe(before);
  });
});

test('a copy has the same, keeps holes, and leaves out the rights that are above those of the permissions', async () => {
  await chmod(at('tree/a'), 0o4755);
  const copy = { from: at('tree'), to: at('copy'), capBytes: 10_000_000, reflink: true, signal };
  const how = await copyTree(copy);
  const [source, target] = [await treeDigest(at('tree'), { signal }), await treeDigest(at('copy'), { signal })];
  expect(target).toMatchObject({ contentDigest: source.contentDigest, entries: source.entries, bytes: source.bytes });
  expect(target.allocatedBytes).toBeLessThan(3_200_000);
  expect(['copy', 'reflink']).toContain(how);
  expect(execFileSync('find', [at('copy'), '-perm', '/7000'], { encoding: 'utf8' })).toBe('');
});

test('a copy that does not fit, or of a pipe, is refused', async () => {
  const copy = { from: at('tree'), to: at('copy'), reflink: false, signal };
  await expect(copyTree({ ...copy, capBytes: 4_000_000 })).rejects.toMatchObject({ code: 'ImageTooLarge' });
  execFileSync('mkfifo', [at('tree/pipe')]);
  expect((await treeDigest(at('tree'), { signal })).specials).toBe(1);
  const other = { ...copy, to: at('other'), capBytes: 10_000_000 };
  await expect(copyTree(other)).rejects.toMatchObject({ code: 'HostileArchive' });
});
