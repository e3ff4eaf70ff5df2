// Which of the capabilities that a request may ask for a volume of a pool has. Pure.
import { Fault } from '../domain/fault.ts';
import type { VolumeRecord } from '../domain/volume-record.ts';
import type { VolumeCapability } from './requests.ts';

/** How a volume is to be mounted. */
export interface MountWish {
  /** Block: the target is a file that shows the device; Filesystem: a directory that shows that of the volume. */
  mode: VolumeMode;
  readOnly: boolean;
  /** At one path only. */
  exclusive: boolean;
  /** Options of the mount besides ro. */
  options: string[];
}

export type VolumeMode = VolumeRecord['mode'];

const accessModes: ReadonlyMap<unknown, Pick<MountWish, 'readOnly' | 'exclusive'>> = new Map([
  ['SINGLE_NODE_WRITER', { readOnly: false, exclusive: false }],
  ['SINGLE_NODE_READER_ONLY', { readOnly: true, exclusive: false }],
  ['SINGLE_NODE_SINGLE_WRITER', { readOnly: false, exclusive: true }],
  ['SINGLE_NODE_MULTI_WRITER', { readOnly: false, exclusive: false }],
]);

/** What a bind mount can have of its own, whatever the file system below it has. */
const mountOptions: ReadonlySet<string> = new Set([
  ...['noatime', 'nodiratime', 'relatime', 'nodev', 'noexec', 'nosuid', 'nosymfollow'],
]);

/** @throws Fault InvalidRequest saying which part a volume of a pool does not have */
export function planMount(capability: VolumeCapability): MountWish {
  const { block, mount, accessMode } = capability;
  if (block === undefined && mount === undefined) throw refuse('the capability says neither mount nor block');
  const access = accessModes.get(accessMode?.mode);
  if (access === undefined) {
    throw refuse(`a volume of a pool is on one node, so access mode ${accessMode?.mode ?? '(none)'} cannot be had`);
  }
  if (mount === undefined) return { mode: 'Block', ...access, options: [] };
  if (mount.fsType !== '') {
    throw refuse(`a volume is a directory of its pool's file system, so fsType ${mount.fsType} cannot be had`);
  }
  if (mount.volumeMountGroup !== '') throw refuse('the kubelet sets the group of the files, not the driver');
  return { mode: 'Filesystem', ...access, ...planOptions(mount.mountFlags, access.readOnly) };
}

/** @throws Fault InvalidRequest; the same for every one of the capabilities, of which there must be one */
export function planMounts(capabilities: readonly VolumeCapability[]): { mode: VolumeMode; wishes: MountWish[] } {
  const wishes = capabilities.map(planMount);
  const [first] = wishes;
  if (first === undefined) throw refuse('volume_capabilities is missing');
  if (wishes.some(({ mode }) => mode !== first.mode))
    throw refuse('a volume is a block device or a directory, not both');
  return { mode: first.mode, wishes };
}

/** @throws Fault InvalidRequest where the volume is of another mode than is asked */
export function assertMode({ volumeId, mode }: VolumeRecord, asked: VolumeMode): void {
  if (mode !== asked) throw refuse(`${volumeId} has volumeMode ${mode}, not ${asked}`);
}

function planOptions(flags: readonly string[], readOnly: boolean): Pick<MountWish, 'readOnly' | 'options'> {
  const others = flags.filter((flag) => flag !== 'ro' && flag !== 'rw');
  // A flag may hold a secret of somebody's, so none is repeated here.
  if (!others.every((flag) => mountOptions.has(flag))) {
    throw refuse(`mount options other than ro, rw, ${[...mountOptions].join(', ')} are not taken`);
  }
  return { readOnly: readOnly || flags.includes('ro'), options: others };
}

function refuse(detail: string): Fault {
  return new Fault('InvalidRequest', detail);
}
