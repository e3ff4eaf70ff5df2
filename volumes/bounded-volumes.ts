// Filesystem claims that have a file system of their own: ext4 in a file of fixed size, `fs.img`, behind a loop device and mounted at `data`. So what a machine or
// a pod writes there fills that one and takes nothing from the next. Mounted while the volume is there, also while the service is not; mounted again when the
// pool opens after a restart of the machine.
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, open, readdir, rename, rm, rmdir, stat, truncate } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Fault, toFault } from '../domain/fault.ts';
import type { FaultCode } from '../domain/fault-catalogue.ts';
import type { VolumeId, VolumeRecord } from '../domain/volume-record.ts';
import { spawnLimited } from '../runtime/limited-child.ts';
import type { ProgramName, Programs } from '../runtime/programs.ts';
import { fileSystemBytesFor } from './bounded-size.ts';
import type { FileOwnership } from './file-ownership.ts';
import { deviceOf, type LoopDevice, type LoopDevices } from './loop-devices.ts';
import type { PoolLayout } from './pool-layout.ts';
import { removeTree } from './remove-tree.ts';

export interface BoundedVolumesOptions {
  layout: PoolLayout;
  ownership: FileOwnership;
  /** Undefined where the service may neither attach nor mount. */
  loops: LoopDevices | undefined;
  programs: Programs | undefined;
}

const limits = { addressSpaceMiB: 1024, cpuSeconds: 600 };
const withinMs = 600_000;
const mountedAtOnce = 8;
const sectorBytes = 512;
/** What the claims of a user may hold: one inode for so many bytes, as for a root file system of small files. */
const bytesPerInode = 32_768;

/** What the programs say, in English. */
const meanings: readonly [RegExp, FaultCode][] = [
  [/No space left/, 'NoSpace'],
  [/Permission denied to resize/, 'PermissionDenied'],
  [/target is busy/, 'VolumeInUse'],
];

export class BoundedVolumes {
  readonly #layout: PoolLayout;
  readonly #ownership: FileOwnership;
  readonly #loops: LoopDevices | undefined;
  readonly #programs: Programs | undefined;

  constructor({ layout, ownership, loops, programs }: BoundedVolumesOptions) {
    this.#layout = layout;
    this.#ownership = ownership;
    this.#loops = loops;
    this.#programs = programs;
  }

  /** A file system at `file`, which is not there yet, as long as told. @throws Fault NoSpace, NeedsRoot */
  async format(file: string, sizeBytes: number): Promise<void> {
    {
      await using made = await open(file, 'wx', 0o600);
      await made.truncate(sizeBytes);
    }
    const features = ['-E', 'lazy_itable_init=1,lazy_journal_init=1', '-J', 'size=4', '-i', String(bytesPerInode)];
    await this.#run('mkfs.ext4', ['-q', '-F', '-m', '0', '-b', '4096', ...features, file]);
  }

  /** At `data`, where it is not mounted yet. @throws Fault NeedsRoot, NoLoopDevice */
  async mount({ volumeId }: Pick<VolumeRecord, 'volumeId'>): Promise<void> {
    const data = this.#layout.data(volumeId);
    if (await isMounted(data)) return;
    const device = await this.#needLoops().attach(this.#layout.fileSystem(volumeId), sectorBytes);
    await this.#run('mount', ['-t', 'ext4', '-o', 'discard,nodev,nosuid', '--', device, data]);
  }

  /** As `mount`, where nobody has had the volume yet; doing it twice is no error. From then on everything in it is somebody's. */
  async mountNew({ volumeId }: Pick<VolumeRecord, 'volumeId'>): Promise<void> {
    await this.mount({ volumeId });
    const data = this.#layout.data(volumeId);
    // Only a check of the file system would want it, and makes it anew; a volume that nobody has filled is empty.
    await rmdir(join(data, 'lost+found')).catch(ignoreOthers);
    await this.#ownership.giveDirectory(data);
  }

