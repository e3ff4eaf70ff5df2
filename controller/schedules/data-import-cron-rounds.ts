// One round for a DataImportCron: gather facts, decide, act, and only then write what became of it, so that a crash leads to the same again. Where the
// cron is no more, what was to go with it goes.
import { labels } from '../../domain/annotations.ts';
import type { DataImportCron } from '../../domain/custom-resources/data-import-cron.ts';
import type { DataVolume } from '../../domain/data-volume.ts';
import { type Fault, toFault } from '../../domain/fault.ts';
import type { FaultCode } from '../../domain/fault-catalogue.ts';
import { type Place, withFoundSource } from '../../domain/named-source.ts';
import type { KubeObject, ObjectMeta, ResourceRef } from '../../domain/object-store.ts';
import { resources } from '../../domain/resources.ts';
import { chooseStorageClass } from '../../domain/storage-defaults.ts';
import { metrics } from '../../runtime/metrics.ts';
import { type ControllerContext, placeOf } from '../controller-context.ts';
import type { ObjectCache } from '../object-cache.ts';
import type { KeptImport } from './import-collection.ts';
import {
  type DataImportCronAction,
  type DataImportCronFacts,
  reconcileDataImportCron,
} from './reconcile-data-import-cron.ts';
import type { SourceLooks } from './source-looks.ts';
import { dueTime } from './source-schedule.ts';

const mostPasses = 8;
const passedMs = 1_000;
const refusedMs = 60_000;
/** Node's timers hold no month. */
const longestWaitMs = 6 * 3_600_000;
const refusals: ReadonlySet<FaultCode> = new Set(['Quota', 'Forbidden', 'InvalidRequest']);

type Done = 'nothing' | 'moved' | { refusal: Fault };

export class DataImportCronRounds {
  readonly #context: ControllerContext;
  readonly #looks: SourceLooks;

  constructor(context: ControllerContext, looks: SourceLooks) {
    this.#context = context;
    this.#looks = looks;
  }

  /** @returns milliseconds after which to look again. @throws Fault Conflict where something was changed meanwhile: the round is to be repeated */
  async work(place: Place): Promise<number | undefined> {
    const { caches, store } = this.#context;
    let refusal: Fault | undefined;
    for (let pass = 0; pass < mostPasses; pass += 1) {
      const cron = caches.dataImportCrons.get(place);
      if (cron === undefined) return this.#cleanUp(place);
      const look = this.#looks.stateOf(cron);
      const { actions, next } = reconcileDataImportCron(cron, { ...this.#facts(cron), look, refusal });
      const done = await this.#act(cron, actions);
      if (typeof done === 'object') {
        refusal = done.refusal;
        continue;
      }
      if (done === 'moved') continue;
      if (next !== cron) caches.dataImportCrons.put(await store.update(resources.dataImportCrons, next));
      if (look !== undefined && look !== 'running') this.#looks.settle(place, look);
      if (actions.length > 0 || next !== cron) continue;
      tellOutdated(place, cron);
      return look === 'running' ? undefined : waitMs(cron, refusal);
    }
    return passedMs;
  }

  #facts(cron: DataImportCron): Omit<DataImportCronFacts, 'look' | 'refusal'> {
    const { caches } = this.#context;
    const { namespace, name } = placeOf(cron.metadata);
    const { source, pvc, storage } = cron.spec.template.spec;
    const wished = (pvc ?? storage)?.storageClassName;
    const storageClass = chooseStorageClass([...caches.storageClasses.values()], wished, 'kubevirt');
    const importOf = (named: string): KeptImport => {
      const key = { namespace, name: named };
      return { name: named, dataVolume: caches.dataVolumes.get(key), claim: caches.claims.get(key) };
    };
    return {
      dataSource: caches.dataSources.get({ namespace, name: cron.spec.managedDataSource }),
      cronOf: (other) => caches.dataImportCrons.get({ namespace, name: other }),
      imports: this.#labelled({ namespace, name }).map(importOf),
      importOf,
      isCloned: (named) => this.#isCloned({ namespace, name: named }),
      sourceClaim: source?.pvc && caches.claims.get({ ...source.pvc, namespace: source.pvc.namespace || namespace }),
      storageClass: storageClass?.metadata.name,
      now: new Date(),
    };
  }

  /** Names of what carries the label of the cron. */
  #labelled({ namespace, name }: Place): string[] {
    const { dataVolumes, claims } = this.#context.caches;
    const isOwn = ({ metadata }: KubeObject) =>
      metadata.namespace === namespace && metadata.labels?.[labels.dataImportCron] === name;
    const named = [dataVolumes, claims].flatMap((cache) =>
      [...cache.values()].filter(isOwn).map(({ metadata }) => metadata.name),
    );
    return [...new Set(named)];
  }

