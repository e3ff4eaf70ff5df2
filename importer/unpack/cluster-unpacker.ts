// Unpacks compressed clusters in a child of its own: a Node without rights, files and network, whose limits are those of qemu-img. The bytes are foreign, and a
// decoder that they fool must not be in the worker. Memory is bounded on both sides: the socket holds up whoever is ahead.
import { readFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { stripTypeScriptTypes } from 'node:module';
import type { Socket } from 'node:net';
import { Fault } from '../../domain/fault.ts';
import type { FaultCode } from '../../domain/fault-catalogue.ts';
import type { Config } from '../../runtime/config.ts';
import { type ChildEnd, type LimitedChild, spawnLimited } from '../../runtime/limited-child.ts';
import { type NearEnd, openSocketPair } from '../../runtime/socket-pair.ts';
import type { Staging } from '../../volumes/staging.ts';
import type { DiskPiece, PackedCluster } from '../image/qcow2-pieces.ts';
import type { PackedImage } from './packed-image.ts';

export interface UnpackerOptions extends Pick<PackedImage, 'compression' | 'clusterBytes'> {
  config: Pick<Config, 'toolMemoryMiB' | 'toolCpuSeconds'>;
  /** Ends it. */
  signal: AbortSignal;
}

/** A piece with clusters to unpack. */
export type PackedPiece = DiskPiece & { packed: PackedCluster[] };

/** Address space that Node reserves and does not use. */
const nodeOwnMiB = 640;
/** Without a compiler no memory is writable and executable, and the code range is not reserved. */
const nodeFlags = ['--jitless', '--v8-pool-size=0', '--max-old-space-size=64'];
const damagedExit = 3;
const outOfMemoryExit = 4;

export class ClusterUnpacker implements AsyncDisposable {
  readonly #child: LimitedChild;
  readonly #socket: NearEnd;
  readonly #clusterBytes: number;

  private constructor(child: LimitedChild, socket: NearEnd, clusterBytes: number) {
    this.#child = child;
    this.#socket = socket;
    this.#clusterBytes = clusterBytes;
  }

  /**
   * The child is recorded in the staging when this returns; its disposal is owed.
   * @throws Fault StaleAttempt, or the reason of the abort; no child is left then
   */
  static async start(options: UnpackerOptions, staging: Staging): Promise<ClusterUnpacker> {
    const { near, far } = await openSocketPair(staging.directory);
    let child: LimitedChild | undefined;
    try {
      child = await spawnNode(options, far);
      await staging.adopt(child.pid);
      return new ClusterUnpacker(child, near, options.clusterBytes);
    } catch (error) {
      near.destroy();
      await child?.kill(new Fault('Cancelled', 'the attempt is over'));
      throw error;
    } finally {
      far.destroy();
    }
  }

  /** Returns when the memory may be used again. Never fails: that the child is gone is told by what is to come of it. */
  async send({ packed, offset }: PackedPiece, bytes: Buffer): Promise<void> {
    const head = Buffer.allocUnsafe(16 + 8 * packed.length);
    head.writeUInt32LE(packed.length, 0);
    head.writeUInt32LE(bytes.byteLength, 4);
    head.writeDoubleLE(offset, 8);
    for (const [index, cluster] of packed.entries()) {
      head.writeUInt32LE(cluster.at, 16 + 8 * index);
      head.writeUInt32LE(cluster.bytes, 20 + 8 * index);
    }
    await this.#socket.send(head, bytes);
  }

  /**
   * The clusters of the piece that was sent next, as far as the disk goes; each part is overwritten once more is asked for.
   * @throws Fault CorruptImage naming the cluster, TimedOut, OutOfMemory, or the reason of the abort
   */
  async *clustersOf({ packed, length, offset }: PackedPiece): AsyncGenerator<Buffer, void, undefined> {
    const bytes = packed.length * this.#clusterBytes;
    for (let came = 0; came < bytes; ) {
      const part = await this.#socket.take(bytes - came);
      if (part === undefined) {
        await this.#child.done; // mostly it says why
        const at = offset + (packed[Math.floor(came / this.#clusterBytes)]?.at ?? 0);
        throw new Fault('CorruptImage', `qcow2: nothing came of the compressed cluster at byte ${at}`);
      }
      const wanted = part.subarray(0, Math.max(0, length - came));
      came += part.byteLength;
      if (wanted.byteLength > 0) yield wanted;
    }
  }

  /** Nothing more is sent. Returns when the child has ended well. @throws Fault CorruptImage where it gave more than was asked */
  async end(): Promise<void> {
    this.#socket.end();
    const more = await this.#socket.take(1);
    if (more !== undefined)
      throw new Fault('CorruptImage', 'qcow2: more came of the compressed clusters than they hold');
    await this.#child.done;
  }

  /** Whoever waits for it goes on. */
  giveUp(): void {
    this.#socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.destroy();
    await this.#child.kill(new Fault('Cancelled', 'the rest is not wanted'));
  }
}

/** By way of a descriptor, since the user of the child may have no right on the path. */
async function spawnNode({ compression, clusterBytes, config, signal }: UnpackerOptions, far: Socket) {
  const node = await open(process.execPath, 'r');
  try {
    return spawnLimited({
      program: '/proc/self/fd/3',
      name: 'the unpacking of clusters',
      args: [...nodeFlags, '--input-type=module', '-e', programText(), compression, String(clusterBytes)],
      signal,
      limits: { addressSpaceMiB: nodeOwnMiB + config.toolMemoryMiB, cpuSeconds: config.toolCpuSeconds },
      isolate: true,
      stdin: far,
      stdout: 'ignore',
      descriptors: [node.fd],
      failure: 'ConversionFailed',
      classify: classifyEnd,
    });
  } finally {
    await node.close();
  }
}

function classifyEnd({ exitCode, signal, stderr }: ChildEnd): FaultCode | undefined {
  if (exitCode === damagedExit) return 'CorruptImage';
  if (exitCode === outOfMemoryExit) return 'OutOfMemory';
  const isOutOfMemory = /out of memory/.test(stderr);
  const crashed = signal === 'SIGSEGV' || signal === 'SIGABRT' || signal === 'SIGBUS';
  return crashed && !isOutOfMemory ? 'CorruptImage' : undefined;
}

let text: string | undefined;

function programText(): string {
  text ??= readProgram(programUrl());
  return text;
}

function readProgram(url: URL): string {
  const source = readFileSync(url, 'utf8');
  return url.pathname.endsWith('.ts') ? stripTypeScriptTypes(source) : source;
}

/** Beside this file, with its ending: .ts where tests run the sources, .js where the product runs. */
function programUrl(): URL {
  return import.meta.url.endsWith('.ts')
    ? new URL('./unpack-program.ts', import.meta.url)
    : new URL('./unpack-program.js', import.meta.url);
}
