// The checks of the image find what they are there to find: each is shown a small tree without and with a violation.
import { chmod, copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { buildPrograms, missingLibraries, privilegedFiles, tracesOf } from './image-checks.ts';

let root = '';

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'longshore-image-checks-'));
});

afterEach(() => rm(root, { recursive: true, force: true }));

async function put(path: string, mode: number, text = ''): Promise<void> {
  await mkdir(dirname(join(root, path)), { recursive: true });
  await writeFile(join(root, path), text);
  await chmod(join(root, path), mode);
}

test('a set-user-id file and a set-group-id directory are found', async () => {
  await put('usr/bin/cat', 0o755);
  expect(await privilegedFiles(root)).toEqual([]);
  await put('usr/bin/mount', 0o4755);
  await mkdir(join(root, 'var'));
  await chmod(join(root, 'var'), 0o2755);
  expect(await privilegedFiles(root)).toEqual(['usr/bin/mount', 'var']);
});

test('package managers, compilers and the interpreters of builds are found wherever they lie', async () => {
  for (const name of ['cat', 'ld.so', 'make-img', 'basename', 'xz']) await put(`usr/bin/${name}`, 0o755);
  await put('usr/share/doc/make', 0o644);
  await put('etc/dpkg/origins/debian', 0o644);
  expect(await buildPrograms(root)).toEqual([]);
  const planted =
    'apt apt-get dpkg dpkg-deb npm npx corepack gcc gcc-12 x86_64-linux-gnu-g++-12 cc g++ make as ld python3.11 perl';
  const paths = planted.split(' ').map((name) => `opt/bin/${name}`);
  for (const path of paths) await put(path, 0o755);
  await symlink('python3.11', join(root, 'opt/bin/python3'));
  expect(await buildPrograms(root)).toEqual([...paths, 'opt/bin/python3'].sort());
});

test('a word in a file or in the target of a link is found, in the folders asked for only', async () => {
  await put('etc/issue', 0o644, 'Debian\n');
  await put('usr/share/doc/a', 0o644, 'http://mirror.example.test/');
  expect(await tracesOf(['mirror.example.test', '/home/builder'], root, ['etc'])).toEqual([]);
  await put('etc/apt/sources.list', 0o644, 'deb http://mirror.example.test/debian bookworm main\n');
  await symlink('/home/builder/x', join(root, 'etc/x'));
  expect(await tracesOf(['mirror.example.test', '/home/builder'], root, ['etc'])).toEqual([
    'etc/apt/sources.list: mirror.example.test',
    'etc/x: /home/builder',
  ]);
});

test('a program whose loader or library is not in the image is found, and a link to the machine outside does not help', async () => {
  await mkdir(join(root, 'usr/bin'), { recursive: true });
  await copyFile('/bin/cat', join(root, 'usr/bin/cat'));
  await put('usr/bin/script', 0o755, '#!/bin/sh\n');
  const missing = await missingLibraries(root);
  expect(missing).toContain('usr/bin/cat: libc.so.6');
  expect(missing).toHaveLength(2);
  const [loader = ''] = missing.map((line) => line.slice('usr/bin/cat: '.length));
  await put(loader.slice(1), 0o755);
  await mkdir(join(root, 'usr/lib'), { recursive: true });
  await symlink('/etc/passwd', join(root, 'usr/lib/libc.so.6'));
  expect(await missingLibraries(root)).toEqual(['usr/bin/cat: libc.so.6']);
  await put('etc/passwd', 0o644);
  expect(await missingLibraries(root)).toEqual([]);
});
