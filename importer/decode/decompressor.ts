// Native decompressors as limited children: igzip, pigz or gzip; xz with several threads; zstd; lbzip2 or bzip2. Their speed is why no byte is decompressed in JavaScript.
import { availableParallelism } from 'node:os';
import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Fault } from '../../domain/fault.ts';
import type { FaultCode } from '../../domain/fault-catalogue.ts';
import type { Config } from '../../runtime/config.ts';
import { type ChildEnd, type LimitedChild, spawnLimited } from '../../runtime/limited-child.ts';
import type { Programs } from '../../runtime/programs.ts';
import type { Compression } from '../image/content-kind.ts';

export interface DecoderSurroundings {
  config: Config;
  programs: Programs;
  /** Aborting ends the child. */
  signal: AbortSignal;
}

/** More decode faster than anything else here works. Each takes its stack of the address space. */
const mostXzThreads = 8;
const stackMiB = 8;
/** Memory of one thread of lbzip2; it takes all cores that this allows. */
const bzip2ThreadMiB = 32;
/** What the program itself takes of its address space. */
const ownMiB = 64;

/** @throws Fault ProgramMissing */
export function startDecompressor(
  compression: Compression,
  { config, programs, signal }: DecoderSurroundings,
  limits: { threads: boolean } = { threads: true },
): LimitedChild {
  const { program, args } = commandOf(compression, programs, config.toolMemoryMiB - ownMiB, limits.threads);
  return spawnLimited({
    program,
    args,
    signal,
    limits: { addressSpaceMiB: config.toolMemoryMiB, cpuSeconds: config.toolCpuSeconds },
    isolate: true,
    stdin: 'pipe',
    stdout: 'pipe',
    failure: 'CorruptCompression',
    classify: classifyEnd,
    wording: withoutNamelessFile,
  });
}

function commandOf(
  compression: Compression,
  programs: Programs,
  memoryMiB: number,
  threads: boolean,
): { program: string; args: string[] } {
  switch (compression) {
    case 'gz':
      return { program: programs.oneOf('igzip', 'pigz', 'gzip').path, args: ['-dc'] };
    case 'xz': {
      const most = threads ? Math.min(availableParallelism(), mostXzThreads) : 1;
      // Blocks are held whole: xz takes as many at once as this allows, and where one alone is too large it decodes in order, with one thread.
      const blocksMiB = Math.max(1, memoryMiB - most * stackMiB);
      const several = [`--threads=${most}`, `--memlimit-mt-decompress=${blocksMiB}MiB`];
      return { program: programs.path('xz'), args: ['-dc', ...several, `--memlimit-decompress=${memoryMiB}MiB`] };
    }
    case 'zst':
      return { program: programs.path('zstd'), args: ['-dcq', '--no-progress', `--memory=${memoryMiB}MiB`] };
    case 'bz2': {
      const { name, path } = programs.oneOf('lbzip2', 'bzip2');
      if (name === 'bzip2') return { program: path, args: ['-dc'] };
      const most = Math.min(availableParallelism(), Math.max(1, Math.floor(memoryMiB / bzip2ThreadMiB)));
      return { program: path, args: ['-dc', '-n', String(threads ? most : 1)] };
    }
  }
}

/** igzip names the file that it reads, and a pipe has no name: "Error encountered while decompressing file (null)". */
function withoutNamelessFile(stderr: string): string {
  return stderr.replaceAll(/(?:file )?\(null\)/g, 'its input');
}

/** xz and zstd tell by words only that an image wants more memory than they may take. */
function classifyEnd({ stderr }: ChildEnd): FaultCode | undefined {
  const wantsMemory = /Memory usage limit reached|Window size larger than maximum|too much memory|Memory required/;
  return wantsMemory.test(stderr) ? 'DecoderMemory' : undefined;
}

/**
 * Sends the stream through the decompressors, outermost first, into `target`. Ends when all of it has arrived there and every child has ended well.
 * Of several failures the one that explains the others is thrown. What was written by then stays in `target`.
 */
export async function decompressInto(
  source: AsyncIterable<Buffer>,
  compressions: readonly Compression[],
  target: Writable,
  surroundings: DecoderSurroundings,
): Promise<void> {
  const stop = new AbortController();
  const signal = AbortSignal.any([surroundings.signal, stop.signal]);
  const failures: unknown[] = [];
  const stage = async (work: Promise<void>): Promise<void> => {
    try {
      await work;
    } catch (error) {
      failures.push(error);
      stop.abort(new Fault('Cancelled', 'another part of the transfer failed'));
    }
  };
  const stages: Promise<void>[] = [];
  let upstream: AsyncIterable<Buffer> = source;
  for (const compression of compressions) {
    const child = startDecompressor(compression, { ...surroundings, signal });
    if (child.stdin === null || child.stdout === null) throw new Fault('Internal', 'the decompressor has no pipes');
    stages.push(stage(feed(upstream, child.stdin, child, signal)));
    upstream = child.stdout;
  }
  stages.push(stage(pipeline(upstream, target, { signal })));
  await Promise.all(stages);
  if (surroundings.signal.aborted) throw surroundings.signal.reason;
  if (failures.length > 0) throw explaining(failures);
}

/** Gives all of the source, whose pieces may be overwritten once the next one is asked for, to the child. One that ends early breaks the pipe to it; why it ended is the fault then, unless the source failed first. */
export async function feed(
  source: AsyncIterable<Buffer>,
  stdin: Writable,
  child: LimitedChild,
  signal: AbortSignal,
): Promise<void> {
  try {
    await pipeline(source, oneByOne(stdin), { signal });
  } catch (error) {
    if (error instanceof Fault) throw error;
    await child.done;
    if (!isBrokenPipe(error)) throw error;
  }
  await child.done;
}

/** With a mark of 1 a pipeline asks for the next piece when the pipe has taken all of the one before: a child's stdin keeps what it has no room for. */
function oneByOne(stdin: Writable): Writable {
  return new Writable({
    highWaterMark: 1,
    write: (piece, _encoding, done) => {
      stdin.write(piece, done);
    },
    final: (done) => {
      stdin.end(done);
    },
    destroy: (error, done) => {
      stdin.destroy();
      done(error);
    },
  });
}

function isBrokenPipe(error: unknown): boolean {
  if (!(error instanceof Error) || !('code' in error)) return false;
  return ['EPIPE', 'ECONNRESET', 'ERR_STREAM_PREMATURE_CLOSE', 'ERR_STREAM_DESTROYED'].includes(String(error.code));
}

/** The first fault that is not merely the consequence of another. */
function explaining(failures: readonly unknown[]): unknown {
  return failures.find((error) => error instanceof Fault && error.code !== 'Cancelled') ?? failures[0];
}
