// Volumes whose claim no longer exists, and what becomes of them. Content is never deleted because its claim is unknown: the store may have been lost or be
// an older copy, so such a volume is kept and a doctor tells of it. Only what holds nothing yet goes by itself. (A claim that is deleted here takes its
// volume with it before it goes; see reconcile-claim.ts.) Pure.
import { describeBytes } from '../../domain/quantity.ts';
import type { VolumeRecord } from '../../domain/volume-record.ts';
import type { HeldVolume } from './node-views.ts';

/** A volume without content stays at least so long after it was made: its claim may not have been seen yet. */
const graceMs = 60_000;

export interface OrphanFacts {
  volumes: readonly HeldVolume[];
  hasClaim(volume: VolumeRecord): boolean;
  /** The volume holds an upload that was acknowledged and waits for its conversion. */
  hasUpload(volume: VolumeRecord): boolean;
  /** Orphans of the look before: one is only deleted when it is found twice. */
  before: ReadonlySet<string>;
  now: Date;
}

export interface OrphanPlan {
  found: Set<string>;
  remove: HeldVolume[];
  /** Kept for somebody to decide, because of what they hold. */
  keep: HeldVolume[];
}

export function planOrphans({ volumes, hasClaim, hasUpload, before, now }: OrphanFacts): OrphanPlan {
  const orphans = volumes.filter((volume) => !hasClaim(volume));
  const holdsContent = (volume: VolumeRecord) =>
    volume.state === 'complete' || volume.state === 'plain' || hasUpload(volume);
  const isOld = (volume: VolumeRecord) => now.getTime() - Date.parse(volume.createdAt) > graceMs;
  return {
    found: new Set(orphans.map(({ volumeId }) => volumeId)),
    remove: orphans.filter((volume) => !holdsContent(volume) && isOld(volume) && before.has(volume.volumeId)),
    keep: orphans.filter(holdsContent),
  };
}

/** Whose the volume was and what it holds, for the person who decides. */
export function describeOrphan(volume: VolumeRecord): string {
  const { owner, state, sizeBytes, report, committedAt } = volume;
  const what = state === 'plain' ? 'files of a user' : state === 'complete' ? 'a complete disk' : 'a received upload';
  const facts = [
    `claim ${owner.namespace}/${owner.name} (uid ${owner.uid}) is not in the object store`,
    `the volume holds ${what} of ${describeBytes(sizeBytes)}`,
    ...(committedAt === undefined ? [] : [`committed ${committedAt}`]),
    ...(report?.contentDigest === undefined ? [] : [`digest ${report.contentDigest}`]),
  ];
  return `${facts.join(', ')}; nothing was deleted`;
}
