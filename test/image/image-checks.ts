// What must not be in the container image, and what must: each check looks at an unpacked image below a directory and returns what it
// objects to, an empty list where all is well. The checks are tried on planted violations in image-checks.test.ts.
import { lstat, open, readdir, readFile, readlink } from 'node:fs/promises';
import { dirname, join, posix, relative } from 'node:path';
import { runCommand } from '../../scripts/image/run-command.ts';

const packageManagers =
  /^(apt|apt-.+|aptitude|dpkg|dpkg-.+|npm|npm-cli\.js|npx|npx-cli\.js|corepack|yarn|pnpm|pip[\d.]*|node-gyp)$/;
const compilers =
  /^(.+-)?(gcc|g\+\+|cc|c\+\+|cpp|clang|clang\+\+|as|ld|ld\.(bfd|gold|lld)|make|gmake|python[\d.]*|perl[\d.]*)(-[\d.]+)?$/;

/** Every entry below `root` that is no directory, as a path from `root` that starts without a slash, sorted. */
async function filesBelow(root: string): Promise<string[]> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => !entry.isDirectory());
  return files.map((entry) => relative(root, join(entry.parentPath, entry.name))).sort();
}

/** @returns files and directories with a set-user-id or set-group-id bit */
export async function privilegedFiles(root: string): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (((await lstat(path)).mode & 0o6000) !== 0) found.push(relative(root, path));
  }
  return found.sort();
}

/** @returns programs and links with the name of a package manager, a compiler, or an interpreter that only builds need */
export async function buildPrograms(root: string): Promise<string[]> {
  const found: string[] = [];
  for (const path of await filesBelow(root)) {
    const name = posix.basename(path);
    if (!packageManagers.test(name) && !compilers.test(name)) continue;
    const { mode } = await lstat(join(root, path)); // links count as executable
    if ((mode & 0o111) !== 0) found.push(path);
  }
  return found;
}

/** @returns `path: word` for each file below one of the folders that has one of the words in it */
export async function tracesOf(words: readonly string[], root: string, folders: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const folder of folders) {
    for (const path of await filesBelow(join(root, folder))) {
      const file = join(root, folder, path);
      const content = (await lstat(file)).isSymbolicLink() ? Buffer.from(await readlink(file)) : await readFile(file);
      for (const word of words) if (content.includes(word)) found.push(`${folder}/${path}: ${word}`);
    }
  }
  return found;
}

/** @returns `path: library` for each library or loader that an ELF file names and the image does not have where it is looked for */
export async function missingLibraries(root: string): Promise<string[]> {
  const missing: string[] = [];
  for (const path of await filesBelow(root)) {
    if (!(await isElf(join(root, path)))) continue;
    const { loader, libraries, searched } = await linksOf(root, path);
    if (loader !== undefined && !(await isInside(root, loader))) missing.push(`${path}: ${loader}`);
    for (const library of libraries) {
      const places = library.includes('/') ? [library] : searched.map((folder) => posix.join(folder, library));
      if (!(await Promise.all(places.map((place) => isInside(root, place)))).includes(true))
        missing.push(`${path}: ${library}`);
    }
  }
  return missing;
}

interface Links {
  loader: string | undefined;
  libraries: string[];
  /** Folders of the image where the loader looks, in its order (ld.so(8)). */
  searched: string[];
}

async function linksOf(root: string, path: string): Promise<Links> {
  const text = await runCommand('readelf', ['--wide', '--dynamic', '--program-headers', join(root, path)]);
  const all = (pattern: RegExp) => [...text.matchAll(pattern)].map((match) => match[1] ?? '');
  const own = all(/\((?:RPATH|RUNPATH)\).*\[(.*)\]/g).flatMap((paths) => paths.split(':'));
  const origin = `/${dirname(path)}`;
  const triplet = process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu';
  const usual = [`/lib/${triplet}`, `/usr/lib/${triplet}`, '/lib', '/usr/lib'];
  return {
    loader: all(/program interpreter: (.*)\]/g)[0],
    libraries: all(/\(NEEDED\).*\[(.*)\]/g),
    searched: [...own.map((folder) => folder.replace(/\$ORIGIN|\$\{ORIGIN\}/, origin)), ...usual],
  };
}

async function isElf(file: string): Promise<boolean> {
  if (!(await lstat(file)).isFile()) return false;
  const handle = await open(file);
  try {
    const { buffer } = await handle.read(Buffer.alloc(4), 0, 4, 0);
    return buffer.toString('latin1') === '\x7fELF';
  } finally {
    await handle.close();
  }
}

/** Follows links as a process does whose root is `root`: an absolute one starts there and not at the machine's. */
async function isInside(root: string, path: string): Promise<boolean> {
  const pending = path.split('/').filter((part) => part !== '');
  let place = '/';
  for (let steps = 0; steps < 200; steps++) {
    const part = pending.shift();
    if (part === undefined) return true;
    const next = posix.join(place, part); // `..` above the root stays at the root
    const target = await linkTarget(join(root, next));
    if (target === 'nothing') return false;
    if (target === 'no link') place = next;
    else {
      pending.unshift(...target.to.split('/').filter((step) => step !== ''));
      if (target.to.startsWith('/')) place = '/';
    }
  }
  return false; // links in a circle
}

async function linkTarget(file: string): Promise<'nothing' | 'no link' | { to: string }> {
  try {
    return (await lstat(file)).isSymbolicLink() ? { to: await readlink(file) } : 'no link';
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return 'nothing';
    throw error;
  }
}
