// Volumes that have file systems of their own are for one machine. The driver knows what is published by the directory of the pool that is seen there; of
// such a volume that is the root of a mount, so one in use would be deleted, and never be taken back.
import { Fault } from '../domain/fault.ts';
import type { VolumeRecord } from '../domain/volume-record.ts';
import type { PoolSetting } from '../runtime/pool-settings.ts';

/** Asked before anything opens. @throws Fault InvalidSetting */
export function refuseBoundedPools(settings: readonly PoolSetting[]): void {
  const bounded = settings.find(({ enforcement }) => enforcement === 'loop');
  if (bounded === undefined) return;
  const { name, directory } = bounded;
  const why = `pool ${name} is named with \`:loop\`, which is for one machine and not for a cluster`;
  throw new Fault('InvalidSetting', `${why}: name it \`${name}=${directory}\``);
}

/** Of a pool that was one machine's before. @throws Fault InvalidRequest */
export function refuseBoundedVolume({ volumeId, boundedBytes }: VolumeRecord): void {
  if (boundedBytes === undefined) return;
  const why = `${volumeId} has a file system of its own, which is for one machine and not for a cluster`;
  throw new Fault('InvalidRequest', `${why}: clone it into a pool without \`:loop\``);
}
