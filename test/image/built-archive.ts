// The OCI archive that tests look at or install: the one in build/ where it is of the very commit that is checked out, else one built now.
import { glob } from 'node:fs/promises';
import { join } from 'node:path';
import { runCommand } from '../../scripts/image/run-command.ts';
import { repository } from '../../scripts/run-service.ts';

export interface ImageConfig {
  config: { User: string; Entrypoint: string[]; Env: string[]; Labels: Record<string, string> };
}

/** @returns its path */
export async function builtArchive(): Promise<string> {
  return (await archiveOfThisCommit()) ?? (await buildNow());
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

export async function configOf(archive: string): Promise<ImageConfig> {
  // Safe: the image-spec's shape, which skopeo has parsed.
  return JSON.parse(await runCommand('skopeo', ['inspect', '--config', `oci-archive:${archive}`])) as ImageConfig;
}
