// The OCI archive that tests look at or install: the one in build/ where it is of the very commit that is checked out, else one built now.
import { glob } from 'node:fs/promises';
import { join } from 'node:path';
import { runCommand } from '../../scripts/image/run-command.ts';
import { repository } from '../../scripts/run-service.ts';

export interface ImageConfig {
  config: { User: string; Entrypoint: string[]; Env: string[]; Labels: Record<string, string> };
}

/** @returns the path of the archive of this very commit */
export async function builtArchive(): Promise<string> {
  return (await archiveWhere(async (revision) => revision === (await commitHere()))) ?? (await buildNow());
}

/** @returns the path of an archive in which is what this commit would put there: what differs since are tests, texts or the chart */
export async function builtAlike(): Promise<string> {
  return (await archiveWhere(holdsSame)) ?? (await buildNow());
}

async function archiveWhere(fits: (revision: string) => Promise<boolean>): Promise<string | undefined> {
  for await (const name of glob('build/*.oci.tar', { cwd: repository })) {
    const archive = join(repository, name);
    const revision = (await configOf(archive)).config.Labels['org.opencontainers.image.revision'] ?? '';
    if (!revision.endsWith('-dirty') && (await fits(revision))) return archive;
  }
  return undefined;
}

/** With `-dirty`, where that says nothing about what is in the files. */
async function commitHere(): Promise<string> {
  return (await runCommand('git', ['describe', '--always', '--abbrev=40', '--dirty', '--match='], repository)).trim();
}

async function holdsSame(revision: string): Promise<boolean> {
  const known = await runCommand('git', ['rev-list', '--max-count=1', '--ignore-missing', revision], repository);
  if (known.trim() === '') return false;
  const outside = ['test', 'bench', 'docs', 'charts', '*.md', '*.test.ts', 'scripts/demo*'].map((path) => `:!${path}`);
  const changed = await runCommand('git', ['diff', '--name-only', revision, '--', '.', ...outside], repository);
  return changed === '';
}

async function buildNow(): Promise<string> {
  const said = await runCommand(process.execPath, ['scripts/build-image.ts'], repository);
  const archive = /^(\/.+\.oci\.tar) \(/m.exec(said)?.[1];
  if (archive === undefined) throw new Error(`the build names no archive: ${said}`);
  return archive;
}

export async function configOf(archive: string): Promise<ImageConfig> {
  // Safe: the image-spec's shape, which skopeo has parsed.
  return JSON.parse(await runCommand('skopeo', ['inspect', '--config', `oci-archive:${archive}`])) as ImageConfig;
}
