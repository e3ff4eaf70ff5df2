// Compares a DataImportCron with what its source has and what was imported, and says what to do next. Pure. One version at a time:
//
//   sourceDesiredDigest differs from the current import ─► DataVolume `<managedDataSource>-<digest>` ─► Succeeded ─► the DataSource names it, old ones go
//                                                                                                └─► Failed ─► stays until there is another version;
//                                                                                                    where the source was to blame it is tried again
//
// The last good import is never deleted, whatever happens to those after it.
import { isDeepStrictEqual } from 'node:util';
import { templateOf } from '../../domain/admission-data-import-cron.ts';
import { annotations, labels } from '../../domain/annotations.ts';
import { couldClone } from '../../domain/can-clone.ts';
import { cloneAuthorization } from '../../domain/clone-authorization.ts';
import type { DataImportCron, DataImportCronStatus } from '../../domain/custom-resources/data-import-cron.ts';
import type { DataSource } from '../../domain/custom-resources/data-source.ts';
import type { DataVolume } from '../../domain/data-volume.ts';
import { Fault } from '../../domain/fault.ts';
import type { Claim } from '../../domain/kube-shapes.ts';
import { importNameOf } from '../../domain/source-version.ts';
import type { EventText } from '../data-volumes/data-volume-phase.ts';
import { dated, kubeTime } from '../dated-condition.ts';
import { type CurrentImport, eventsOfCron, type ImportOutlook, withConditions } from './data-import-cron-conditions.ts';
import { type KeptImport, planCollection } from './import-collection.ts';
import { belongsTo, importState, mayBeTriedAgain } from './import-state.ts';
import { keptLabels, renderDataSource, renderImport } from './render-import.ts';
import { afterLook, dueTime, type LookOutcome } from './source-schedule.ts';

export interface DataImportCronFacts {
  /** The DataSource of the managed name, whosever it is. */
  dataSource: DataSource | undefined;
  /** Another DataImportCron of the namespace. */
  cronOf(name: string): DataImportCron | undefined;
  /** What carries the cron's label. */
  imports: readonly KeptImport[];
  importOf(name: string): KeptImport;
  /** Whether a clone of that claim is under way. */
  isCloned(name: string): boolean;
  /** The claim that is the source. */
  sourceClaim: Claim | undefined;
  /** What a worker found, or that one is looking now. */
  look: LookOutcome | 'running' | undefined;
  /** Why the store refused the DataVolume in this round. */
  refusal: Fault | undefined;
  /** Name of the class that imports get. */
  storageClass: string | undefined;
  now: Date;
}

export type DataImportCronAction =
  | { kind: 'look' }
  | { kind: 'createImport'; dataVolume: DataVolume }
  | { kind: 'deleteImport'; dataVolume: DataVolume }
  | { kind: 'keepDataVolume'; dataVolume: DataVolume }
  | { kind: 'keepClaim'; claim: Claim }
  | { kind: 'createDataSource'; dataSource: DataSource }
  | { kind: 'updateDataSource'; dataSource: DataSource }
  | ({ kind: 'event' } & EventText);

export interface DataImportCronPlan {
  actions: DataImportCronAction[];
  /** The cron as it is to be, once these are done; itself where nothing changes. */
  next: DataImportCron;
}

export function reconcileDataImportCron(cron: DataImportCron, facts: DataImportCronFacts): DataImportCronPlan {
  if (cron.metadata.deletionTimestamp !== undefined) return { actions: [], next: cron };
  const rival = rivalOf(cron, facts);
  if (rival !== undefined) return refused(cron, rival, facts);
  const outcome = outcomeOf(cron, facts);
  const former = currentOf(cron, facts);
  const looked = outcome === undefined ? cron : withLook(cron, former, outcome, facts.now);
  const step = nextImport(looked, former, facts, outcome);
  const imported = withImport(looked, step, facts);
  const actions = [...step.actions, ...namedBy(imported, facts), ...collected(imported, step, facts)];
  if (outcome === undefined && facts.look !== 'running' && isDue(imported, facts.now)) actions.push({ kind: 'look' });
  const next = withConditions(imported, step, facts.now);
  for (const event of eventsOfCron(cron, next)) actions.push({ kind: 'event', ...event });
  return { actions, next: isDeepStrictEqual(next, cron) ? cron : next };
}

/** The other cron that manages the DataSource: the first one keeps it. */
function rivalOf(cron: DataImportCron, { dataSource, cronOf }: DataImportCronFacts): DataImportCron | undefined {
  const manager = dataSource?.metadata.labels?.[labels.dataImportCron] ?? '';
  if (manager === '' || manager === cron.metadata.name) return undefined;
  const other = cronOf(manager);
  const isManaged = other?.spec.managedDataSource === cron.spec.managedDataSource;
  return isManaged && other.metadata.deletionTimestamp === undefined ? other : undefined;
}

