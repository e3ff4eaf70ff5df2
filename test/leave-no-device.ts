// Loop devices that a test may have left, whatever came between: those whose file lies below its directory, with their links.
import { execFileSync } from 'node:child_process';
import { readdir, readFile, readlink, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { deviceDirectory } from '../domain/block-device.ts';
import { findPrograms } from '../runtime/programs.ts';
import { LoopDevices } from '../volumes/loop-devices.ts';

export const isRoot = process.geteuid?.() === 0;

/** Undefined where nobody may attach any. */
export function loopsOfTest(): LoopDevices | undefined {
  return isRoot ? new LoopDevices(findPrograms(['losetup', 'blockdev'])) : undefined;
}

/** Paths of devices and of their files. */
export async function devicesBelow(directory: string): Promise<{ device: string; file: string }[]> {
  const found: { device: string; file: string }[] = [];
  for (const name of await readdir('/sys/block')) {
    if (!name.startsWith('loop')) continue;
    const file = await readFile(`/sys/block/${name}/loop/backing_file`, 'utf8').catch(() => ''); // it has none
    if (file.startsWith(`${directory}/`)) found.push({ device: `/dev/${name}`, file: file.trimEnd() });
  }
  return found;
}

/** Where each link of a Block volume points. */
export async function deviceLinks(): Promise<Map<string, string>> {
  const names = await readdir(deviceDirectory).catch(() => []); // nobody has made it yet
  return new Map(
    await Promise.all(names.map(async (name) => [name, await readlink(join(deviceDirectory, name))] as const)),
  );
}

export async function detachDevice(device: string): Promise<void> {
  const loops = loopsOfTest();
  const found = (await loops?.list())?.find(({ path }) => path === device);
  if (found !== undefined) await loops?.detach(found);
}

/** File systems of volumes that are mounted there. */
export async function mountsBelow(directory: string): Promise<string[]> {
  const text = await readFile('/proc/self/mountinfo', 'utf8');
  return text.split('\n').flatMap((line) => {
    const [, , , , mountPoint = ''] = line.split(' ');
    return mountPoint.startsWith(`${directory}/`) ? [mountPoint] : [];
  });
}

export async function leaveNoDevice(directory: string): Promise<void> {
  for (const mountPoint of await mountsBelow(directory)) execFileSync('umount', ['--lazy', mountPoint]);
  const devices = await devicesBelow(directory);
  if (devices.length === 0) return;
  const links = await deviceLinks();
  for (const { device } of devices) {
    for (const [name, target] of links) if (target === device) await rm(join(deviceDirectory, name), { force: true });
    await detachDevice(device);
  }
}
