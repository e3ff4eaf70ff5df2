// Whom a change wakes among DataSources and DataImportCrons: who stands for what changed, and who made it. That bytes move wakes nobody.
import { isDeepStrictEqual } from 'node:util';
import { labels } from '../../domain/annotations.ts';
import type { DataImportCron } from '../../domain/custom-resources/data-import-cron.ts';
import type { DataSource } from '../../domain/custom-resources/data-source.ts';
import type { DataVolume } from '../../domain/data-volume.ts';
import type { Claim } from '../../domain/kube-shapes.ts';
import type { KubeObject } from '../../domain/object-store.ts';
import { WaitList } from '../wait-list.ts';

interface Place {
  namespace: string;
  name: string;
}

export interface ScheduleWakers {
  dataSource(place: Place): void;
  dataImportCron(place: Place): void;
}

export class WatchedSchedules {
  readonly #wake: ScheduleWakers;
  /** DataSources that wait for a claim, or for another DataSource. */
  readonly #waits = new WaitList();

  constructor(wake: ScheduleWakers) {
    this.#wake = wake;
  }

  /** Looks at the DataSource again when that object changes. `what` is `claim ns/name` or `datasource ns/name`. */
  waitFor(what: string, { namespace, name }: Place): void {
    this.#waits.add(what, `${namespace}/${name}`);
  }

  /** A DataVolume, or its claim. */
  volume(after: DataVolume | Claim | undefined, before: DataVolume | Claim | undefined): void {
    const object = after ?? before;
    if (object === undefined || isDeepStrictEqual(after && outlineOf(after), before && outlineOf(before))) return;
    this.#fire('claim', object);
    for (const each of [after, before]) this.#wakeManager(each);
  }

  dataSource(after: DataSource | undefined, before: DataSource | undefined): void {
    const object = after ?? before;
    if (object === undefined) return;
    if (after === undefined) this.#waits.forget(keyOf(object));
    this.#wake.dataSource(placeOf(object));
    this.#fire('datasource', object);
    for (const each of [after, before]) this.#wakeManager(each);
  }

  dataImportCron(after: DataImportCron | undefined, before: DataImportCron | undefined): void {
    const object = after ?? before;
    if (object === undefined) return;
    this.#wake.dataImportCron(placeOf(object));
  }

  /** The cron whose label it carries; one that is no more may have left it behind. */
  #wakeManager(object: KubeObject | undefined): void {
    const name = object?.metadata.labels?.[labels.dataImportCron] ?? '';
    if (object !== undefined && name !== '') this.#wake.dataImportCron({ ...placeOf(object), name });
  }

  #fire(kind: string, object: KubeObject): void {
    for (const key of this.#waits.take(`${kind} ${keyOf(object)}`)) {
      const [namespace = '', name = ''] = key.split('/');
      this.#wake.dataSource({ namespace, name });
    }
  }
}

/** What a schedule or a DataSource reads of it. */
function outlineOf({ metadata, status }: DataVolume | Claim): unknown {
  return [metadata.uid, metadata.labels, metadata.deletionTimestamp, status?.phase];
}

function placeOf({ metadata }: KubeObject): Place {
  return { namespace: metadata.namespace ?? '', name: metadata.name };
}

function keyOf(object: KubeObject): string {
  const { namespace, name } = placeOf(object);
  return `${namespace}/${name}`;
}
