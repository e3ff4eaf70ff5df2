import { execFileSync } from 'node:child_process';
import { mkdir, readFile, rename, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../test/temporary-directory.ts';
import { openDisk } from './open-disk.ts';

let undo: AsyncDisposableStack;
let directory: string;
let disk: string;
beforeEach(async () => {
  undo = new AsyncDisposableStack();
  directory = await temporaryDirectory(undo, 'disk');
  disk = join(directory, 'disk.img');
});
afterEach(() => undo.disposeAsync());

describe('the disk of a volume', () => {
  test('stays the one that was opened, for programs too, whatever is put in its place', async () => {
    await writeFile(disk, 'the disk');
    await writeFile(join(directory, 'secret'), 'not for pods');
    await using opened = await openDisk(disk);
    await rename(disk, join(directory, 'away'));
    await symlink('secret', disk);
    expect(await readFile(opened.path, 'utf8')).toBe('the disk');
    expect(execFileSync('cat', [opened.path], { encoding: 'utf8' })).toBe('the disk');
  });

  test.each<[string, () => Promise<unknown>]>([
    ['a link to a file', () => symlink('/etc/hostname', disk)],
    ['a link to nothing', () => symlink('nothing', disk)],
    ['a link to itself', () => symlink('disk.img', disk)],
    ['a directory', () => mkdir(disk)],
    ['a pipe that nobody writes', async () => execFileSync('mkfifo', [disk])],
  ])('is not %s', async (_what, make) => {
    await make();
    await expect(openDisk(disk)).rejects.toMatchObject({ code: 'HostileImage' });
  });

  test('that is not there is told as such', async () => {
    await expect(openDisk(disk)).rejects.toMatchObject({ cause: { code: 'ENOENT' } });
  });
});
