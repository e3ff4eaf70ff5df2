// The Debian part of the image: the packages of the programs that Longshore runs with the libraries they need, taken from the machine's own
// apt sources into a directory. apt chooses, checks and downloads them into a place of its own; nothing of the machine changes and nobody
// needs root. The packages are unpacked and not installed: no maintainer script runs, so nothing that differs from build to build comes about,
// and neither dpkg nor what only those scripts need is in the image.
import { mkdir, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { debianPackageOf, programNames } from '../../runtime/programs.ts';
import { runCommand } from './run-command.ts';

/** The native binding is compiled on this machine, so the image has this machine's release; it is the one that the set-up knows. */
const release = 'bookworm';

/** Besides the packages of the programs: what Debian takes for granted, and what Node and the native binding are linked to. */
const furtherPackages = ['base-files', 'dash', 'libc6', 'libgcc-s1', 'libstdc++6'];

/** Named as needed by a package of ours, and left out with all that only they need. */
const leftOut: Readonly<Record<string, string>> = {
  adduser: 'maintainer scripts only',
  debconf: 'maintainer scripts only',
  debianutils: 'maintainer scripts only',
  dmsetup: 'a library names it for a udev that is not here',
  dpkg: 'maintainer scripts only',
  'init-system-helpers': 'maintainer scripts only',
  libicu72: '36 MB for xfs_scrub',
  logsave: 'for a boot that never happens',
  'lsb-base': 'for init scripts',
  mawk: 'base-files names it for scripts that nobody runs',
  python3: 'for xfs_scrub_all',
  'util-linux-extra': 'nothing of it is used',
};

/** Names under which the packages left out are asked for. */
const providedNames: Readonly<Record<string, string>> = { debconf: 'debconf-2.0', mawk: 'awk' };

/** Not unpacked. Licences stay: usr/share/doc/PACKAGE/copyright and usr/share/common-licenses. */
const unwantedPaths = [
  './etc/cron.d',
  './etc/init.d',
  './etc/logrotate.d',
  './etc/pam.d',
  './etc/update-motd.d',
  './lib/systemd',
  './lib/udev',
  './usr/include',
  './usr/lib/mime',
  './usr/lib/systemd',
  './usr/lib/x86_64-linux-gnu/e2fsprogs',
  './usr/lib/aarch64-linux-gnu/e2fsprogs',
  './usr/lib/xfsprogs',
  './sbin/e2scrub*',
  './usr/sbin/e2scrub*',
  './usr/sbin/xfs_scrub*',
  './usr/share/base-files',
  './usr/share/bash-completion',
  './usr/share/bug',
  './usr/share/gdb',
  './usr/share/info',
  './usr/share/lintian',
  './usr/share/locale',
  './usr/share/man',
  './usr/share/pixmaps',
];

/** One package that is in the image: the fields of its control file. */
export type DebianPackage = ReadonlyMap<string, string>;

export interface UnpackedDebian {
  /** Sorted by name. */
  packages: DebianPackage[];
  /** Of the newest file in them, in seconds since 1970. */
  date: number;
}

/** @throws Error where this machine is not of the release, with what to do */
export async function requireRelease(): Promise<void> {
  const text = await readFile('/etc/os-release', 'utf8');
  if (new RegExp(`^VERSION_CODENAME=${release}$`, 'm').test(text)) return;
  throw new Error(`the image is made of Debian 12 (${release}) and can be built only there, or in a container of it`);
}

/**
 * Unpacks the packages into `root`, which is empty, and writes the list of them to var/lib/dpkg/status, where scanners look.
 * @param scratch a directory for apt's files
 */
export async function unpackDebian(root: string, scratch: string): Promise<UnpackedDebian> {
  const archives = await downloadPackages(scratch);
  await mergeUsr(root);
  const packages: DebianPackage[] = [];
  const status: string[] = [];
  for (const archive of archives) {
    await unpack(archive, root);
    const control = await runCommand('dpkg-deb', ['--field', archive]);
    packages.push(parseControl(control));
    status.push(control.replace(/^(Package: .+)$/m, '$1\nStatus: install ok installed').trimEnd());
  }
  const date = await newestFile(root);
  await writeFile(join(root, 'var/lib/dpkg/status'), `${status.join('\n\n')}\n`);
  return { packages, date };
}

async function newestFile(root: string): Promise<number> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => stat(join(entry.parentPath, entry.name)));
  return Math.floor((await Promise.all(files)).reduce((newest, { mtimeMs }) => Math.max(newest, mtimeMs), 0) / 1000);
}