function refused(cron: DataImportCron, rival: DataImportCron, { now }: DataImportCronFacts): DataImportCronPlan {
  const reason = 'ErrDataSourceAlreadyManaged';
  const message = `DataSource ${cron.spec.managedDataSource} is already managed by DataImportCron ${rival.metadata.name}`;
  const before = cron.status?.conditions ?? [];
  if (before.some((condition) => condition.message === message)) return { actions: [], next: cron };
  const conditions = ['Progressing', 'UpToDate'].map((type) =>
    dated(before, { type, status: 'False', reason, message }, now),
  );
  const next = { ...cron, status: { ...cron.status, conditions } };
  return { actions: [{ kind: 'event', type: 'Warning', reason, message }], next };
}

function currentOf({ status }: DataImportCron, facts: DataImportCronFacts): CurrentImport {
  const [current] = status?.currentImports ?? [];
  if (current === undefined) return { name: '', digest: '', state: 'none' };
  const found = facts.importOf(current.DataVolumeName);
  return { ...found, digest: current.Digest, state: importState(found) };
}

function isDue(cron: DataImportCron, now: Date): boolean {
  const due = dueTime(cron);
  return due !== undefined && due <= now;
}

/** What is known now of the source: a claim is looked at here, for everything else a worker was asked. */
function outcomeOf(cron: DataImportCron, { look, sourceClaim, now }: DataImportCronFacts): LookOutcome | undefined {
  if (look !== undefined && look !== 'running') return look;
  const source = cron.spec.template.spec.source?.pvc;
  if (source === undefined || !isDue(cron, now)) return undefined;
  const uid = sourceClaim?.metadata.uid;
  if (uid !== undefined) return { version: { digest: `uid:${uid}` } };
  return { fault: new Fault('SourceNotReady', `the claim ${source.namespace}/${source.name} is not there`) };
}

function withLook(cron: DataImportCron, current: CurrentImport, outcome: LookOutcome, now: Date): DataImportCron {
  const importFailed = current.state === 'failed' && mayBeTriedAgain(current);
  const noted = { ...cron.metadata.annotations, ...afterLook(cron, outcome, { now, importFailed }) };
  return { ...cron, metadata: { ...cron.metadata, annotations: noted } };
}

interface Step extends ImportOutlook {
  actions: DataImportCronAction[];
}

const noImport: CurrentImport = { name: '', digest: '', state: 'none' };

/** Goes on with what is imported now, or begins with what is wanted. */
function nextImport(
  cron: DataImportCron,
  current: CurrentImport,
  facts: DataImportCronFacts,
  outcome: LookOutcome | undefined,
): Step {
  const digest = cron.metadata.annotations?.[annotations.sourceDesiredDigest] ?? '';
  const isOther = digest !== '' && digest !== current.digest;
  switch (current.state) {
    case 'none':
      return digest === '' ? { actions: [], current: noImport } : begin(cron, digest, facts);
    case 'ready':
      return isOther ? begin(cron, digest, facts) : { actions: kept(cron, current, facts), current };
    case 'failed': {
      const isTriedAgain = outcome !== undefined && 'version' in outcome && mayBeTriedAgain(current);
      if (!isOther && !isTriedAgain) return { actions: [], current };
      const { dataVolume } = current;
      const removal: DataImportCronAction[] = dataVolume === undefined ? [] : [{ kind: 'deleteImport', dataVolume }];
      return { actions: removal, current: noImport };
    }
    case 'running':
    case 'leaving':
      return { actions: [], current };
  }
}

