// Which file system a directory lies on, by an id that stays the same over mounts and restarts: so that a pool is not taken for itself when its files were copied
// to another disk. Made of the UUID that the file system itself keeps; where none can be read, none is told.
import { readFile, stat } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { spawnLimited } from '../runtime/limited-child.ts';

/** The kernel makes the id that statfs(2) tells of the UUID. That of XFS is the number of the device, which may be another after a restart. */
const toldByStatfs: ReadonlySet<string> = new Set(['ext2/ext3', 'btrfs']);

const limits = { addressSpaceMiB: 512, cpuSeconds: 10 };
const withinMs = 10_000;

/** @returns such as `ext2/ext3:476fd8caf2520966` or `xfs:5c5d…`; undefined where the file system has no lasting id, or only root may read it */
export async function fileSystemIdOf(directory: string): Promise<string | undefined> {
  const [type = '', id = ''] = (await run('stat', ['--file-system', '--format=%T %i', directory])).split(' ');
  if (toldByStatfs.has(type)) return `${type}:${id}`;
  const device = type === 'xfs' && process.geteuid?.() === 0 ? await deviceOf(directory) : undefined;
  if (device === undefined) return undefined;
  const uuid = await run('blkid', ['--probe', '--match-tag=UUID', '--output=value', device]).catch(() => ''); // no device of this machine: a container's
  return uuid === '' ? undefined : `${type}:${uuid}`;
}

/** The device that is mounted there, by its number, as /proc/self/mountinfo tells. */
async function deviceOf(directory: string): Promise<string | undefined> {
  const { dev } = await stat(directory);
  const number = `${(dev >> 8) & 0xfff}:${(dev & 0xff) | ((dev >> 12) & 0xfff00)}`;
  for (const line of (await readFile('/proc/self/mountinfo', 'utf8')).split('\n')) {
    const source = / - \S+ (\/\S+)/.exec(line)?.[1];
    if (source !== undefined && line.split(' ')[2] === number) return source;
  }
  return undefined;
}

async function run(program: 'stat' | 'blkid', args: readonly string[]): Promise<string> {
  const child = spawnLimited({
    ...{ program, args, limits, isolate: false, stdin: 'ignore', stdout: 'pipe', failure: 'Internal' },
    signal: AbortSignal.timeout(withinMs),
  });
  if (child.stdout === null) return '';
  const [said] = await Promise.all([text(child.stdout), child.done]);
  return said.trim();
}
