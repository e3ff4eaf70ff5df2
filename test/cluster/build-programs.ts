// The programs of the test cluster, compiled once from Go modules and kept outside the checkout: one directory a module, named after a hash of
// what goes into it. A build that was interrupted goes on where Go's own build cache stands; a directory is there only when it is complete.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFile, mkdir, readdir, readFile, rename, rm, symlink } from 'node:fs/promises';
import { availableParallelism, homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Fault } from '../../domain/fault.ts';
import { exists } from './paths.ts';

const run = promisify(execFile);
const sources = join(import.meta.dirname, 'programs');
/** The oldest Go that these modules say they build with. */
const oldestGo = [1, 25] as const;
const mostCompilersAtOnce = 4;

interface GoModule {
  packages: readonly string[];
  /** `-X` values for the linker, made from the versions that go.mod names. */
  stamps(versionOf: (module: string) => string): readonly string[];
  /** Further names of the one program that holds several. */
  links?: { of: string; names: readonly string[] };
  /** Files that a module carries beside its code: module, directory in it, name here. */
  carried?: { module: string; directory: string; as: string };
}

const goModules = {
  kubernetes: {
    packages: ['.'],
    stamps: (versionOf) => {
      const version = versionOf('k8s.io/kubernetes');
      const [major = '', minor = ''] = version.slice(1).split('.');
      return ['k8s.io/component-base/version', 'k8s.io/client-go/pkg/version'].flatMap((name) => [
        `${name}.gitVersion=${version}`,
        `${name}.gitMajor=${major}`,
        `${name}.gitMinor=${minor}`,
        `${name}.gitTreeState=clean`,
      ]);
    },
    links: {
      of: 'kubernetes',
      names: [
        'etcd',
        'kube-apiserver',
        'kube-controller-manager',
        'kube-proxy',
        'kube-scheduler',
        'kubectl',
        'kubelet',
      ],
    },
  },
  companions: {
    packages: ['tool', './coredns', './pause'],
    stamps: (versionOf) => [`helm.sh/helm/v3/internal/version.version=${versionOf('helm.sh/helm/v3')}`],
    carried: {
      module: 'github.com/kubernetes-csi/external-snapshotter/client/v8',
      directory: 'config/crd',
      as: 'snapshot-crds',
    },
  },
  // By itself, as only one test needs it.
  'policy-agent': { packages: ['tool'], stamps: () => [] },
  // Nothing to compile: what a cluster with the Prometheus operator knows of its kinds.
  'operator-crds': {
    packages: [],
    stamps: () => [],
    carried: {
      module: 'github.com/prometheus-operator/prometheus-operator',
      directory: 'example/prometheus-operator-crd',
      as: 'crds',
    },
  },
} as const satisfies Record<string, GoModule>;

type GoModuleName = keyof typeof goModules;

/** Where compiled programs and the state of clusters lie: outside the checkout, shared by all checkouts of this user. */
export function cacheDirectory(): string {
  const base = process.env['XDG_CACHE_HOME'];
  return join(base?.startsWith('/') === true ? base : join(homedir(), '.cache'), 'longshore', 'test-cluster');
}

/**
 * The directory with the programs of a module; builds them where they are not there yet, at the lowest priority.
 * @param say told once, before a build: it takes long
 * @throws Fault ProgramMissing where there is no Go that is new enough
 */
export async function programsOf(name: GoModuleName, say: (line: string) => void): Promise<string> {
  const module: GoModule = goModules[name];
  const flags = await buildFlags(name, module);
  const directory = join(cacheDirectory(), 'programs', `${name}-${await digestOfInputs(name, flags)}`);
  if (await exists(directory)) return directory;
  await requireGo(name);
  say(`compiling ${name}, once; 10 to 20 minutes on two cores, and it may be interrupted`);
  const staging = `${directory}.${process.pid}`;
  await mkdir(staging, { recursive: true });
  try {
    await compile(name, flags, staging);
    await addLinksAndFiles(name, module, staging);
    await moveIntoPlace(staging, directory);
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
  return directory;
}

/** As go.mod of one of our modules names it, with its v. */
export async function moduleVersion(name: GoModuleName, module: string): Promise<string> {
  return versionIn(await readFile(join(sources, name, 'go.mod'), 'utf8'), module);
}

function versionIn(goMod: string, module: string): string {
  const version = goMod
    .split('\n')
    .map((line) =>
      line
        .trim()
        .replace(/^require /, '')
        .split(' '),
    )
    .find(([path]) => path === module)?.[1];
  if (version === undefined) throw new Fault('Internal', `go.mod names no version of ${module}`);
  return version;
}

/** What the result depends on, besides the sources. */
async function buildFlags(name: GoModuleName, module: GoModule): Promise<string[]> {
  const goMod = await readFile(join(sources, name, 'go.mod'), 'utf8');
  const stamps = module.stamps((path) => versionIn(goMod, path)).map((stamp) => `-X ${stamp}`);
  return ['-trimpath', '-buildvcs=false', '-ldflags', ['-s', '-w', ...stamps].join(' ')];
}

async function digestOfInputs(name: GoModuleName, flags: readonly string[]): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify([process.arch, flags, goModules[name]]));
  const files = await readdir(join(sources, name), { recursive: true, withFileTypes: true });
  const paths = files.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  for (const path of paths.sort()) hash.update(await readFile(path)).update('\0');
  return hash.digest('hex').slice(0, 16);
}

async function requireGo(name: GoModuleName): Promise<void> {
  const wanted = `Go ${oldestGo.join('.')} or newer is needed on PATH to compile the test cluster`;
  let version: string;
  try {
    version = (await run('go', ['env', 'GOVERSION'], { cwd: join(sources, name) })).stdout.trim();
  } catch (error) {
    throw new Fault('ProgramMissing', `${wanted}: see go.dev/doc/install`, { cause: error });
  }
  const [major = 0, minor = 0] = version.replace(/^go/, '').split('.').map(Number);
  const isNewEnough = major > oldestGo[0] || (major === oldestGo[0] && minor >= oldestGo[1]);
  if (!isNewEnough) throw new Fault('ProgramMissing', `${wanted}; this one is ${version}`);
}

async function compile(name: GoModuleName, flags: readonly string[], target: string): Promise<void> {
  const compilers = String(Math.min(availableParallelism(), mostCompilersAtOnce));
  const packages: readonly string[] = goModules[name].packages;
  if (packages.length === 0) return;
  await run('nice', ['-n', '19', 'go', 'build', '-p', compilers, ...flags, '-o', `${target}/`, ...packages], {
    cwd: join(sources, name),
    env: { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-mod=readonly' },
    maxBuffer: 64 * 1024 ** 2,
  });
}

async function addLinksAndFiles(name: GoModuleName, module: GoModule, target: string): Promise<void> {
  for (const link of module.links?.names ?? []) await symlink(module.links?.of ?? '', join(target, link));
  if (module.carried === undefined) return;
  const { module: path, directory, as } = module.carried;
  const { stdout } = await run('go', ['mod', 'download', '-json', path], { cwd: join(sources, name) });
  const from = join(JSON.parse(stdout).Dir, directory);
  await mkdir(join(target, as));
  for (const file of await readdir(from)) await copyFile(join(from, file), join(target, as, file));
}

/** Where somebody else built the same meanwhile, theirs stays. */
async function moveIntoPlace(staging: string, directory: string): Promise<void> {
  try {
    await rename(staging, directory);
  } catch (error) {
    if (!(await exists(directory))) throw error;
  }
}
