// Finds the system programs that Longshore runs. Each program is known here with the Debian package that brings it, so a missing one is a
// sentence that says what to install, not an ENOENT in the middle of an import.
import { accessSync, constants, statSync } from 'node:fs';
import { join } from 'node:path';
import { Fault } from '../domain/fault.ts';

/** Program → Debian package. A program that is not here is not run. */
const debianPackages = {
  blkid: 'util-linux',
  blkdiscard: 'util-linux',
  blockdev: 'util-linux',
  bzip2: 'bzip2',
  chown: 'coreutils',
  cp: 'coreutils',
  fallocate: 'util-linux',
  gzip: 'gzip',
  igzip: 'isal',
  lbzip2: 'lbzip2',
  losetup: 'mount',
  'mkfs.ext4': 'e2fsprogs',
  'mkfs.xfs': 'xfsprogs',
  mount: 'mount',
  pigz: 'pigz',
  prlimit: 'util-linux',
  'qemu-img': 'qemu-utils',
  'redis-server': 'redis-server',
  resize2fs: 'e2fsprogs',
  rm: 'coreutils',
  setpriv: 'util-linux',
  stat: 'coreutils',
  sync: 'coreutils',
  umount: 'mount',
  unshare: 'util-linux',
  xz: 'xz-utils',
  zstd: 'zstd',
} as const;

export type ProgramName = keyof typeof debianPackages;

const administratorDirectories = ['/usr/local/sbin', '/usr/sbin', '/sbin'];

/** Where programs are looked for when nobody says otherwise. */
export const systemSearchPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export function debianPackageOf(name: ProgramName): string {
  return debianPackages[name];
}

/** Paths of the programs that were found. Built once by main and handed down. */
export class Programs {
  readonly #found: ReadonlyMap<ProgramName, string>;

  constructor(found: ReadonlyMap<ProgramName, string>) {
    this.#found = found;
  }

  has(name: ProgramName): boolean {
    return this.#found.has(name);
  }

  /** @throws Fault ProgramMissing naming the Debian package */
  path(name: ProgramName): string {
    return this.oneOf(name).path;
  }

  /**
   * The first of several programs that do the same, best first: `oneOf('igzip', 'pigz', 'gzip')`.
   * @throws Fault ProgramMissing naming the Debian packages
   */
  oneOf(...names: readonly [ProgramName, ...ProgramName[]]): { name: ProgramName; path: string } {
    for (const name of names) {
      const path = this.#found.get(name);
      if (path !== undefined) return { name, path };
    }
    throw programMissing([names]);
  }
}

/**
 * Looks for all programs of the table and refuses where a needed one is missing.
 * @param needed names, or lists of names of which one is enough
 * @param searchPath usually PATH of the process; directories for administrators are added, since an ordinary user's PATH lacks them
 * @throws Fault ProgramMissing naming every missing package
 */
export function findPrograms(
  needed: readonly (ProgramName | readonly ProgramName[])[],
  searchPath: string = systemSearchPath,
): Programs {
  const directories = [...searchPath.split(':').filter((name) => name.startsWith('/')), ...administratorDirectories];
  const found = new Map<ProgramName, string>();
  for (const name of programNames()) {
    const path = directories.map((directory) => join(directory, name)).find(isExecutable);
    if (path !== undefined) found.set(name, path);
  }
  const wanted = needed.map((entry) => (typeof entry === 'string' ? [entry] : entry));
  const missing = wanted.filter((alternatives) => !alternatives.some((name) => found.has(name)));
  if (missing.length > 0) throw programMissing(missing);
  return new Programs(found);
}

export function programNames(): ProgramName[] {
  // Safe: the keys of the very table that ProgramName is derived from.
  return Object.keys(debianPackages) as ProgramName[];
}

function programMissing(missing: readonly (readonly ProgramName[])[]): Fault {
  const sentences = missing.map((names) => {
    const packages = [...new Set(names.map(debianPackageOf))];
    return `${names.join(' or ')} is not installed: sudo apt-get install ${packages.join(' # or: ')}`;
  });
  return new Fault('ProgramMissing', sentences.join('; '), {
    facts: { programs: missing.map((names) => names.join('|')).join(' ') },
  });
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false; // absent or not for us: the answer is no
  }
}