function parseControl(text: string): DebianPackage {
  const fields = text.replaceAll(/\n[ \t]+/g, '\n ').split(/\n(?! )/);
  return new Map(fields.map((field) => [field.split(':', 1)[0] ?? '', field.slice(field.indexOf(':') + 1).trim()]));
}

/** Paths of the downloaded archives, in the order of their names. apt checks signatures and digests as always. */
async function downloadPackages(scratch: string): Promise<string[]> {
  const archives = join(scratch, 'cache/archives');
  await mkdir(join(archives, 'partial'), { recursive: true });
  await mkdir(join(scratch, 'lists/partial'), { recursive: true });
  await mkdir(join(scratch, 'preferences.d'));
  await writeFile(join(scratch, 'status'), Object.keys(leftOut).map(pretendInstalled).join('\n'));
  await writeFile(join(scratch, 'preferences'), preferDebian);
  const settings = {
    'APT::Sandbox::User': 'root',
    'Debug::NoLocking': '1',
    'Dir::Cache': join(scratch, 'cache'),
    'Dir::Cache::archives': archives,
    'Dir::Etc::preferences': join(scratch, 'preferences'),
    'Dir::Etc::preferencesparts': join(scratch, 'preferences.d'),
    'Dir::State::lists': join(scratch, 'lists'),
    'Dir::State::status': join(scratch, 'status'),
  };
  const options = Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
  const wanted = [...new Set([...programNames().map(debianPackageOf), ...furtherPackages])];
  await runCommand('apt-get', [...options, '-qq', 'update']);
  await runCommand('apt-get', [
    ...options,
    '-qq',
    '-y',
    '--no-install-recommends',
    '--download-only',
    'install',
    ...wanted,
  ]);
  const names = (await readdir(archives)).filter((name) => name.endsWith('.deb')).sort();
  return names.map((name) => join(archives, name));
}

/** Only Debian's own archive of the release, whatever other sources the machine has. */
const preferDebian = `Package: *
Pin: release o=Debian, n=${release}*
Pin-Priority: 990

Package: *
Pin: release o=*
Pin-Priority: -1
`;

/** What apt takes for installed it neither fetches nor asks what it needs. */
function pretendInstalled(name: string): string {
  const fields = {
    Package: name,
    Status: 'install ok installed',
    Version: '999:0',
    Architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
    'Multi-Arch': 'allowed',
    Maintainer: 'nobody',
    Description: 'not in the image',
    ...(name in providedNames ? { Provides: providedNames[name] } : {}),
  };
  return Object.entries(fields)
    .map(([field, value]) => `${field}: ${value}\n`)
    .join('');
}

/** /bin, /lib and /sbin are links into /usr, as on every Debian 12; its packages still name the former. */
async function mergeUsr(root: string): Promise<void> {
  for (const name of ['bin', 'lib', 'lib64', 'sbin']) {
    await mkdir(join(root, 'usr', name), { recursive: true });
    await symlink(`usr/${name}`, join(root, name));
  }
}

async function unpack(archive: string, root: string): Promise<void> {
  const content = `${archive}.tar`;
  await runCommand('sh', ['-c', 'dpkg-deb --fsys-tarfile "$1" >"$2"', 'sh', archive, content]);
  const unwanted = unwantedPaths.map((path) => `--exclude=${path}`);
  const documents = ['--exclude=./usr/share/doc/*/[!c]*', '--exclude=./usr/share/doc/*/changelog*'];
  const flags = ['--extract', '--keep-directory-symlink', '--no-same-owner', '--wildcards', '--anchored'];
  await runCommand('tar', [...flags, ...unwanted, ...documents, '-C', root, '-f', content]);
  await rm(content);
}
