// Loop devices: the kernel shows a file as a block device, by losetup(8) and blockdev(8) of util-linux. Nothing is remembered here, so it is right after
// every restart: a device stays until it is detached or the machine restarts, whoever attached it.
import { readFile, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { text } from 'node:stream/consumers';
import type { SectorBytes } from '../domain/block-device.ts';
import { Fault } from '../domain/fault.ts';
import { spawnLimited } from '../runtime/limited-child.ts';
import type { ProgramName, Programs } from '../runtime/programs.ts';

export interface LoopDevice {
  /** Such as /dev/loop3. */
  path: string;
  /** As the kernel names the file: ends with ` (deleted)` where it has no name any more. */
  backingFile: string;
  inode: string;
  /** `major:minor` of the file system that holds the file. */
  fileSystem: string;
  readOnly: boolean;
  directIo: boolean;
  sectorBytes: number;
}

const columns = 'NAME,BACK-INO,BACK-MAJ:MIN,RO,DIO,LOG-SEC';

/** Each does a system call or two. */
const limits = { addressSpaceMiB: 512, cpuSeconds: 10 };
const withinMs = 30_000;

export class LoopDevices {
  readonly #programs: Programs;

  /** @throws Fault ProgramMissing */
  constructor(programs: Programs) {
    for (const name of ['losetup', 'blockdev'] as const) programs.path(name);
    this.#programs = programs;
  }

  /** Every loop device of the machine that has a file. */
  async list(): Promise<LoopDevice[]> {
    const table = await this.#run('losetup', ['--list', '--noheadings', '--raw', '--output', columns]);
    const devices: LoopDevice[] = [];
    for (const line of table.split('\n')) {
      const [path, inode, fileSystem, readOnly, directIo, sectorBytes] = line.replaceAll('\\x20', '').split(' ');
      if (path === undefined || inode === undefined || fileSystem === undefined) continue;
      const backingFile = await backingFileOf(path);
      if (backingFile === undefined) continue; // detached meanwhile
      const flags = { readOnly: readOnly === '1', directIo: directIo === '1', sectorBytes: Number(sectorBytes) };
      devices.push({ path, backingFile, inode, fileSystem, ...flags });
    }
    return devices;
  }

  /**
   * Attaches the file for writing, past the page cache where its file system can. One that is attached already keeps its device: there are never two.
   * @returns the device. @throws Fault NoLoopDevice; nothing is attached then
   */
  async attach(file: string, sectorBytes: SectorBytes): Promise<string> {
    const asked = ['--find', '--show', '--nooverlap', '--direct-io=on', `--sector-size=${sectorBytes}`];
    const device = (await this.#run('losetup', [...asked, file])).trim();
    try {
      // The mark of `blockdev --setro` outlives a detaching: this number may have been another's before.
      await this.#run('blockdev', ['--setrw', device]);
      return device;
    } catch (error) {
      await this.#release(device);
      throw error;
    }
  }

  /**
   * Of one that somebody has open it is the last close that detaches it. One that has no file is no error.
   * @returns the device, where it stays open. @throws Fault NoLoopDevice
   */
  async detach(device: LoopDevice): Promise<LoopDevice | undefined> {
    await this.#release(device.path);
    return (await this.list()).find((left) => isSameDevice(left, device));
  }

  async #release(device: string): Promise<void> {
    if ((await backingFileOf(device)) === undefined) return;
    await this.#run('blockdev', ['--flushbufs', '--setrw', device]);
    await this.#run('losetup', ['--detach', device]);
  }

  /** The device becomes as long as its file is now, also while it is in use. @throws Fault NoLoopDevice */
  async takeLength(device: string): Promise<void> {
    await this.#run('losetup', ['--set-capacity', device]);
  }

  async #run(program: ProgramName, args: readonly string[]): Promise<string> {
    const child = spawnLimited({
      ...{ program: this.#programs.path(program), args, limits, isolate: false, stdin: 'ignore', stdout: 'pipe' },
      signal: AbortSignal.timeout(withinMs),
      failure: 'NoLoopDevice',
    });
    if (child.stdout === null) throw new Fault('Internal', `${program} has no output`);
    const [said] = await Promise.all([text(child.stdout), child.done]);
    return said;
  }
}

/** With the same file: a number may be another's by now. */
export function isSameDevice(one: LoopDevice, other: LoopDevice): boolean {
  return one.path === other.path && one.inode === other.inode && one.fileSystem === other.fileSystem;
}

/** The device of a file, whatever it is called by now. */
export async function deviceOf(file: string, devices: readonly LoopDevice[]): Promise<LoopDevice | undefined> {
  const { dev, ino } = await stat(file, { bigint: true });
  const fileSystem = `${majorOf(dev)}:${minorOf(dev)}`;
  return devices.find((device) => device.inode === String(ino) && device.fileSystem === fileSystem);
}

// As makedev(3) of glibc puts them together.
function majorOf(dev: bigint): bigint {
  return ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & ~0xfffn);
}

function minorOf(dev: bigint): bigint {
  return (dev & 0xffn) | ((dev >> 12n) & ~0xffn);
}

/** How long it is now; 0 where it has no file any more. */
export async function sizeOfDevice(device: string): Promise<number> {
  return Number(await readFile(`/sys/block/${basename(device)}/size`, 'utf8')) * 512;
}

/** What the kernel says while it detaches a device, and afterwards. */
const detached = new Set<unknown>(['ENOENT', 'ENODEV']);

async function backingFileOf(device: string): Promise<string | undefined> {
  try {
    return (await readFile(`/sys/block/${basename(device)}/loop/backing_file`, 'utf8')).trimEnd();
  } catch (error) {
    if (error instanceof Error && 'code' in error && detached.has(error.code)) return undefined;
    throw error;
  }
}
