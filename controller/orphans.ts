// Volumes whose claim no longer exists. They are deleted only where this very store must have known the claim: a volume that is older than the store
// tells of a store that was lost, and is kept and reported. Pure.
import type { VolumeRecord } from '../domain/volume-record.ts';

export interface OrphanFacts {
  volumes: readonly VolumeRecord[];
  hasClaim(volume: VolumeRecord): boolean;
  /** Time at which the store was made; undefined where it cannot be told. */
  storeBirth: Date | undefined;
  /** Orphans of the look before: one is only deleted when it is found twice. */
  before: ReadonlySet<string>;
}

export interface OrphanPlan {
  found: Set<string>;
  remove: VolumeRecord[];
  /** Kept, because the store may have been lost. */
  keep: VolumeRecord[];
}

export function planOrphans({ volumes, hasClaim, storeBirth, before }: OrphanFacts): OrphanPlan {
  const orphans = volumes.filter((volume) => !hasClaim(volume));
  const isOlder = (volume: VolumeRecord) =>
    storeBirth === undefined || !(Date.parse(volume.createdAt) > storeBirth.getTime());
  return {
    found: new Set(orphans.map(({ volumeId }) => volumeId)),
    remove: orphans.filter((volume) => !isOlder(volume) && before.has(volume.volumeId)),
    keep: orphans.filter(isOlder),
  };
}
