// How it stands with the import of one version: looked at through its DataVolume and its claim, whichever of them is there. Pure.
import { labels } from '../../domain/annotations.ts';
import type { DataImportCron } from '../../domain/custom-resources/data-import-cron.ts';
import { isFaultCode } from '../../domain/fault.ts';
import { faultCatalogue } from '../../domain/fault-catalogue.ts';
import type { Wanted } from '../dated-condition.ts';
import type { KeptImport } from './import-collection.ts';

export type ImportState =
  /** Nothing of it is there. */
  | 'none'
  /** It is being deleted. */
  | 'leaving'
  | 'running'
  | 'failed'
  /** Its content is whole. */
  | 'ready';

export function importState({ dataVolume, claim }: KeptImport): ImportState {
  if (dataVolume === undefined && claim === undefined) return 'none';
  const isLeaving = [dataVolume, claim].some((object) => object?.metadata.deletionTimestamp !== undefined);
  if (isLeaving) return 'leaving';
  // A claim that outlived its DataVolume is as whole as it was.
  if (dataVolume === undefined) return claim?.status?.phase === 'Bound' ? 'ready' : 'running';
  const phase = dataVolume.status?.phase ?? '';
  if (phase === 'Failed') return 'failed';
  return phase === 'Succeeded' && claim !== undefined ? 'ready' : 'running';
}

/** The condition Progressing, in CDI's words. */
export function progressing({ dataVolume }: KeptImport, state: ImportState): Wanted {
  const condition = (status: string, reason: string, message: string): Wanted => ({
    ...{ type: 'Progressing', status, reason, message },
  });
  if (state === 'none' || state === 'ready') return condition('False', 'NoImport', 'No current import');
  const phase = dataVolume?.status?.phase || 'Pending';
  if (phase === 'ImportScheduled') return condition('False', phase, 'Import is scheduled');
  if (phase === 'ImportInProgress') return condition('True', 'ImportProgressing', 'Import is progressing');
  const fault = dataVolume?.status?.longshore?.fault;
  const why = phase === 'Failed' && fault !== undefined ? `: ${fault.detail}. ${fault.nextStep}` : '';
  return condition('False', phase, `Import DataVolume phase ${phase}${why}`);
}

/** A failed import whose source may do better another time; what the image itself is to blame for stays as it is until there is another version. */
export function mayBeTriedAgain({ dataVolume }: KeptImport): boolean {
  const code = dataVolume?.status?.longshore?.fault?.code;
  return code === 'BudgetExhausted' || (isFaultCode(code) && faultCatalogue[code].retryable);
}

/** Whether an object may be taken for the cron's own: by its label, or because the cron that the label names is no more. */
export function belongsTo(
  cron: DataImportCron,
  object: { metadata: { labels?: Record<string, string> } },
  isCron: (name: string) => boolean,
): boolean {
  const manager = object.metadata.labels?.[labels.dataImportCron] ?? '';
  return manager === cron.metadata.name || (manager !== '' && !isCron(manager));
}
