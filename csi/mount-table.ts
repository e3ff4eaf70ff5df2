// What is mounted where, as the kernel tells in /proc/self/mountinfo (proc(5)); nothing of it is remembered, so it is right after every restart.
import { readFile } from 'node:fs/promises';

export interface MountEntry {
  mountPoint: string;
  /** The directory of the file system that is seen there; ends with `//deleted` where that is gone. */
  root: string;
  /** Of its file system, such as ext4 or devtmpfs. */
  type: string;
  readOnly: boolean;
}

/** In the order of mounting: of several at one path the last is seen. */
export async function readMountTable(): Promise<MountEntry[]> {
  return parseMountTable(await readFile('/proc/self/mountinfo', 'utf8'));
}

export function parseMountTable(text: string): MountEntry[] {
  return text.split('\n').flatMap((line) => {
    const [ofMount = '', ofFileSystem = ''] = line.split(' - ');
    const [, , , root, mountPoint, options] = ofMount.split(' ');
    if (root === undefined || mountPoint === undefined || options === undefined) return [];
    const [type = ''] = ofFileSystem.split(' ');
    const readOnly = options.split(',').includes('ro');
    return [{ mountPoint: unescaped(mountPoint), root: unescaped(root), type, readOnly }];
  });
}

/** Blanks, tabs, line ends and backslashes stand as \ and three octal digits. */
function unescaped(text: string): string {
  // The kernel escapes bytes below 128 only, so a code is a character.
  return text.replaceAll(/\\([0-7]{3})/g, (_all, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

/** Whether it is this device, such as /dev/loop3. */
export function showsDevice({ root, type }: MountEntry, device: string): boolean {
  return type === 'devtmpfs' && `/dev${root}` === device;
}

/** Whether it is some loop device. */
export function showsLoop({ root, type }: MountEntry): boolean {
  return type === 'devtmpfs' && /^\/loop\d+$/.test(root);
}

/** Whether it is the data of this volume that is seen there. An id occurs once in the world, so the end of the path is enough. */
export function shows({ root }: MountEntry, volumeId: string): boolean {
  return root.replace(/\/\/deleted$/, '').endsWith(`/volumes/${volumeId}/data`);
}
