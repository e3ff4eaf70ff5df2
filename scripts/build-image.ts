// `npm run image`: builds the container image and writes it to build/longshore-VERSION.oci.tar, an OCI archive, with its bill of materials
// beside it. No image is pulled and nobody needs root: the content comes from Debian's packages, the lockfile and the sources, and the same of
// them give the same digest, whoever builds it, where and when. See docs/decisions/009-the-image.md.
import { cp, mkdir, mkdtemp, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { textTable } from '../cli/text-table.ts';
import { describeBytes } from '../domain/quantity.ts';
import { machineUser } from '../runtime/limited-child.ts';
import { systemSearchPath } from '../runtime/programs.ts';
import { requireRelease, type UnpackedDebian, unpackDebian } from './image/debian-packages.ts';
import { type Layer, packLayer } from './image/layer.ts';
import { copyPackages, type NpmPackage, productionPackages } from './image/npm-packages.ts';
import { type ImageFacts, localReference, writeOciArchive } from './image/oci-archive.ts';
import { runCommand } from './image/run-command.ts';
import { billOfMaterials } from './image/sbom.ts';
import { repository } from './run-service.ts';

const home = 'opt/longshore';
const dataDirectory = 'var/lib/longshore';

/** The date that npm itself gives to all files of a package: 1985-10-26T08:15:00Z. */
const npmDate = 499_162_500;

async function main(): Promise<void> {
  await requireRelease();
  const facts = await imageFacts();
  const build = join(repository, 'build');
  await mkdir(build, { recursive: true });
  const scratch = await mkdtemp(join(build, '.image-'));
  const removeScratch = () => rm(scratch, { recursive: true, force: true });
  const stop = () => void removeScratch().finally(() => process.exit(130));
  process.once('SIGINT', stop).once('SIGTERM', stop);
  try {
    await buildImage(facts, build, scratch);
  } finally {
    await removeScratch();
  }
}

async function buildImage(facts: ImageFacts, build: string, scratch: string): Promise<void> {
  const roots = { debian: join(scratch, 'debian'), node: join(scratch, 'node'), longshore: join(scratch, 'longshore') };
  const [debian, npm] = await Promise.all([
    makeDebian(roots.debian, join(scratch, 'apt')),
    makePackages(roots.node),
    makeProduct(roots.longshore),
  ]);
  const layers = await Promise.all([
    packLayer({ name: 'debian', root: roots.debian, date: debian.date }, scratch),
    packLayer({ name: 'node', root: roots.node, date: npmDate }, scratch),
    packLayer(
      { name: 'longshore', root: roots.longshore, date: facts.date, owned: { path: dataDirectory, ...machineUser } },
      scratch,
    ),
  ]);
  const path = join(build, `${facts.name}-${facts.version}`);
  const digest = await writeOciArchive(facts, layers, join(scratch, 'layout'), join(scratch, 'image'));
  const content = { facts, digest, debianRoot: roots.debian, debian: debian.packages, repository, npm };
  await writeFile(`${path}.cdx.json`, await billOfMaterials(content));
  await rename(join(scratch, 'image'), `${path}.oci.tar`);
  await report(facts, layers, digest, `${path}.oci.tar`);
}

async function imageFacts(): Promise<ImageFacts> {
  // Safe: our own file, whose members the set-up and npm need as they are.
  const product = JSON.parse(await readFile(join(repository, 'package.json'), 'utf8')) as {
    name: string;
    version: string;
    description: string;
    license: string;
  };
  return {
    name: product.name,
    version: product.version,
    description: product.description,
    licenses: product.license,
    revision: (
      await runCommand('git', ['describe', '--always', '--abbrev=40', '--dirty', '--match='], repository)
    ).trim(),
    date: Number(
      process.env['SOURCE_DATE_EPOCH'] ?? (await runCommand('git', ['log', '-1', '--format=%ct'], repository)),
    ),
    user: `${machineUser.uid}:${machineUser.gid}`,
    entrypoint: ['/usr/bin/longshore'],
    environment: { PATH: systemSearchPath, LONGSHORE_DATA: `/${dataDirectory}` },
    ports: [7440, 7441],
  };
}

/** Debian's packages and the few files that their maintainer scripts would write. */
async function makeDebian(root: string, scratch: string): Promise<UnpackedDebian> {
  const debian = await unpackDebian(root, scratch);
  const { uid, gid } = machineUser;
  const files = {
    passwd: [`root:x:0:0:root:/root:/bin/sh`, `longshore:x:${uid}:${gid}::/${dataDirectory}:/bin/sh`],
    group: ['root:x:0:', `longshore:x:${gid}:`],
    'nsswitch.conf': ['passwd: files', 'group: files', 'hosts: files dns'],
  };
  // Empty: Node complains where the directory of the system's CAs is not there, and somebody may mount some.
  await mkdir(join(root, 'etc/ssl/certs'), { recursive: true });
  for (const [name, lines] of Object.entries(files)) await writeFile(join(root, 'etc', name), `${lines.join('\n')}\n`);
  return debian;
}

async function makePackages(root: string): Promise<NpmPackage[]> {
  const packages = await productionPackages(repository);
  await copyPackages(repository, packages, join(root, home));
  return packages;
}

/** The sources compiled, into a place of their own, and the launcher. */
async function makeProduct(root: string): Promise<void> {
  const target = join(root, home);
  await mkdir(target, { recursive: true });
  const compiler = join(repository, 'node_modules/typescript/bin/tsc');
  await runCommand(
    process.execPath,
    [compiler, '-p', 'tsconfig.build.json', '--outDir', join(target, 'dist')],
    repository,
  );
  for (const name of ['bin', 'package.json', 'LICENSE']) {
    await cp(join(repository, name), join(target, name), { recursive: true });
  }
  await mkdir(join(root, 'usr/bin'), { recursive: true });
  await symlink(`/${home}/bin/longshore`, join(root, 'usr/bin/longshore'));
  await mkdir(join(root, dataDirectory), { recursive: true });
}

async function report(facts: ImageFacts, layers: readonly Layer[], digest: string, archive: string): Promise<void> {
  const row = ({ name, sizeBytes, contentBytes }: Layer) => [
    name,
    describeBytes(sizeBytes),
    describeBytes(contentBytes),
  ];
  process.stdout.write(textTable(['LAYER', 'PACKED', 'CONTENT'], layers.map(row)));
  process.stdout.write(
    `\n${archive} (${describeBytes((await stat(archive)).size)})\n${localReference(facts)}@${digest}\n`,
  );
}

try {
  await main();
} catch (error) {
  process.stderr.write(`image: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
