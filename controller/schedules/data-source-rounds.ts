// One round for a DataSource: what it stands for, and whether that can be cloned.
import type { DataSource } from '../../domain/custom-resources/data-source.ts';
import { type Place, referenceOf, sourceNamedBy } from '../../domain/named-source.ts';
import { resources } from '../../domain/resources.ts';
import type { ControllerContext } from '../controller-context.ts';
import { type DataSourceFacts, reconcileDataSource } from './reconcile-data-source.ts';

/** As in WatchedSchedules. */
export type WaitFor = (what: string, place: Place) => void;

export class DataSourceRounds {
  readonly #context: Pick<ControllerContext, 'store' | 'caches'>;
  readonly #waitFor: WaitFor;

  constructor(context: Pick<ControllerContext, 'store' | 'caches'>, waitFor: WaitFor) {
    this.#context = context;
    this.#waitFor = waitFor;
  }

  /** @throws Fault Conflict where it was changed meanwhile: the round is to be repeated */
  async work(place: Place): Promise<undefined> {
    const { caches, store } = this.#context;
    const dataSource = caches.dataSources.get(place);
    if (dataSource === undefined || dataSource.metadata.deletionTimestamp !== undefined) return;
    const next = reconcileDataSource(dataSource, this.#facts(dataSource, place));
    if (next !== dataSource) caches.dataSources.put(await store.update(resources.dataSources, next));
  }

  #facts(dataSource: DataSource, place: Place): DataSourceFacts {
    const { caches } = this.#context;
    const reference = referenceOf(dataSource);
    const referenced = reference === undefined ? undefined : caches.dataSources.get(reference);
    if (reference !== undefined) this.#waitFor(`datasource ${reference.namespace}/${reference.name}`, place);
    const named = sourceNamedBy(dataSource, referenced);
    const pvc = 'source' in named ? named.source.pvc : undefined;
    if (pvc === undefined) return { referenced, claim: undefined, dataVolume: undefined, now: new Date() };
    this.#waitFor(`claim ${pvc.namespace}/${pvc.name}`, place);
    const [claim, dataVolume] = [caches.claims.get(pvc), caches.dataVolumes.get(pvc)];
    return { referenced, claim, dataVolume, now: new Date() };
  }
}
