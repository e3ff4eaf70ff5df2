// The only place that runs qemu-img. Always with an explicit source format, as a limited and isolated child, on files that it gets as descriptors:
// it needs no right on any path, and an image cannot make it open another file. Before it sees a source, the importer's inspector has.
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import type { Readable } from 'node:stream';
import { Fault, toFault } from '../domain/fault.ts';
import type { FaultCode } from '../domain/fault-catalogue.ts';
import type { Config } from '../runtime/config.ts';
import { type ChildEnd, type LimitedChild, spawnLimited } from '../runtime/limited-child.ts';
import type { Programs } from '../runtime/programs.ts';
import { openDirect } from './direct-file.ts';
import { FileOwnership } from './file-ownership.ts';
import { shortLines } from './short-lines.ts';

/** A stretch of a disk that holds data, in bytes. */
export interface Extent {
  start: number;
  length: number;
}

/** A stretch of the disk that an image describes. */
export interface MappedExtent extends Extent {
  zero: boolean;
  data: boolean;
  /** Where in the source its bytes lie as they are; undefined where they do not: compressed, encrypted, zeros. */
  offset: number | undefined;
}

export type ImageFormat = 'raw' | 'qcow2' | 'vmdk' | 'vdi' | 'vpc' | 'vhdx';

export interface ImageSource {
  /** A staged file, which is given to the user of the child, or the unix socket of an NBD server that shows the file as it is. */
  source: { path: string } | { nbdSocket: string };
  format: ImageFormat;
}

export interface MapRequest extends ImageSource {
  signal: AbortSignal;
  onSpawn?: (pid: number) => void | Promise<void>;
}

export interface ConvertRequest extends ImageSource {
  /** New or empty: becomes as long as the image. Longer: the image is written to its beginning, and it must read as zeros until then. */
  target: string;
  signal: AbortSignal;
  /** Most bytes that the target may have; more is ImageTooLarge. */
  capBytes?: number;
  /** 0 to 100. What it throws ends the conversion. */
  onProgress?: (percent: number) => void;
  onSpawn?: (pid: number) => void | Promise<void>;
}

type Tools = { programs: Programs; config: Pick<Config, 'toolMemoryMiB' | 'toolCpuSeconds'> };

export class QemuImg {
  readonly #program: string;
  readonly #limits: { addressSpaceMiB: number; cpuSeconds: number };

  /** @throws Fault ProgramMissing */
  constructor({ programs, config }: Tools) {
    this.#program = programs.path('qemu-img');
    this.#limits = { addressSpaceMiB: config.toolMemoryMiB, cpuSeconds: config.toolCpuSeconds };
  }

  /**
   * Writes the image as a sparse raw disk, in order, durable when it returns. After failure or abort the target holds a part, for the staging to discard.
   * @throws Fault CorruptImage, ConversionFailed, NoSpace, OutOfMemory, TimedOut, ImageTooLarge, or the reason of the abort
   */
  async convert(request: ConvertRequest): Promise<void> {
    const target = await openTarget(request.target);
    try {
      const source = await openSource(request.source);
      try {
        await this.#runConvert(request, source, target);
      } finally {
        await source.file.close();
      }
      await target.file.datasync();
    } catch (error) {
      throw toFault(error, { signal: request.signal, otherwise: 'ConversionFailed' });
    } finally {
      await target.file.close();
    }
  }

