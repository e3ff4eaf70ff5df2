// The images of the benchmark: half holes, half real file data of this machine, as raw and as qcow2. Made once and kept in the cache.
import { execFile } from 'node:child_process';
import { mkdir, rename, rm, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { digestFile } from '../cli/file-digest.ts';

const run = promisify(execFile);

const pieceMiB = 64;
const mebibyte = 1024 * 1024;

export interface BenchImages {
  directory: string;
  raw: string;
  qcow2: string;
  sizeBytes: number;
  /** Of the raw image, so of every volume that is made from it. */
  contentDigest: string;
}

/** @param sizeMiB virtual size, a multiple of 128 */
export async function makeBenchImages(cache: string, sizeMiB: number, signal: AbortSignal): Promise<BenchImages> {
  const directory = join(cache, 'images');
  await mkdir(directory, { recursive: true });
  const raw = join(directory, `disk-${sizeMiB}.raw`);
  const qcow2 = join(directory, `disk-${sizeMiB}.qcow2`);
  if (!(await exists(raw))) await makeRaw(raw, sizeMiB);
  if (!(await exists(qcow2))) {
    await run('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw, `${qcow2}.part`]);
    await rename(`${qcow2}.part`, qcow2);
  }
  const { contentDigest } = await digestFile(raw, false, signal);
  return { directory, raw, qcow2, sizeBytes: sizeMiB * mebibyte, contentDigest };
}

/** A boot sector, then from 1 MiB on a piece of data, a hole of the same size, and so on; the data is what tar makes of this machine's own files, again and again. */
async function makeRaw(raw: string, sizeMiB: number): Promise<void> {
  const part = `${raw}.part`;
  await rm(part, { force: true });
  const pieces = sizeMiB / (2 * pieceMiB);
  const script = `
    for again in $(seq 8); do tar -cf - -C / usr/lib usr/share usr/bin 2>/dev/null; done | for piece in $(seq 0 ${pieces - 1}); do
      dd of="$1" bs=1M count=${pieceMiB} seek=$((1 + piece * ${2 * pieceMiB})) iflag=fullblock conv=notrunc status=none
    done
    printf '\\125\\252' | dd of="$1" bs=1 seek=510 conv=notrunc status=none`;
  await run('sh', ['-c', script, 'sh', part]);
  await truncate(part, sizeMiB * mebibyte);
  await rename(part, raw);
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
