// Loop devices belong to the host's kernel and outlive the machine. Those over a file of the cluster are known by that file's device and inode, since
// its path differs by who looks.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { exists } from '../paths.ts';

const run = promisify(execFile);

/** Detaches all that stand over a file below the directory. */
export async function detachLoopDevices(directory: string): Promise<void> {
  const attached = (await exists(directory)) ? await attachedDevices() : [];
  if (attached.length === 0) return;
  const { stdout } = await run('find', [directory, '-xdev', '-type', 'f', '-printf', '%i\\n'], {
    maxBuffer: 256 * 1024 ** 2,
  });
  const ours = new Set(stdout.split('\n'));
  const { stdout: device } = await run('stat', ['--format=%Hd:%Ld', directory]);
  for (const { name, inode, backDevice } of attached) {
    if (ours.has(inode) && backDevice === device.trim()) await run('losetup', ['--detach', name]);
  }
}

async function attachedDevices(): Promise<{ name: string; inode: string; backDevice: string }[]> {
  const { stdout } = await run('losetup', ['--list', '--noheadings', '--output', 'NAME,BACK-INO,BACK-MAJ:MIN']);
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [name = '', inode = '', backDevice = ''] = line.trim().split(/ +/);
      return { name, inode, backDevice };
    });
}
