// The image for the tests, read and unpacked by skopeo, which is not ours and checks every digest on the way.
import { mkdir, mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { runCommand } from '../../scripts/image/run-command.ts';
import { repository } from '../../scripts/run-service.ts';
import { builtArchive, configOf, type ImageConfig } from './built-archive.ts';

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
  const archive = await builtArchive();
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
