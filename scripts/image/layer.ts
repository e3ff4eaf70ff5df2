// Packs a directory as one layer of a container image, so that the same content gives the same bytes: sorted, with fixed owners, modes
// without set-user-id and set-group-id, and one date. Needs no root: whoever builds, the files of the image belong to root.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { chmod, lstat, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { runCommand } from './run-command.ts';

export interface LayerContent {
  /** What it is, in a word, for the history of the image and the report. */
  name: string;
  /** The directory that becomes the root. */
  root: string;
  /** Seconds since 1970: no file is newer. */
  date: number;
  /** A directory in it, not belonging to root. */
  owned?: { path: string; uid: number; gid: number };
}

export interface Layer {
  name: string;
  /** The packed file. */
  file: string;
  /** sha256 in hex of the packed bytes, which names the blob. */
  digest: string;
  /** sha256 in hex of the bytes before they were packed. */
  contentDigest: string;
  sizeBytes: number;
  contentBytes: number;
}

/** @param directory where the packed file goes */
export async function packLayer(content: LayerContent, directory: string): Promise<Layer> {
  await normalizeModes(content.root);
  const tar = join(directory, `${content.name}.tar`);
  const entries = (await readdir(content.root)).sort();
  const fixed = [
    '--format=posix',
    '--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime',
    '--numeric-owner',
    '--sort=name',
  ];
  const dated = [...fixed, `--mtime=@${content.date}`, '--clamp-mtime', '-C', content.root, '-f', tar];
  const { owned } = content;
  const apart = owned === undefined ? [] : [`--exclude=${owned.path}`];
  await runCommand('tar', ['--create', '--owner=0', '--group=0', '--anchored', ...apart, ...dated, '--', ...entries]);
  if (owned !== undefined) {
    await runCommand('tar', ['--append', `--owner=${owned.uid}`, `--group=${owned.gid}`, ...dated, '--', owned.path]);
  }
  const contentDigest = await sha256OfFile(tar);
  const contentBytes = (await stat(tar)).size;
  await runCommand('gzip', ['-9', '--no-name', tar]);
  const file = `${tar}.gz`;
  const sizeBytes = (await stat(file)).size;
  return { name: content.name, file, digest: await sha256OfFile(file), contentDigest, sizeBytes, contentBytes };
}

/** In hex. */
async function sha256OfFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

/** What a builder's umask or a package's set-user-id bit would otherwise bring in. */
async function normalizeModes(root: string): Promise<void> {
  for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isSymbolicLink()) continue;
    const { mode } = await lstat(path);
    const sticky = mode & 0o1000;
    if (entry.isDirectory()) await chmod(path, sticky === 0 ? 0o755 : 0o1777);
    else await chmod(path, (mode & 0o111) === 0 ? 0o644 : 0o755);
  }
}
