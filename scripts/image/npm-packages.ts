// The npm part of the image: Node and the packages that the running product loads, as the lockfile names them. Development's packages are not
// among them, nor what only the compilation of the native binding needs, nor types, maps and prose.
import { cp, readFile } from 'node:fs/promises';
import { basename, join, relative } from 'node:path';

/** One package of the lockfile. */
export interface NpmPackage {
  /** Its place, `node_modules/…`. */
  path: string;
  name: string;
  version: string;
  license: string | undefined;
  /** Subresource integrity of the package as it was published. */
  integrity: string | undefined;
}

interface LockedPackage {
  version?: string;
  license?: string;
  integrity?: string;
  dependencies?: Record<string, string>;
  optionalDependencies?: Record<string, string>;
  os?: string | string[];
  cpu?: string | string[];
}

type Lockfile = Readonly<Record<string, LockedPackage>>;

/** The package that is Node itself. */
export const nodePackage = `node-linux-${process.arch}`;

/** Needed only where packages are installed or compiled. */
function isForBuildOnly(name: string, dependent: string): boolean {
  return name.startsWith('@types/') || dependent === 'node_modules/zstd-napi';
}

/** Of these packages nothing else is loaded. */
const onlyFiles: Readonly<Record<string, readonly string[]>> = {
  [nodePackage]: ['LICENSE', 'package.json', 'bin/node'],
  'zstd-napi': ['LICENSE', 'NOTICE', 'package.json', 'binding.js', 'dist', 'build/Release/binding.node'],
};

const licence = /^(licen[cs]e|notice|copying)/i;
/** Sources, types, prose, pages, and what editors, compilers and other tools keep beside the code. */
const uselessFiles =
  /^\.|^(CNAME|Makefile)$|^tsconfig.*\.json$|\.([cm]?ts|map|md|markdown|tsbuildinfo|html|ico|jsdoc|bnf|sh|cmd|cpp|gyp)$|\.musl\.node$/;
const uselessFolders = /^(\.github|test|tests|bench|benchmark|benchmarks|doc|docs|example|examples)$/;

/**
 * What the product needs when it runs, found by following the dependencies as Node would.
 * @param repository a checkout with its lockfile
 * @returns the packages, sorted by path
 */
export async function productionPackages(repository: string): Promise<NpmPackage[]> {
  // Safe: npm's own file, of which only the members above are read, each of them optional.
  const { packages } = JSON.parse(await readFile(join(repository, 'package-lock.json'), 'utf8')) as {
    packages: Lockfile;
  };
  const found = new Map<string, NpmPackage>();
  const pending = [''];
  for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
    const locked = packages[path];
    for (const name of Object.keys({ ...locked?.dependencies, ...locked?.optionalDependencies })) {
      if (isForBuildOnly(name, path)) continue;
      const place = resolvePackage(packages, path, name);
      const entry = packages[place];
      if (entry === undefined)
        throw new Error(`package-lock.json does not say where ${path || 'the product'} finds ${name}`);
      if (found.has(place) || !fits(entry.os, process.platform) || !fits(entry.cpu, process.arch)) continue;
      const { version = '', license, integrity } = entry;
      found.set(place, { path: place, name, version, license, integrity });
      pending.push(place);
    }
  }
  return [...found.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** The nearest node_modules, from the dependent upwards. */
function resolvePackage(packages: Lockfile, dependent: string, name: string): string {
  for (
    let folder = dependent;
    folder !== '';
    folder = folder.slice(0, Math.max(0, folder.lastIndexOf('/node_modules/')))
  ) {
    const place = `${folder}/node_modules/${name}`;
    if (place in packages) return place;
  }
  return `node_modules/${name}`;
}

function fits(allowed: string | string[] | undefined, here: string): boolean {
  return allowed === undefined || [allowed].flat().includes(here);
}

/** Copies them below `target` as they lie in the checkout, without what is never loaded. */
export async function copyPackages(repository: string, packages: readonly NpmPackage[], target: string): Promise<void> {
  for (const { path, name } of packages) {
    const from = join(repository, path);
    const wanted = onlyFiles[name];
    const filter = (source: string): boolean => {
      const inside = relative(from, source);
      return inside === '' || (isLoaded(inside) && (wanted?.some((file) => overlaps(file, inside)) ?? true));
    };
    await cp(from, join(target, path), { recursive: true, filter });
  }
}

function isLoaded(inside: string): boolean {
  if (inside === 'node_modules' || uselessFolders.test(inside)) return false;
  return licence.test(basename(inside)) || !uselessFiles.test(basename(inside));
}

/** One is the other, or lies in it. */
function overlaps(a: string, b: string): boolean {
  return `${a}/`.startsWith(`${b}/`) || `${b}/`.startsWith(`${a}/`);
}
