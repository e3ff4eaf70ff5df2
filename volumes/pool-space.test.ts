import { execFileSync } from 'node:child_process';
import { renameSync, symlinkSync } from 'node:fs';
import { mkdir, mkdtemp, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { allocatedBelow, measureTree } from './pool-space.ts';

async function temporaryDirectory() {
  const path = await mkdtemp(join(tmpdir(), 'longshore-space-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

test('a tree has the files and the allocated bytes that find counts in it', async () => {
  await using place = await temporaryDirectory();
  for (let branch = 0; branch < 40; branch += 1) {
    const directory = join(place.path, `branch-${branch}`, 'a', 'b');
    await mkdir(directory, { recursive: true });
    await writeFile(join(directory, 'file'), Buffer.alloc(branch * 1000, 1));
    await symlink('/', join(directory, 'link'));
  }
  await writeFile(join(place.path, 'sparse'), '');
  await truncate(join(place.path, 'sparse'), 2 ** 40);
  const found = execFileSync('find', [place.path, '-printf', '%y %b\n'], { encoding: 'utf8' }).trim().split('\n');
  const blocks = found.filter((line) => !line.startsWith('d')).map((line) => Number(line.split(' ')[1]));
  const allocatedBytes = blocks.reduce((sum, each) => sum + each * 512, 0);
  expect(allocatedBytes).toBeGreaterThan(700_000);
  expect(await measureTree(place.path)).toEqual({ allocatedBytes, entries: found.length });
  expect(await allocatedBelow(place.path)).toBe(allocatedBytes);
});

test('what is not there has nothing, and an aborted look ends', async () => {
  await using place = await temporaryDirectory();
  expect(await measureTree(join(place.path, 'absent'))).toEqual({ allocatedBytes: 0, entries: 0 });
  await expect(measureTree(place.path, AbortSignal.abort(new Error('no more')))).rejects.toThrow('no more');
});

test('names that are no text are counted, and so is what lies below them', async () => {
  await using place = await temporaryDirectory();
  const path = (name: string): Buffer => Buffer.from(join(place.path, name), 'latin1');
  await mkdir(path('tree/\xff/below'), { recursive: true });
  await writeFile(path('tree/\xff/below/file'), Buffer.alloc(4096, 1));
  await writeFile(path('tree/\xfe'), Buffer.alloc(4096, 1));
  expect(await measureTree(join(place.path, 'tree'))).toEqual({ allocatedBytes: 8192, entries: 5 });
});

test.each(['above', 'above/below'])('a link that takes the place of %s meanwhile is not followed', async (name) => {
  await using place = await temporaryDirectory();
  const [tree, outside] = [join(place.path, 'tree'), join(place.path, 'outside')];
  await mkdir(join(tree, 'above', 'below'), { recursive: true });
  await mkdir(join(outside, 'below'), { recursive: true });
  for (const directory of [outside, join(outside, 'below')]) await writeFile(join(directory, 'file'), 'outside');
  // It is asked before each step: when the tree, `above` and `below` are next.
  let asked = 0;
  const { signal } = new AbortController();
  signal.throwIfAborted = () => {
    asked += 1;
    if (asked !== name.split('/').length + 1) return;
    renameSync(join(tree, 'above'), join(place.path, 'aside'));
    symlinkSync(outside, join(tree, 'above'));
  };
  const { allocatedBytes } = await measureTree(tree, signal);
  expect([asked > 1, allocatedBytes]).toEqual([true, 0]);
});
