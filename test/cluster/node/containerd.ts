// Debian's containerd on the node: its settings, and how images come into it.
import { randomUUID } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Launch } from '../processes.ts';
import { pauseImage } from './images.ts';
import type { Machine } from './machine.ts';
import { podRange } from './network.ts';

/** In the machine, whose /run is its own. */
export const containerdSocket = '/run/containerd/containerd.sock';
/** Where Debian's containernetworking-plugins lie. */
export const networkPlugins = '/usr/lib/cni';

/** @param directory of the cluster; images and containers are kept in it */
export async function launchContainerd(machine: Machine, directory: string): Promise<Launch> {
  const networks = join(directory, 'cni');
  await mkdir(networks, { recursive: true });
  await writeFile(join(networks, '10-pods.conflist'), JSON.stringify(podNetwork, null, 2));
  const settings = join(directory, 'containerd.toml');
  await writeFile(settings, settingsText(join(directory, 'containerd'), networks));
  return {
    argv: ['containerd', '--config', settings],
    isReady: async () => {
      try {
        await machine.run([...ctr, '--timeout', '2s', 'version']);
        return true;
      } catch (error) {
        // It tells apart by its exit code alone; why containerd does not answer is in containerd's own log.
        if (error instanceof Error && 'code' in error && error.code === 1) return false;
        throw error;
      }
    },
  };
}

const ctr = ['ctr', '--namespace', 'k8s.io'];

/**
 * Puts the image of an OCI archive on the node under the reference that pods name it by, besides those that the archive itself tells.
 * The archive's index comes in under a name of its own: where the archive tells the very reference for its manifest, nothing would hold the index any more, and
 * the garbage collector takes it away now and then before it is unpacked.
 */
export async function importImage(machine: Machine, archive: string, reference: string): Promise<void> {
  const held = `localhost/imported/${randomUUID()}:index`;
  await machine.run([...ctr, 'images', 'import', '--index-name', held, archive]);
  await machine.run([...ctr, 'images', 'tag', '--force', held, reference]);
  await machine.run([...ctr, 'images', 'rm', held]);
}

const podNetwork = {
  cniVersion: '0.4.0',
  name: 'pods',
  plugins: [
    {
      type: 'bridge',
      bridge: 'cni0',
      isDefaultGateway: true,
      ipMasq: true,
      hairpinMode: true,
      ipam: { type: 'host-local', ranges: [[{ subnet: podRange }]] },
    },
    { type: 'portmap', capabilities: { portMappings: true } },
  ],
};

/** Scores for the kernel's memory killer are left as they are: to lower one takes a right that a build machine's root may lack. */
function settingsText(root: string, networks: string): string {
  return `version = 2
root = ${JSON.stringify(root)}
state = "/run/containerd"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]
[grpc]
  address = "${containerdSocket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${pauseImage}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "${networkPlugins}"
    conf_dir = ${JSON.stringify(networks)}
`;
}
