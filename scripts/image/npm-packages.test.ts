import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { copyPackages, type NpmPackage } from './npm-packages.ts';

let work: string;
beforeEach(async () => {
  work = await mkdtemp(join(tmpdir(), 'ls-packages-'));
});
afterEach(() => rm(work, { recursive: true, force: true }));

/** @returns what is copied of a package that has these files */
async function copied(name: string, files: readonly string[]): Promise<string[]> {
  const path = `node_modules/${name}`;
  for (const file of files) {
    await mkdir(dirname(join(work, 'from', path, file)), { recursive: true });
    await writeFile(join(work, 'from', path, file), '');
  }
  const some: NpmPackage = { path, name, version: '1.0.0', license: 'MIT', integrity: undefined };
  await copyPackages(join(work, 'from'), [some], join(work, 'to'));
  const entries = await readdir(join(work, 'to', path), { recursive: true, withFileTypes: true });
  const from = join(work, 'to', path).length + 1;
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(from))
    .sort();
}

const loaded = [
  'LICENSE',
  'dist/a.cjs',
  'dist/a.js',
  'dist/api.proto',
  'dist/script.lua',
  'lib/b.node',
  'package.json',
];
const useless = [
  ...[
    '.editorconfig',
    '.husky/pre-commit',
    '.npmignore',
    'CNAME',
    'Makefile',
    'README.md',
    'binding.gyp',
    'docs/index.html',
  ],
  ...['dist/a.d.ts', 'dist/a.js.map', 'dist/tsconfig-cjs.tsbuildinfo', 'index.html', 'node_modules/c/index.js'],
  ...['src/a.ts', 'src/b.cpp', 'test/a.js', 'tsconfig.json', 'version.sh'],
];

test('of a package only what is loaded and its licence come into the image', async () => {
  expect(await copied('some', [...loaded, ...useless])).toEqual(loaded);
});

test('of the native binding come the files that are named, and of its folders what is loaded', async () => {
  const kept = ['NOTICE', 'binding.js', 'build/Release/binding.node', 'dist/index.js'];
  expect(await copied('zstd-napi', [...kept, 'build/Makefile', 'build/other.node', 'dist/index.d.ts'])).toEqual(kept);
});
