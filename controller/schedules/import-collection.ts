// Which imports of a DataImportCron are no longer kept. Pure. Only what can be imported again, or never was whole, goes: never the one that is wanted now,
// never the last good one, and none that somebody is cloning.
import { annotations } from '../../domain/annotations.ts';
import type { DataImportCronSpec } from '../../domain/custom-resources/data-import-cron.ts';
import type { DataVolume } from '../../domain/data-volume.ts';
import type { Claim } from '../../domain/kube-shapes.ts';

/** One version: what imports it and where it is. */
export interface KeptImport {
  readonly name: string;
  readonly dataVolume?: DataVolume | undefined;
  readonly claim?: Claim | undefined;
}

const keptByDefault = 3;

/**
 * @param imports all that carry the label of the cron
 * @param current name of the one that is in use now, whatever is noted of it
 * @param isNeeded whether it has to stay whatever its age
 * @returns the DataVolumes to delete. What has lost its DataVolume is left to whoever took that away.
 */
export function planCollection(
  imports: readonly KeptImport[],
  { garbageCollect, importsToKeep = keptByDefault }: DataImportCronSpec,
  { current, isNeeded }: { current: string; isNeeded: (name: string) => boolean },
): DataVolume[] {
  if (garbageCollect === 'Never') return [];
  const whole = imports.filter(({ dataVolume, claim }) => {
    return dataVolume === undefined ? claim !== undefined : dataVolume.status?.phase === 'Succeeded';
  });
  const newestFirst = whole.toSorted((one, other) => compare(lastUseOf(other), lastUseOf(one)));
  const others = newestFirst.filter(({ name }) => name !== current);
  const old = others.slice(Math.max(0, importsToKeep - 1));
  const failed = imports.filter(({ dataVolume }) => dataVolume?.status?.phase === 'Failed');
  return [...old, ...failed].flatMap(({ name, dataVolume }) => {
    const isLeaving = dataVolume?.metadata.deletionTimestamp !== undefined;
    return dataVolume === undefined || isLeaving || name === current || isNeeded(name) ? [] : [dataVolume];
  });
}

function lastUseOf({ claim, dataVolume }: KeptImport): string {
  const told = [claim, dataVolume].map((object) => object?.metadata.annotations?.[annotations.lastUseTime]);
  return told.find((time) => time !== undefined) ?? dataVolume?.metadata.creationTimestamp ?? '';
}

/** Times of one format, as texts. */
function compare(one: string, other: string): number {
  if (one === other) return 0;
  return one < other ? -1 : 1;
}