  #isCloned({ namespace, name }: Place): boolean {
    return [...this.#context.caches.dataVolumes.values()].some((dataVolume) => {
      const { source } = withFoundSource(dataVolume).spec;
      if (source?.pvc?.name !== name || ['Succeeded', 'Failed'].includes(dataVolume.status?.phase ?? '')) return false;
      return (source.pvc.namespace || dataVolume.metadata.namespace) === namespace;
    });
  }

  /** @returns `moved` where the store holds something that was not known: the next pass decides with it, and nothing is written before */
  async #act(cron: DataImportCron, actions: readonly DataImportCronAction[]): Promise<Done> {
    const { caches, events } = this.#context;
    for (const action of actions) {
      switch (action.kind) {
        case 'look':
          this.#looks.begin(cron);
          break;
        case 'createImport': {
          const done = await this.#create(resources.dataVolumes, caches.dataVolumes, action.dataVolume);
          if (done !== 'nothing') return done;
          break;
        }
        case 'createDataSource': {
          const done = await this.#create(resources.dataSources, caches.dataSources, action.dataSource);
          if (done !== 'nothing') return done;
          break;
        }
        case 'deleteImport':
          await this.#delete(resources.dataVolumes, caches.dataVolumes, action.dataVolume.metadata);
          break;
        case 'keepDataVolume':
          await this.#update(resources.dataVolumes, caches.dataVolumes, action.dataVolume);
          break;
        case 'keepClaim':
          await this.#update(resources.claims, caches.claims, action.claim);
          break;
        case 'updateDataSource':
          await this.#update(resources.dataSources, caches.dataSources, action.dataSource);
          break;
        case 'event':
          events.record(cron, action);
          break;
      }
    }
    return 'nothing';
  }

  async #create<T extends KubeObject>(resource: ResourceRef<T>, cache: ObjectCache<T>, object: T): Promise<Done> {
    const { store } = this.#context;
    try {
      cache.put(await store.create(resource, object));
      return 'nothing';
    } catch (error) {
      const refusal = toFault(error);
      if (refusals.has(refusal.code)) return { refusal };
      const there = refusal.code === 'AlreadyExists' ? await store.get(resource, placeOf(object.metadata)) : undefined;
      // The watch has not told of it yet.
      if (there === undefined) throw refusal;
      cache.put(there);
      return 'moved';
    }
  }

  async #update<T extends KubeObject>(resource: ResourceRef<T>, cache: ObjectCache<T>, object: T): Promise<void> {
    try {
      cache.put(await this.#context.store.update(resource, object));
    } catch (error) {
      if (toFault(error).code !== 'NotFound') throw error;
      cache.forget(placeOf(object.metadata));
    }
  }

  async #delete<T extends KubeObject>(
    resource: ResourceRef<T>,
    cache: ObjectCache<T>,
    metadata: ObjectMeta,
  ): Promise<void> {
    const { uid } = metadata;
    try {
      const kept = await this.#context.store.delete(resource, placeOf(metadata), uid === undefined ? {} : { uid });
      if ((kept?.metadata.finalizers ?? []).length > 0 && kept !== undefined) cache.put(kept);
      else cache.forget(placeOf(metadata));
    } catch (error) {
      if (toFault(error).code !== 'NotFound') throw error;
      cache.forget(placeOf(metadata));
    }
  }

  async #cleanUp(place: Place): Promise<undefined> {
    const { dataVolumes, dataSources } = this.#context.caches;
    this.#looks.forget(place);
    tellOutdated(place, undefined);
    const goes = ({ metadata }: DataVolume | KubeObject) =>
      metadata.namespace === place.namespace &&
      metadata.labels?.[labels.dataImportCron] === place.name &&
      metadata.labels[labels.dataImportCronCleanup] === 'true' &&
      metadata.deletionTimestamp === undefined;
    for (const { metadata } of [...dataSources.values()].filter(goes)) {
      await this.#delete(resources.dataSources, dataSources, metadata);
    }
    for (const { metadata } of [...dataVolumes.values()].filter(goes)) {
      await this.#delete(resources.dataVolumes, dataVolumes, metadata);
    }
  }
}

function waitMs(cron: DataImportCron, refusal: Fault | undefined): number | undefined {
  if (refusal !== undefined) return refusedMs;
  const due = dueTime(cron);
  if (due === undefined) return undefined;
  return Math.min(longestWaitMs, Math.max(passedMs, due.getTime() - Date.now()));
}

/** As CDI measures it. */
function tellOutdated({ namespace, name }: Place, cron: DataImportCron | undefined): void {
  const find = (type: string) => cron?.status?.conditions?.find((condition) => condition.type === type);
  const isPending = find('Progressing')?.reason === 'Pending';
  for (const pending of [true, false]) {
    const series = { namespace, cron_name: name, pending: String(pending) };
    const isOutdated = find('UpToDate')?.status !== 'True' && pending === isPending;
    if (cron === undefined) metrics.remove('kubevirt_cdi_dataimportcron_outdated', series);
    else metrics.set('kubevirt_cdi_dataimportcron_outdated', series, isOutdated ? 1 : 0);
  }
}
