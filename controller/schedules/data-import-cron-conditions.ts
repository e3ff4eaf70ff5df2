// The conditions Progressing and UpToDate of a DataImportCron, as CDI words them, and the events that tell of it. Pure.
import { isDeepStrictEqual } from 'node:util';
import { annotations } from '../../domain/annotations.ts';
import type { DataImportCron } from '../../domain/custom-resources/data-import-cron.ts';
import type { EventText } from '../data-volumes/data-volume-phase.ts';
import { dated, type Wanted } from '../dated-condition.ts';
import type { KeptImport } from './import-collection.ts';
import { type ImportState, progressing } from './import-state.ts';
import { lookNoteOf } from './source-schedule.ts';

export interface CurrentImport extends KeptImport {
  /** Empty: there is none. */
  digest: string;
  state: ImportState;
}

export interface ImportOutlook {
  /** What is being imported from now on. */
  current: CurrentImport;
  /** Why what is wanted cannot be begun. */
  hindrance?: { reason: string; message: string };
}

/** The cron with its conditions. */
export function withConditions(cron: DataImportCron, step: ImportOutlook, now: Date): DataImportCron {
  const before = cron.status?.conditions ?? [];
  const { current, hindrance } = step;
  const progress: Wanted =
    hindrance === undefined
      ? progressing(current, current.state)
      : { type: 'Progressing', status: 'False', ...hindrance };
  const conditions = [progress, upToDate(cron, step)].map((wanted) => dated(before, wanted, now));
  return { ...cron, status: { ...cron.status, conditions } };
}

/** In CDI's words. While the source cannot be looked at, nobody knows whether the last import is still the newest. */
function upToDate(cron: DataImportCron, { current }: ImportOutlook): Wanted {
  const condition = (status: string, reason: string, message: string): Wanted => ({
    ...{ type: 'UpToDate', status, reason, message },
  });
  const digest = cron.metadata.annotations?.[annotations.sourceDesiredDigest] ?? '';
  const { fault } = lookNoteOf(cron);
  if (digest !== '' && digest !== current.digest) {
    return condition('False', 'Outdated', 'Source digest updated since last import');
  }
  if (fault !== undefined)
    return condition(current.state === 'ready' ? 'Unknown' : 'False', fault.reason, fault.message);
  if (current.state === 'ready') return condition('True', 'UpToDate', 'Latest import is up to date');
  if (current.state === 'none') return condition('False', 'NoDigest', 'No source digest');
  if (current.state === 'failed') return condition('False', 'ImportFailed', 'The import of the newest version failed');
  return condition('False', 'ImportProgressing', 'Import is progressing');
}

/** What has just become so. */
export function eventsOfCron(before: DataImportCron, after: DataImportCron): EventText[] {
  const events: EventText[] = [];
  const { fault } = lookNoteOf(after);
  if (fault !== undefined && !isDeepStrictEqual(fault, lookNoteOf(before).fault)) {
    events.push({ type: 'Warning', ...fault });
  }
  const imported = after.status?.lastImportedPVC;
  if (imported !== undefined && imported.name !== before.status?.lastImportedPVC?.name) {
    const message = `DataSource ${after.spec.managedDataSource} now names ${imported.namespace}/${imported.name}`;
    events.push({ type: 'Normal', reason: 'DataSourceUpdated', message });
  }
  const progress = after.status?.conditions?.find(({ type }) => type === 'Progressing');
  const former = before.status?.conditions?.find(({ type }) => type === 'Progressing');
  const isHindered = ['NotAuthorized', 'ErrResourceExists', 'NoDigest', 'Quota', 'Forbidden', 'InvalidRequest'];
  if (isHindered.includes(progress?.reason ?? '') && progress?.message !== former?.message) {
    events.push({ type: 'Warning', reason: progress?.reason ?? '', message: progress?.message ?? '' });
  }
  return events;
}