  /** Whoever has files open there keeps them, and nobody finds them any more. @returns the device, where it stays open */
  async unmount(volumeId: VolumeId): Promise<LoopDevice | undefined> {
    const data = this.#layout.data(volumeId);
    while (await isMounted(data)) await this.#run('umount', ['--lazy', '--', data]);
    const loops = this.#needLoops();
    const device = await deviceOf(this.#layout.fileSystem(volumeId), await loops.list());
    return device === undefined ? undefined : await loops.detach(device);
  }

  /**
   * Makes the file system as large as told; it never shrinks. The kernel lets a service that may not exceed limits (CAP_SYS_RESOURCE) do so only while it is not mounted.
   * @throws Fault NoSpace, NoLoopDevice, VolumeInUse where it would have to be unmounted and is in use. Where the file system cannot have grown, its file is as long as before
   */
  async grow(volumeId: VolumeId, sizeBytes: number): Promise<void> {
    const file = this.#layout.fileSystem(volumeId);
    const loops = this.#needLoops();
    const beforeBytes = await this.fileBytes(volumeId);
    if (beforeBytes < sizeBytes) await truncate(file, sizeBytes);
    const device = await this.#orCutBack(file, beforeBytes, async () => {
      const attached = await loops.attach(file, sectorBytes);
      await loops.takeLength(attached);
      return attached;
    });
    try {
      await this.#run('resize2fs', [device]);
    } catch (error) {
      if (toFault(error).code !== 'PermissionDenied') throw error;
      await this.#orCutBack(file, beforeBytes, () => this.#run('umount', ['--', this.#layout.data(volumeId)]));
      await this.#growUnmounted(volumeId, device);
    }
  }

  /** How long the file of the file system is. */
  async fileBytes(volumeId: VolumeId): Promise<number> {
    return (await stat(this.#layout.fileSystem(volumeId))).size;
  }

  /** For what comes before the file system has grown. */
  async #orCutBack<T>(file: string, beforeBytes: number, action: () => Promise<T>): Promise<T> {
    try {
      return await action();
    } catch (error) {
      await truncate(file, beforeBytes);
      const loops = this.#needLoops();
      const device = await deviceOf(file, await loops.list());
      if (device !== undefined) await loops.takeLength(device.path);
      throw error;
    }
  }

  async #growUnmounted(volumeId: VolumeId, device: string): Promise<void> {
    try {
      // Just unmounted, it needs no check, which would make lost+found anew.
      await this.#run('resize2fs', ['-f', device]);
    } finally {
      await this.mount({ volumeId });
    }
  }

  /** Mounts what is not. @param onTrouble told of each that cannot be: nothing may be done to it */
  async settle(
    records: ReadonlyMap<VolumeId, VolumeRecord>,
    onTrouble: (id: VolumeId, fault: Fault) => void,
  ): Promise<void> {
    const bounded = [...records.values()].filter(({ boundedBytes }) => boundedBytes !== undefined);
    for (let first = 0; first < bounded.length; first += mountedAtOnce) {
      const some = bounded.slice(first, first + mountedAtOnce);
      await Promise.all(
        some.map(async (record) => {
          const mounted = record.state === 'empty' ? this.mountNew(record) : this.mount(record);
          await mounted.catch((error: unknown) => onTrouble(record.volumeId, toFault(error)));
        }),
      );
    }
  }

  /**
   * Proves that a file system in a file holds what is written to its size, by writing more than that into one.
   * @throws Fault why it cannot; nothing is left
   */
  async prove(): Promise<void> {
    const { file, data } = this.#proof();
    const sizeBytes = fileSystemBytesFor(1);
    const loops = this.#needLoops();
    await this.forgetProof();
    await mkdir(data, { recursive: true });
    try {
      await this.format(file, sizeBytes);
      const device = await loops.attach(file, sectorBytes);
      await this.#run('mount', ['-t', 'ext4', '--', device, data]);
      await expectFull(join(data, 'proof'), sizeBytes);
    } finally {
      await this.forgetProof();
    }
  }

  /** Of a service that was killed, too: what is mounted there would stay for ever, and its file with it. */
  async forgetProof(): Promise<void> {
    const { directory, file, data } = this.#proof();
    if (this.#loops === undefined || !existsSync(directory)) return;
    while (existsSync(data) && (await isMounted(data))) await this.#run('umount', ['--lazy', '--', data]);
    const attached = existsSync(file) ? await deviceOf(file, await this.#loops.list()) : undefined;
    if (attached !== undefined) await this.#loops.detach(attached);
    await rm(directory, { recursive: true, force: true });
  }

  #proof(): { directory: string; file: string; data: string } {
    const directory = this.#layout.temporary('proof');
    return { directory, file: join(directory, 'fs.img'), data: join(directory, 'data') };
  }

  #needLoops(): LoopDevices {
    if (this.#loops !== undefined) return this.#loops;
    const others = 'without `:loop` new volumes need no mount, those that are there do';
    throw new Fault(
      'NeedsRoot',
      `only root may mount the file system of a volume: run \`sudo longshore up\`; ${others}`,
    );
  }

  async #run(program: ProgramName, args: readonly string[]): Promise<void> {
    this.#needLoops();
    if (this.#programs === undefined) throw new Fault('Internal', `${program} was not looked for`);
    const child = spawnLimited({
      ...{ program: this.#programs.path(program), args, limits, isolate: false, stdin: 'ignore', stdout: 'ignore' },
      signal: AbortSignal.timeout(withinMs),
      failure: 'NoLoopDevice',
      classify: ({ stderr }) => meanings.find(([said]) => said.test(stderr))?.[1],
    });
    await child.done;
  }
}

/** @throws Fault Internal where more could be written than there is room for */
async function expectFull(path: string, sizeBytes: number): Promise<void> {
  await using file = await open(path, 'wx');
  const piece = Buffer.alloc(1024 * 1024, 1);
  let written = 0;
  try {
    while (written <= sizeBytes) {
      written += (await file.write(piece)).bytesWritten;
      await file.sync();
    }
  } catch (error) {
    if (toFault(error).code === 'NoSpace') return;
    throw error;
  }
  throw new Fault('Internal', `${written} bytes could be written where there is room for ${sizeBytes}`);
}

/** Another file system is seen there than in the directory that it lies in. */
async function isMounted(path: string): Promise<boolean> {
  const [own, above] = await Promise.all([stat(path), stat(dirname(path))]);
  return own.dev !== above.dev;
}

/** It is gone already, or somebody has put something of his own there. */
function ignoreOthers(error: unknown): void {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (!['ENOENT', 'ENOTEMPTY', 'ENOTDIR'].includes(code)) throw error;
}

/** All goes from `data`, which stays, but what is to be kept. Names as bytes: those of an archive need be no text. @throws Fault Internal where something is there still */
export async function emptyInPlace(data: string, kept: ReadonlySet<string> = new Set()): Promise<void> {
  const strays = async () => {
    const names = await readdir(data, { encoding: 'buffer' });
    return names.filter((name) => !kept.has(name.toString('latin1')));
  };
  const found = await strays();
  const isText = (name: Buffer) => Buffer.from(name.toString()).equals(name);
  for (const name of found.filter(isText)) await removeTree(join(data, name.toString()));
  // Who removes trees is told names as text. These come last, since a new name may want room.
  for (const name of found.filter((one) => !isText(one))) {
    const named = join(data, `.doomed-${randomBytes(8).toString('hex')}`);
    await rename(Buffer.concat([Buffer.from(`${data}/`), name]), named);
    await removeTree(named);
  }
  const left = await strays();
  if (left.length > 0) throw new Fault('Internal', `${data} is not empty: ${left.length} names are there still`);
}
