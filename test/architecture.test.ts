// The structure of DESIGN: imports go downwards only, each library stays in its folders, main is imported by none.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** What each folder may import besides itself. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  domain: [],
  runtime: ['domain'],
  volumes: ['domain', 'runtime'],
  importer: ['domain', 'runtime', 'volumes'],
  cloner: ['domain', 'runtime', 'volumes'],
  csi: ['domain', 'runtime', 'volumes'],
  jobs: ['domain', 'runtime'],
  worker: ['domain', 'runtime', 'volumes', 'importer', 'cloner', 'jobs'],
  controller: ['domain', 'runtime', 'jobs'],
  api: ['domain', 'runtime', 'jobs', 'controller'],
  cluster: ['domain', 'runtime', 'jobs', 'controller'],
  uploadproxy: ['domain', 'runtime', 'jobs'],
  cli: ['domain', 'runtime'],
  main: [
    'domain',
    'runtime',
    'volumes',
    'importer',
    'cloner',
    'csi',
    'jobs',
    'worker',
    'controller',
    'api',
    'cluster',
    'uploadproxy',
    'cli',
  ],
};

/** Where a library may be used; one that is not listed may be used anywhere. */
const libraryFolders: Readonly<Record<string, readonly string[]>> = {
  bullmq: ['jobs', 'worker'],
  ioredis: ['jobs', 'worker'],
  fastify: ['api', 'cluster', 'uploadproxy', 'worker'],
  commander: ['cli', 'main'],
  croner: ['domain'],
  'zstd-napi': ['cli'],
  '@grpc': ['csi'],
  '@peculiar/x509': ['runtime'],
  jose: ['runtime', 'importer'],
  '@aws-sdk': ['importer'],
  pino: ['runtime'],
  'prom-client': ['runtime'],
  'node:sqlite': ['api', 'volumes'],
};

function sourcesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile());
}

function withoutComments(code: string): string {
  return code.replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');
}

function importsOf(path: string): string[] {
  const code = readFileSync(path, 'utf8');
  return [...code.matchAll(/(?:\bfrom\s+|\bimport\s*\(\s*|^\s*import\s+)'([^']+)'/gm)].map((match) => match[1] ?? '');
}

function violationsOf(folder: string, path: string): string[] {
  const here = relative(root, path);
  return importsOf(path).flatMap((target) => {
    if (!target.startsWith('.')) {
      const library = Object.keys(libraryFolders).find((name) => target === name || target.startsWith(`${name}/`));
      const allowed = library === undefined ? undefined : libraryFolders[library];
      return allowed === undefined || allowed.includes(folder) ? [] : [`${here} uses ${target}`];
    }
    const room = relative(root, resolve(dirname(path), target)).split('/')[0] ?? '';
    const allowed = room === folder ? folder !== 'main' : (mayImport[folder] ?? []).includes(room);
    return allowed ? [] : [`${here} imports ${target}`];
  });
}

describe('the structure', () => {
  test('imports go downwards only', () => {
    const violations = Object.keys(mayImport).flatMap((folder) =>
      sourcesBelow(join(root, folder)).flatMap((path) => violationsOf(folder, path)),
    );
    expect(violations).toEqual([]);
  });

  test('only runtime/config and main read the environment', () => {
    const readers = Object.keys(mayImport)
      .flatMap((folder) => sourcesBelow(join(root, folder)))
      .filter((path) => /process\.env\b/.test(withoutComments(readFileSync(path, 'utf8'))))
      .map((path) => relative(root, path))
      .filter((path) => !path.startsWith('main/'));
    expect(readers).toEqual([]);
  });

  test('no file is longer than 320 lines', () => {
    const long = Object.keys(mayImport)
      .flatMap((folder) => sourcesBelow(join(root, folder)))
      .map((path) => ({ path: relative(root, path), lines: readFileSync(path, 'utf8').split('\n').length }))
      .filter(({ lines }) => lines > 320);
    expect(long).toEqual([]);
  });

  test('what ARCHITECTURE.md names is there', () => {
    const page = readFileSync(join(root, 'ARCHITECTURE.md'), 'utf8');
    const named = [...page.matchAll(/`(\w+)` \(([\w/-]+\.ts)\)/g)].map(([, name = '', file = '']) => ({ name, file }));
    expect(named.length).toBeGreaterThan(20);
    const missing = named.filter(({ name, file }) => {
      const path = join(root, file);
      return !existsSync(path) || !new RegExp(`\\b${name}\\b`).test(readFileSync(path, 'utf8'));
    });
    expect(missing).toEqual([]);
    const rooms = [...page.matchAll(/^\| `(\w+)\/` /gm)].map(([, room = '']) => room);
    expect(rooms.sort()).toEqual(Object.keys(mayImport).sort());
  });
});
