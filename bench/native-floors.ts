// The floors: what Debian's own tools need for the same work. Each returns seconds and removes what it wrote.
import { execFile } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import type { BenchImages } from './bench-images.ts';
import type { BenchNginx } from './bench-nginx.ts';

const run = promisify(execFile);

async function seconds(program: string, words: readonly string[]): Promise<number> {
  const started = performance.now();
  await run(program, words);
  return (performance.now() - started) / 1000;
}

/** curl piped into dd, which leaves holes for zeros and flushes at the end. */
export async function rawFloor(cache: string, images: BenchImages, nginx: BenchNginx): Promise<number> {
  const target = join(cache, 'floor.raw');
  const script = 'curl -fsS "$1" | dd of="$2" bs=1M iflag=fullblock conv=sparse,fdatasync status=none';
  const took = await seconds('sh', ['-c', script, 'sh', `${nginx.httpUrl}/${basename(images.raw)}`, target]);
  await rm(target);
  return took;
}

/** The slower of fetching it to nowhere and converting a local copy past the page cache: what perfect overlap would take. */
export async function qcow2Floor(cache: string, images: BenchImages, nginx: BenchNginx): Promise<number> {
  const target = join(cache, 'floor.raw');
  const fetched = await seconds('curl', ['-fsS', '-o', '/dev/null', `${nginx.httpUrl}/${basename(images.qcow2)}`]);
  const convert = ['convert', '-t', 'none', '-f', 'qcow2', '-O', 'raw', images.qcow2, target];
  const converted = await seconds('qemu-img', convert);
  await rm(target);
  return Math.max(fetched, converted);
}

/** curl to nginx WebDAV over TLS. nginx flushes nothing, so the floor is flushed here like the others. */
export async function uploadFloor(_cache: string, images: BenchImages, nginx: BenchNginx): Promise<number> {
  const script = 'curl -fsS --cacert "$1" -T "$2" "$3" && sync -d "$4"';
  const stored = join(nginx.uploads, 'disk');
  const took = await seconds('sh', ['-c', script, 'sh', nginx.certificate, images.raw, `${nginx.davUrl}/disk`, stored]);
  await rm(stored);
  return took;
}
