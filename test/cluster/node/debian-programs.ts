// What the node takes from Debian. `scripts/setup.sh --cluster` installs it; who starts the cluster without that is told.
import { delimiter, join } from 'node:path';
import { Fault } from '../../../domain/fault.ts';
import { exists } from '../paths.ts';
import { networkPlugins } from './containerd.ts';

const programs = [
  'busybox',
  'conntrack',
  'containerd',
  'ctr',
  'ip',
  'ipset',
  'iptables',
  'losetup',
  'nsenter',
  'runc',
  'unshare',
];
const plugins = ['bridge', 'host-local', 'loopback', 'portmap'];

/** @throws Fault ProgramMissing naming all that is not there */
export async function requireDebianPrograms(): Promise<void> {
  const directories = (process.env['PATH'] ?? '').split(delimiter);
  const isThere = async (name: string) => {
    const found = await Promise.all(directories.map((directory) => exists(join(directory, name))));
    return found.includes(true);
  };
  const missing: string[] = [];
  for (const name of programs) if (!(await isThere(name))) missing.push(name);
  for (const name of plugins.map((plugin) => join(networkPlugins, plugin)))
    if (!(await exists(name))) missing.push(name);
  if (missing.length === 0) return;
  throw new Fault('ProgramMissing', `the node needs ${missing.join(', ')}: sh scripts/setup.sh --cluster installs it`);
}
