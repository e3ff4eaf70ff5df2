// The images of the benchmark: half holes, half real file data of this machine, in every form that a case imports. A form is made once and kept in the cache.
import { execFile } from 'node:child_process';
import { mkdir, rename, rm, stat, truncate } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { digestFile } from '../cli/file-digest.ts';
import { makeLayout } from '../test/registry/debian-registry.ts';

const run = promisify(execFile);

const pieceMiB = 64;
const mebibyte = 1024 * 1024;

/** `blocks.raw.xz` has blocks that can be unpacked side by side; `oci` is a directory: the layout of a container disk with a gzip layer. */
export type ImageForm =
  | 'raw'
  | 'qcow2'
  | 'zlib.qcow2'
  | 'zstd.qcow2'
  | 'raw.gz'
  | 'raw.zst'
  | 'raw.xz'
  | 'blocks.raw.xz'
  | 'qcow2.xz'
  | 'oci';

export interface ImageShape {
  /** Virtual size, a multiple of 128. */
  sizeMiB: number;
  /** How much of it is data, a multiple of 64: spread evenly. */
  dataMiB: number;
  /** Packed with little effort, for an image that is not timed. */
  quick: boolean;
}

export class BenchImages {
  readonly directory: string;
  readonly sizeBytes: number;
  /** Of the raw image, so of every volume that is made from it. */
  readonly contentDigest: string;
  readonly #stem: string;

  private constructor(directory: string, stem: string, sizeBytes: number, contentDigest: string) {
    this.directory = directory;
    this.#stem = stem;
    this.sizeBytes = sizeBytes;
    this.contentDigest = contentDigest;
  }

  /** Makes the forms that are missing. */
  static async make(
    cache: string,
    shape: ImageShape,
    forms: readonly ImageForm[],
    signal: AbortSignal,
  ): Promise<BenchImages> {
    const directory = join(cache, 'images');
    await mkdir(directory, { recursive: true });
    const stem = `disk-${shape.sizeMiB}-${shape.dataMiB}`;
    const raw = join(directory, `${stem}.raw`);
    await makeOnce(raw, (part) => makeRaw(part, shape));
    const { contentDigest } = await digestFile(raw, false, signal);
    const images = new BenchImages(directory, stem, shape.sizeMiB * mebibyte, contentDigest);
    for (const form of forms) {
      signal.throwIfAborted();
      await images.#makeForm(form, shape.quick);
    }
    return images;
  }

  path(form: ImageForm): string {
    return join(this.directory, this.name(form));
  }

  /** Name of the file, as nginx serves it. */
  name(form: ImageForm): string {
    return `${this.#stem}.${form}`;
  }

  async #makeForm(form: ImageForm, quick: boolean): Promise<void> {
    switch (form) {
      case 'raw':
        return;
      case 'qcow2':
        return this.#convert(form, []);
      case 'zlib.qcow2':
        return this.#convert(form, ['-c']);
      case 'zstd.qcow2':
        return this.#convert(form, ['-c', '-o', 'compression_type=zstd']);
      case 'raw.gz':
        return this.#pack(form, 'raw', `pigz -c ${quick ? '-1' : '-6'}`);
      case 'raw.zst':
        return this.#pack(form, 'raw', `zstd -cq -T0 ${quick ? '-1' : '-3'}`);
      case 'raw.xz':
        return this.#pack(form, 'raw', `xz -c -T1 ${xzEffort(quick)}`);
      case 'blocks.raw.xz':
        return this.#pack(form, 'raw', `xz -c -T2 ${xzEffort(quick)}`);
      case 'qcow2.xz':
        await this.#convert('qcow2', []);
        return this.#pack(form, 'qcow2', `xz -c -T2 ${xzEffort(quick)}`);
      case 'oci':
        await this.#convert('qcow2', []);
        return makeOnce(this.path(form), (part) => makeContainerDisk(part, this.path('qcow2')));
    }
  }

  async #convert(form: ImageForm, options: readonly string[]): Promise<void> {
    const words = (part: string) => ['convert', '-f', 'raw', '-O', 'qcow2', ...options, this.path('raw'), part];
    await makeOnce(this.path(form), (part) => run('qemu-img', words(part)));
  }

  async #pack(form: ImageForm, from: ImageForm, packer: string): Promise<void> {
    const words = (part: string) => ['-c', `${packer} < "$1" > "$2"`, 'sh', this.path(from), part];
    await makeOnce(this.path(form), (part) => run('sh', words(part)));
  }
}

/** Always with a dictionary of 8 MiB, and with `-T2` in blocks of 24 MiB. */
function xzEffort(quick: boolean): string {
  return quick ? '--lzma2=preset=0,dict=8MiB' : '-6';
}

async function makeOnce(path: string, make: (part: string) => Promise<unknown>): Promise<void> {
  if (await exists(path)) return;
  process.stderr.write(`making ${path}\n`);
  const part = `${path}.part`;
  await rm(part, { recursive: true, force: true });
  await make(part);
  await rename(part, path);
}

/** A boot sector, then from 1 MiB on pieces of data at equal distances; the data is what tar makes of this machine's own files, again and again. */
async function makeRaw(part: string, { sizeMiB, dataMiB }: ImageShape): Promise<void> {
  const pieces = dataMiB / pieceMiB;
  const script = `
    for again in $(seq 8); do tar -cf - -C / usr/lib usr/share usr/bin 2>/dev/null; done | for piece in $(seq 0 ${pieces - 1}); do
      dd of="$1" bs=1M count=${pieceMiB} seek=$((1 + piece * ${Math.floor(sizeMiB / pieces)})) iflag=fullblock conv=notrunc status=none
    done
    printf '\\125\\252' | dd of="$1" bs=1 seek=510 conv=notrunc status=none`;
  await run('sh', ['-c', script, 'sh', part]);
  await truncate(part, sizeMiB * mebibyte);
}

/** The qcow2 image alone under /disk, in one layer that umoci packs with gzip. */
async function makeContainerDisk(layout: string, qcow2: string): Promise<void> {
  const files = `${layout}.files`;
  await rm(files, { recursive: true, force: true });
  await mkdir(files, { recursive: true });
  await run('cp', [qcow2, join(files, 'disk.qcow2')]);
  await mkdir(dirname(layout), { recursive: true });
  await makeLayout(layout, files);
  await rm(files, { recursive: true });
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