/** Makes the DataVolume of that version, or takes up what an earlier look has brought already. */
function begin(cron: DataImportCron, digest: string, facts: DataImportCronFacts): Step {
  const stays = currentOf(cron, facts);
  const name = importNameOf(cron.spec.managedDataSource, digest);
  if (name === undefined) return hindered(stays, 'NoDigest', `The digest ${digest} cannot be read`);
  const needed = cloneAuthorization(templateOf(cron));
  const verdict = needed && couldClone(needed, cron.metadata.annotations?.[annotations.requester]);
  if (verdict?.allowed === false) {
    const message = `Not authorized to create DataVolume: no right to ${verdict.missing}`;
    return hindered(stays, 'NotAuthorized', message);
  }
  const { refusal, now, storageClass } = facts;
  if (refusal !== undefined) return hindered(stays, refusal.code, `${refusal.detail}. ${refusal.row.nextStep}`);
  const found = facts.importOf(name);
  const state = importState(found);
  if (state === 'leaving') return { actions: [], current: stays };
  if (state === 'none') {
    const dataVolume = renderImport(cron, { name, digest }, { now, storageClass });
    return { actions: [{ kind: 'createImport', dataVolume }], current: { name, digest, state: 'running', dataVolume } };
  }
  const isOwn = [found.dataVolume, found.claim].every(
    (object) => object === undefined || belongsTo(cron, object, (other) => facts.cronOf(other) !== undefined),
  );
  if (isOwn) return { actions: [], current: { ...found, digest, state } };
  return hindered(stays, 'ErrResourceExists', `Resource "${name}" already exists and is not managed by DataImportCron`);
}

function hindered(current: CurrentImport, reason: string, message: string): Step {
  return { actions: [], current, hindrance: { reason, message } };
}

/** A version that is used anew is the last one used; and what the cron keeps says so. */
function kept(
  cron: DataImportCron,
  { name, dataVolume, claim }: CurrentImport,
  facts: DataImportCronFacts,
): DataImportCronAction[] {
  const isNew = cron.status?.lastImportedPVC?.name !== name;
  const actions: DataImportCronAction[] = [];
  if (claim !== undefined) {
    const { [annotations.lastUseTime]: before, ...told } = claim.metadata.annotations ?? {};
    const lastUse = isNew || before === undefined ? facts.now.toISOString() : before;
    const metadata = {
      ...claim.metadata,
      labels: keptLabels(cron, claim.metadata.labels),
      annotations: { ...told, [annotations.lastUseTime]: lastUse },
    };
    if (!isDeepStrictEqual(metadata, claim.metadata))
      actions.push({ kind: 'keepClaim', claim: { ...claim, metadata } });
  }
  if (dataVolume !== undefined) {
    const metadata = { ...dataVolume.metadata, labels: keptLabels(cron, dataVolume.metadata.labels) };
    if (!isDeepStrictEqual(metadata, dataVolume.metadata)) {
      actions.push({ kind: 'keepDataVolume', dataVolume: { ...dataVolume, metadata } });
    }
  }
  return actions;
}

function withImport(
  cron: DataImportCron,
  { current }: Step,
  { now, storageClass }: DataImportCronFacts,
): DataImportCron {
  const { namespace = '' } = cron.metadata;
  const { currentImports: _before, ...others } = cron.status ?? {};
  const isNew = current.state === 'ready' && others.lastImportedPVC?.name !== current.name;
  const lookedAt = cron.metadata.annotations?.[annotations.lastCronTime];
  const status: DataImportCronStatus = {
    ...others,
    ...(current.name === '' ? {} : { currentImports: [{ DataVolumeName: current.name, Digest: current.digest }] }),
    ...(isNew ? { lastImportedPVC: { namespace, name: current.name }, lastImportTimestamp: kubeTime(now) } : {}),
    ...(lookedAt === undefined || Number.isNaN(Date.parse(lookedAt)) ? {} : { lastExecutionTimestamp: lookedAt }),
    ...(current.state === 'ready' ? { sourceFormat: 'pvc' } : {}),
  };
  if (storageClass === undefined) return { ...cron, status };
  const noted = { ...cron.metadata.annotations, [annotations.importStorageClass]: storageClass };
  const metadata = { ...cron.metadata, annotations: noted };
  return { ...cron, metadata, status };
}

function namedBy(cron: DataImportCron, { dataSource }: DataImportCronFacts): DataImportCronAction[] {
  const wanted = renderDataSource(cron, dataSource);
  if (dataSource === undefined) return [{ kind: 'createDataSource', dataSource: wanted }];
  return isDeepStrictEqual(wanted, dataSource) ? [] : [{ kind: 'updateDataSource', dataSource: wanted }];
}

function collected(cron: DataImportCron, { current }: Step, facts: DataImportCronFacts): DataImportCronAction[] {
  if (current.state !== 'ready') return [];
  const isNeeded = (name: string) => name === cron.status?.lastImportedPVC?.name || facts.isCloned(name);
  return planCollection(facts.imports, cron.spec, { current: current.name, isNeeded }).flatMap(
    (dataVolume): DataImportCronAction[] => [
      { kind: 'deleteImport', dataVolume },
      {
        ...{ kind: 'event', type: 'Normal', reason: 'ImportCollected' },
        message: `Deleted the import ${dataVolume.metadata.name}, which is no longer kept`,
      },
    ],
  );
}
