// The images that the kill tests use, made by the native tools, with the sha256 that each volume must have in the end.
import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

const volumeBytes = 64 * 1024 * 1024;
export const volumeSize = '64Mi';

export interface StormImages {
  directory: string;
  /** Names in the directory, all with the same content. */
  raw: string;
  gz: string;
  qcow2: string;
  /** sha256 of the content grown to volumeBytes. */
  sha256: string;
}

/** 24 MiB of random bytes in a disk with holes. */
export async function makeStormImages(directory: string): Promise<StormImages> {
  const raw = join(directory, 'disk.raw');
  await writeFile(raw, '');
  await truncate(raw, 48 * 1024 * 1024);
  const file = await open(raw, 'r+');
  for (let part = 0; part < 12; part += 1) {
    await file.write(randomBytes(2 * 1024 * 1024), 0, 2 * 1024 * 1024, part * 4 * 1024 * 1024);
  }
  await file.close();
  await run('sh', ['-c', 'gzip -1 -k "$1"', 'sh', raw]);
  await run('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw, join(directory, 'disk.qcow2')]);
  const grown = join(directory, 'grown');
  await run('cp', ['--sparse=always', raw, grown]);
  await truncate(grown, volumeBytes);
  return { directory, raw: 'disk.raw', gz: 'disk.raw.gz', qcow2: 'disk.qcow2', sha256: await sha256Of(grown) };
}

export async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: 1024 * 1024 }), hash);
  return hash.digest('hex');
}
