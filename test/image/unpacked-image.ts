// The image for the tests: the one in build/ where it is of the very commit that is checked out, else one built now; read and unpacked by
// skopeo, which is not ours and checks every digest on the way.
import { glob, mkdir, mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { runCommand } from '../../scripts/image/run-command.ts';
import { repository } from '../../scripts/run-service.ts';

interface ImageConfig {
  config: { User: string; Entrypoint: string[]; Env: string[]; Labels: Record<string, string> };
}

export interface UnpackedImage {
  sizeBytes: number;
  config: ImageConfig['config'];
  /** Where its files are, with their modes; with their owners only where root unpacked them. */
  root: string;
  /** One line for each entry of each layer, as `tar --list --verbose --numeric-owner` writes it. */
  listing: string[];
  remove(): Promise<void>;
}

export async function unpackedImage(): Promise<UnpackedImage> {
  const archive = (await archiveOfThisCommit()) ?? (await buildNow());
  const scratch = await mkdtemp(join(repository, 'build/.image-test-'));
  const remove = () => rm(scratch, { recursive: true, force: true });
  try {
    const root = join(scratch, 'root');
    const listing = await unpack(archive, join(scratch, 'layers'), root);
    const { config } = await configOf(archive);
    return { sizeBytes: (await stat(archive)).size, config, root, listing, remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

async function archiveOfThisCommit(): Promise<string | undefined> {
  const describe = ['describe', '--always', '--abbrev=40', '--dirty', '--match='];
  const commit = (await runCommand('git', describe, repository)).trim();
  if (commit.endsWith('-dirty')) return undefined; // says nothing about what is in the files
  for await (const name of glob('build/*.oci.tar', { cwd: repository })) {
    const archive = join(repository, name);
    if ((await configOf(archive)).config.Labels['org.opencontainers.image.revision'] === commit) return archive;
  }
  return undefined;
}

async function buildNow(): Promise<string> {
  const said = await runCommand(process.execPath, ['scripts/build-image.ts'], repository);
  const archive = /^(\/.+\.oci\.tar) \(/m.exec(said)?.[1];
  if (archive === undefined) throw new Error(`the build names no archive: ${said}`);
  return archive;
}

async function configOf(archive: string): Promise<ImageConfig> {
  // Safe: the image-spec's shape, which skopeo has parsed.
  return JSON.parse(await runCommand('skopeo', ['inspect', '--config', `oci-archive:${archive}`])) as ImageConfig;
}

async function unpack(archive: string, layers: string, root: string): Promise<string[]> {
  await mkdir(root);
  await runCommand('skopeo', ['--insecure-policy', 'copy', '--quiet', `oci-archive:${archive}`, `dir:${layers}`]);
  // Safe: as above.
  const manifest = JSON.parse(await readFile(join(layers, 'manifest.json'), 'utf8')) as {
    layers: { digest: string }[];
  };
  const listing: string[] = [];
  for (const { digest } of manifest.layers) {
    const layer = join(layers, digest.replace('sha256:', ''));
    const list = await runCommand('tar', ['--list', '--verbose', '--numeric-owner', '--gzip', '--file', layer]);
    listing.push(...list.trimEnd().split('\n'));
    const flags = ['--extract', '--same-permissions', '--numeric-owner', '--keep-directory-symlink', '--gzip'];
    await runCommand('tar', [...flags, '-C', root, '--file', layer]);
  }
  return listing;
}
