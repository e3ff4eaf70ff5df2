// The floors: what Debian's own tools need for the same work. Each returns seconds and removes what it wrote; all of them end on the disk, flushed.
import { execFile } from 'node:child_process';
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { BenchImages, ImageForm } from './bench-images.ts';
import type { BenchServers } from './bench-servers.ts';

const run = promisify(execFile);

export interface FloorPlace {
  /** Where the floors write. */
  cache: string;
  images: BenchImages;
  servers: BenchServers;
}

export const gunzip = process.arch === 'x64' ? 'igzip -dc' : 'pigz -dc';
export const copies = 19;
const connections = 4;

const intoDisk = (path: string) => `dd of="${path}" bs=1M iflag=fullblock conv=sparse,fdatasync status=none`;

async function seconds(script: string, ...words: string[]): Promise<number> {
  const started = performance.now();
  await run('bash', ['-e', '-o', 'pipefail', '-c', script, 'floor', ...words]);
  return (performance.now() - started) / 1000;
}

async function secondsAndRemove(paths: readonly string[], script: string, ...words: string[]): Promise<number> {
  try {
    return await seconds(script, ...words);
  } finally {
    for (const path of paths) await rm(path, { force: true });
  }
}

/** curl, what unpacks it, and dd, which leaves holes for zeros and flushes at the end. */
export function streamFloor({ cache, images, servers }: FloorPlace, form: ImageForm, unpack?: string): Promise<number> {
  const target = join(cache, 'floor.raw');
  const script = `curl -fsS "$1" | ${unpack === undefined ? '' : `${unpack} | `}${intoDisk('$2')}`;
  return secondsAndRemove([target], script, servers.url(images, form), target);
}

/** A local copy converted past the page cache. */
export function convertFloor({ cache, images }: FloorPlace, form: ImageForm): Promise<number> {
  const target = join(cache, 'floor.raw');
  const script = 'qemu-img convert -t none -f qcow2 -O raw "$1" "$2"';
  return secondsAndRemove([target], script, images.path(form), target);
}

/** The slower of fetching it to nowhere and converting a local copy: what perfect overlap would take. */
export async function overlapFloor(place: FloorPlace, form: ImageForm): Promise<number> {
  const fetched = await seconds('curl -fsS -o /dev/null "$1"', place.servers.url(place.images, form));
  return Math.max(fetched, await convertFloor(place, form));
}

/** Fetched, unpacked and converted, one after the other. */
export function packedQcow2Floor({ cache, images, servers }: FloorPlace): Promise<number> {
  const [packed, target] = [join(cache, 'floor.xz'), join(cache, 'floor.raw')];
  const script = `curl -fsS -o "$2" "$1"
    xz -dc -T2 "$2" > "$2.qcow2"
    qemu-img convert -t none -f qcow2 -O raw "$2.qcow2" "$3"`;
  const left = [packed, `${packed}.qcow2`, target];
  return secondsAndRemove(left, script, servers.url(images, 'qcow2.xz'), packed, target);
}

/** The blob by curl, unpacked, the disk taken out of the tar, and converted. */
export async function containerDiskFloor({ cache, images, servers }: FloorPlace): Promise<number> {
  const [scratch, target] = [join(cache, 'floor.qcow2'), join(cache, 'floor.raw')];
  const script = `curl -fsS "$1" | ${gunzip} | tar -xO disk/disk.qcow2 > "$2"
    qemu-img convert -t none -f qcow2 -O raw "$2" "$3"`;
  return secondsAndRemove([scratch, target], script, await servers.layerUrl(images), scratch, target);
}

/** The slower of signed ranges over four connections and converting a local copy. */
export async function s3Floor(place: FloorPlace): Promise<number> {
  const { url, words } = place.servers.s3ForCurl(place.images);
  const fetched = await rangesSeconds(place.images, url, words);
  return Math.max(fetched, await convertFloor(place, 'qcow2'));
}

/** Ranges over four connections through the slow line. */
export function relayFloor({ images, servers }: FloorPlace): Promise<number> {
  return rangesSeconds(images, servers.slowUrl(images, 'qcow2'), []);
}

async function rangesSeconds(images: BenchImages, url: string, words: readonly string[]): Promise<number> {
  const bytes = (await stat(images.path('qcow2'))).size;
  const part = Math.ceil(bytes / connections);
  const script = `url=$1 part=$2; shift 2
    for start in ${Array.from({ length: connections }, (_, index) => index * part).join(' ')}; do
      curl -fsS "$@" -o /dev/null -r $start-$((start + part - 1)) "$url" & all="$all $!"
    done
    for one in $all; do wait $one; done`;
  return seconds(script, url, String(part), ...words);
}

/** One import, and copies of it that keep its holes. */
export function fanOutFloor({ cache, images, servers }: FloorPlace): Promise<number> {
  const target = join(cache, 'floor.raw');
  const made = Array.from({ length: copies }, (_, index) => `${target}.${index}`);
  const script = `curl -fsS "$1" | ${intoDisk('$2')}
    first=$2; shift 2
    for copy in "$@"; do cp "$first" "$copy"; sync -d "$copy"; done`;
  return secondsAndRemove([target, ...made], script, servers.url(images, 'raw'), target, ...made);
}

/** curl to nginx WebDAV over TLS. nginx flushes nothing, so the floor is flushed here like the others. */
export function uploadFloor({ images, servers: { nginx } }: FloorPlace): Promise<number> {
  const stored = join(nginx.uploads, 'disk');
  const script = 'curl -fsS --cacert "$1" -T "$2" "$3" && sync -d "$4"';
  return secondsAndRemove([stored], script, nginx.certificate, images.path('raw'), `${nginx.davUrl}/disk`, stored);
}
