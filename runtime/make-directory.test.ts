import { mkdtemp, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { makeDirectory } from './make-directory.ts';

let home = '';

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'longshore-directories-'));
});

afterEach(() => rm(home, { recursive: true }));

function make(path: string): Promise<void> {
  return makeDirectory({ path, mode: 0o700, setting: 'data directory (--data)' });
}

test('the missing parents are made too, and what is there stays', async () => {
  const path = join(home, 'a/b/c');
  await make(path);
  await writeFile(join(path, 'kept'), '');
  await make(path);
  expect(await readdir(path)).toEqual(['kept']);
  expect((await stat(join(home, 'a'))).mode & 0o777).toBe(0o700);
});

test('a place that takes no directory is told at once', async () => {
  await expect(make('/proc/longshore')).rejects.toMatchObject({
    code: 'InvalidSetting',
    detail: 'data directory (--data) /proc/longshore: nothing can be made there',
  });
  await expect(make('/proc/longshore/below/it')).rejects.toMatchObject({ code: 'InvalidSetting' });
});

test('a file, a loop or a name that is too long in the way is told, and nothing is changed', async () => {
  await writeFile(join(home, 'file'), 'content');
  await symlink('loop', join(home, 'loop'));
  await symlink('nowhere', join(home, 'dangling'));
  for (const name of ['file', 'file/below', 'file/below/it', 'loop', 'loop/below', 'dangling', 'n'.repeat(300)]) {
    await expect(make(join(home, name)), name).rejects.toMatchObject({ code: 'InvalidSetting' });
  }
  expect((await readdir(home)).sort()).toEqual(['dangling', 'file', 'loop']);
});