  /**
   * Data extents of a raw file in order, as its file system knows them; what lies between is zeros. Streamed: a disk may have millions.
   * @throws Fault ConversionFailed, or the reason of the abort
   */
  async *extents(path: string, signal: AbortSignal): AsyncGenerator<Extent> {
    yield* dataExtents(path, { program: this.#program, limits: this.#limits, signal });
  }

  /**
   * Where the content of an image lies, in order, up to its virtual size. Streamed; who takes no more of it ends the child.
   * @throws Fault CorruptImage, ConversionFailed, OutOfMemory, TimedOut, what onSpawn throws, or the reason of the abort
   */
  async *map({ signal, onSpawn, ...image }: MapRequest): AsyncGenerator<MappedExtent> {
    const source = await openSource(image.source);
    try {
      const child = spawnLimited({
        program: this.#program,
        args: ['map', '--output=json', ...sourceArguments(image.format, source)],
        signal,
        limits: this.#limits,
        isolate: true,
        stdin: 'ignore',
        stdout: 'pipe',
        descriptors: [source.file.fd],
        classify: classifyEnd,
      });
      try {
        if (child.stdout !== null) yield* readWhile(child.stdout, async () => onSpawn?.(child.pid));
        await child.done;
      } finally {
        await child.kill(new Fault('Cancelled', 'no more of the map is wanted'));
        child.stdout?.destroy();
      }
    } finally {
      await source.file.close();
    }
  }

  async #runConvert(request: ConvertRequest, source: OpenSource, target: OpenTarget): Promise<void> {
    const cap = request.capBytes === undefined ? {} : { fileSizeBytes: request.capBytes };
    const child = spawnLimited({
      program: this.#program,
      args: convertArguments(request.format, source, target),
      signal: request.signal,
      limits: { ...this.#limits, ...cap },
      isolate: true,
      stdin: 'ignore',
      stdout: 'pipe',
      descriptors: [source.file.fd, target.file.fd],
      failure: 'ConversionFailed',
      classify: classifyEnd,
    });
    try {
      await request.onSpawn?.(child.pid);
      await Promise.all([child.done, readProgress(child, request.onProgress)]);
    } catch (error) {
      await child.kill(toFault(error));
      throw error;
    }
  }
}

/** Extents of a raw file without a QemuImg at hand; `program` is found on the system's path. */
export async function* dataExtents(
  path: string,
  options: {
    program?: string;
    limits?: { addressSpaceMiB: number; cpuSeconds: number };
    /** Only those from there on; the first one may begin within an extent. */
    startBytes?: number;
    signal: AbortSignal;
  },
): AsyncGenerator<Extent> {
  const file = await open(path, constants.O_RDONLY).catch((error: unknown) => {
    throw toFault(error);
  });
  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, stop.signal]);
  try {
    const child = spawnLimited({
      program: options.program ?? 'qemu-img',
      // Image locking is for writers; a disk that a machine uses may be looked at too.
      args: [
        ...['map', '--force-share', '--output=json', `--start-offset=${options.startBytes ?? 0}`],
        ...['-f', 'raw', '/proc/self/fd/3'],
      ],
      signal,
      limits: options.limits ?? { addressSpaceMiB: 1024, cpuSeconds: 3600 },
      isolate: false, // raw is not parsed, and the file may be readable to us only
      stdin: 'ignore',
      stdout: 'pipe',
      descriptors: [file.fd],
    });
    if (child.stdout !== null) {
      for await (const { start, length, data } of parseExtents(child.stdout)) if (data) yield { start, length };
    }
    await child.done;
  } finally {
    stop.abort();
    await file.close();
  }
}

/** Reads from the start, since what a child has said that is gone is lost to who listens later; yields once the work is done. */
async function* readWhile(output: Readable, work: () => Promise<void>): AsyncGenerator<MappedExtent> {
  const extents = parseExtents(output);
  const reading = extents.next();
  reading.catch(() => undefined); // told when the work is done, which nobody may leave behind
  await work();
  const first = await reading;
  try {
    if (first.done !== true) yield first.value;
    yield* extents;
  } finally {
    await extents.return(undefined);
  }
}

/** One extent a line, as qemu-img prints it: `{ "start": 0, "length": 65536, …, "zero": false, "data": true, "offset": 327680},`. */
async function* parseExtents(output: Readable): AsyncGenerator<MappedExtent> {
  for await (const line of shortLines(output)) {
    const [start, length, offset] = [numberIn(line, 'start'), numberIn(line, 'length'), numberIn(line, 'offset')];
    if (start === undefined || length === undefined) continue;
    yield {
      start,
      length,
      zero: line.includes('"zero": true'),
      data: line.includes('"data": true'),
      offset,
    };
  }
}

function numberIn(line: string, name: string): number | undefined {
  const digits = new RegExp(`"${name}": (\\d+)`).exec(line)?.[1];
  if (digits === undefined) return undefined;
  const value = Number(digits);
  if (!Number.isSafeInteger(value)) throw new Fault('ConversionFailed', `qemu-img tells a ${name} of ${digits}`);
  return value;
}

function convertArguments(format: ImageFormat, source: OpenSource, target: OpenTarget): string[] {
  const existing = target.sizeBytes > 0 ? ['-n', '--target-is-zero'] : [];
  // Reads 8 parts at once and writes in order, on which FollowingDigest relies (so never -W). 64 KiB of zeros become a hole.
  const speed = ['-m', '8', '-S', '64k', '-t', target.direct ? 'none' : 'writeback'];
  return ['convert', '-p', '-O', 'raw', ...speed, ...existing, ...sourceArguments(format, source), '/proc/self/fd/4'];
}

/**
 * A VHD has two sizes. qemu-img believes its geometry of cylinders where it does not know who wrote the image, and would cut what is larger: here the
 * size counts that the guest sees.
 */
function sourceArguments(format: ImageFormat, { name, options }: OpenSource): string[] {
  if (format !== 'vpc') return ['-f', format, name];
  const file = Object.entries(options).map(([option, value]) => `file.${option}=${value}`);
  return ['--image-opts', ['driver=vpc', 'force_size_calc=current_size', ...file].join(',')];
}

interface OpenSource {
  /** Descriptor 3 of the child. */
  file: FileHandle;
  /** How the child names the source. */
  name: string;
  /** The same as options of a block driver. */
  options: Readonly<Record<string, string>>;
}

async function openSource(source: ConvertRequest['source']): Promise<OpenSource> {
  if ('path' in source) {
    await new FileOwnership().giveFile(source.path);
    const file = await open(source.path, constants.O_RDONLY);
    const name = '/proc/self/fd/3';
    return { file, name, options: { driver: 'file', filename: name } };
  }
  // Through the descriptor of its directory: no right on the path, and no limit of 107 characters.
  await new FileOwnership().giveFile(source.nbdSocket);
  const file = await open(dirname(source.nbdSocket), constants.O_RDONLY | constants.O_DIRECTORY);
  const socket = `/proc/self/fd/3/${basename(source.nbdSocket)}`;
  const options = { driver: 'nbd', 'server.type': 'unix', 'server.path': socket };
  return { file, name: `nbd+unix:///?socket=${socket}`, options };
}

interface OpenTarget {
  /** Descriptor 4 of the child. */
  file: FileHandle;
  direct: boolean;
  sizeBytes: number;
}

async function openTarget(path: string): Promise<OpenTarget> {
  const made = await open(path, constants.O_RDWR | constants.O_CREAT, 0o660);
  await made.close();
  await new FileOwnership().giveFile(path);
  const { file, direct } = await openDirect(path, constants.O_RDWR);
  return { file, direct, sizeBytes: (await file.stat()).size };
}

/** -p prints `    (12.34/100%)` after a carriage return. */
async function readProgress(child: LimitedChild, onProgress: ((percent: number) => void) | undefined): Promise<void> {
  if (child.stdout === null) return;
  for await (const chunk of child.stdout) {
    const percents = [...String(chunk).matchAll(/\((\d+\.\d+)\/100%\)/g)];
    const last = percents.at(-1)?.[1];
    if (last !== undefined) onProgress?.(Number(last));
  }
}

/** qemu-img ends with 1 for everything, so its words are the only fact: those of a damaged image are told from the rest. */
function classifyEnd({ signal, stderr }: ChildEnd): FaultCode | undefined {
  if (/qemu_thread_create/.test(stderr)) return 'OutOfMemory';
  if (signal === 'SIGSEGV' || signal === 'SIGABRT' || signal === 'SIGBUS') return 'CorruptImage';
  const damaged =
    /corrupt|refcount|[Ii]nvalid (L1|L2|footer|header|signature|image|BAT|offset)|L1 table|L2 table|not in \w+ format|Image is too (small|big)|truncated|Could not read/;
  return damaged.test(stderr) ? 'CorruptImage' : undefined;
}
