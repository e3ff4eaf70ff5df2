// What the controller watches, and whom each change wakes: the claim, the DataVolume, who waits for either, and what is kept about storage.
import type { DataVolume } from '../domain/data-volume.ts';
import type { Claim } from '../domain/kube-shapes.ts';
import type { KubeObject, ObjectStore, ResourceRef } from '../domain/object-store.ts';
import { isFinalPhase, isPhase } from '../domain/phases.ts';
import { byChannel, type Provisioning } from '../domain/provisioning.ts';
import { resources } from '../domain/resources.ts';
import type { JobQueues } from '../jobs/job-queues.ts';
import type { Config } from '../runtime/config.ts';
import type { Logger } from '../runtime/logger.ts';
import type { ConfigurationKey } from './configuration-keeper.ts';
import { type ControllerContext, placeOf, volumeOfClaim } from './controller-context.ts';
import { EventRecorder } from './event-recorder.ts';
import { NodeViews } from './nodes/node-views.ts';
import { ObjectCache } from './object-cache.ts';
import type { WatchedSchedules } from './schedules/watched-schedules.ts';
import type { WaitList } from './wait-list.ts';

export interface ContextOptions {
  store: ObjectStore;
  queues: Pick<JobQueues, 'add' | 'remove'>;
  config: Config;
  logger: Logger;
  /** Who makes volumes. Default: the workers, asked over the channel. */
  provisioning?: Provisioning;
}

export interface Wakers {
  claim(place: Place): void;
  dataVolume(place: Place): void;
  configuration(key: ConfigurationKey): void;
  schedules: WatchedSchedules;
}

const watchRetryMs = 200;

export type Place = ReturnType<typeof placeOf>;

export function placeIn(key: string): Place {
  const [namespace = '', name = ''] = key.split('/');
  return { namespace, name };
}

export function nameOf({ namespace, name }: Place): string {
  return `${namespace}/${name}`;
}

export function contextOf(options: ContextOptions, waits: WaitList, wake: Wakers): ControllerContext {
  const { store, queues, config, logger } = options;
  const known: KnownVolumes = {
    claimsByVolume: new Map(),
    outcomes: new Map(),
    refusals: new Map(),
    enqueued: new Map(),
  };
  return {
    ...{ store, queues, config, logger, provisioning: options.provisioning ?? byChannel },
    ...known,
    caches: cachesOf({ store, logger }, known, waits, wake),
    nodes: new NodeViews(config.nodeLostSeconds * 1_000),
    channels: new Map(),
    events: new EventRecorder(store, logger),
    wakeClaim: wake.claim,
    wakeDataVolume: wake.dataVolume,
    waitFor: (what, place) => waits.add(what, nameOf(place)),
  };
}

/** By volume. */
type KnownVolumes = Pick<ControllerContext, 'claimsByVolume' | 'outcomes' | 'refusals' | 'enqueued'>;

function cachesOf(
  { store, logger }: Pick<ContextOptions, 'store' | 'logger'>,
  known: KnownVolumes,
  waits: WaitList,
  wake: Wakers,
): ControllerContext['caches'] {
  const cacheOf = <T extends KubeObject>(
    resource: ResourceRef<T>,
    onChange: (after: T | undefined, before: T | undefined) => void,
  ) => new ObjectCache<T>({ store, resource, logger, retryMs: watchRetryMs, onChange });
  const both = (place: Place): void => {
    wake.claim(place);
    wake.dataVolume(place);
  };
  const changed = (after: KubeObject | undefined, before: KubeObject | undefined): void => {
    const object = after ?? before;
    if (object === undefined) return;
    if (after === undefined) waits.forget(nameOf(placeOf(object.metadata)));
    both(placeOf(object.metadata));
  };
  const everything = (): void => {
    for (const dataVolume of dataVolumes.values()) {
      if (!isAtRest(dataVolume)) both(placeOf(dataVolume.metadata));
    }
  };
  const profileOf = (storageClass: KubeObject | undefined): void => {
    wake.configuration(`profile ${storageClass?.metadata.name ?? ''}`);
  };
  const dataVolumes = cacheOf(resources.dataVolumes, (after, before) => {
    changed(after, before);
    wake.schedules.volume(after, before);
    // Who waits to clone its claim wants to know how far it is.
    if (after?.status?.phase !== before?.status?.phase) fireClaim(after ?? before);
  });
  const fireClaim = (object: KubeObject | undefined): void => {
    if (object !== undefined) fire(waits, `claim ${nameOf(placeOf(object.metadata))}`, both);
  };
  return {
    dataVolumes,
    claims: cacheOf(resources.claims, (after, before) => {
      onClaim(known, after, before);
      changed(after, before);
      wake.schedules.volume(after, before);
      fireClaim(after ?? before);
    }),
    dataSources: cacheOf(resources.dataSources, (after, before) => wake.schedules.dataSource(after, before)),
    dataImportCrons: cacheOf(resources.dataImportCrons, (after, before) =>
      wake.schedules.dataImportCron(after, before),
    ),
    storageClasses: cacheOf(resources.storageClasses, (after, before) => {
      profileOf(after ?? before);
      wake.configuration('config');
      everything();
    }),
    cdiConfigs: cacheOf(resources.cdiConfigs, () => {
      wake.configuration('config');
      everything();
    }),
    storageProfiles: cacheOf(resources.storageProfiles, (after, before) => {
      profileOf(after ?? before);
      everything();
    }),
  };
}

function fire(waits: WaitList, what: string, wake: (place: Place) => void): void {
  for (const key of waits.take(what)) wake(placeIn(key));
}

function onClaim(known: KnownVolumes, after: Claim | undefined, before: Claim | undefined): void {
  const [now, then] = [after && volumeOfClaim(after), before && volumeOfClaim(before)];
  if (then !== undefined && then !== now) {
    for (const map of Object.values(known)) map.delete(then);
  }
  if (after !== undefined && now !== undefined) known.claimsByVolume.set(now, placeOf(after.metadata));
}

export function isAtRest(dataVolume: DataVolume): boolean {
  const phase = dataVolume.status?.phase ?? '';
  return isPhase(phase) && isFinalPhase(phase);
}

/** Watches everything that a round reads. Of secrets and config maps only the names are kept. */
export async function followAll(
  context: ControllerContext,
  store: ObjectStore,
  waits: WaitList,
  signal: AbortSignal,
): Promise<void> {
  const namesOnly = <T extends KubeObject>(resource: ResourceRef<T>, word: string) =>
    new ObjectCache<T>({
      ...{ store, resource, logger: context.logger, retryMs: watchRetryMs },
      keep: ({ apiVersion, kind, metadata: { name, namespace, uid, resourceVersion } }) =>
        ({ apiVersion, kind, metadata: { name, namespace, uid, resourceVersion } }) as unknown as T, // Safe: nobody reads more of these.
      onChange: (after, before) => {
        const object = after ?? before;
        if (object === undefined) return;
        fire(waits, `${word} ${nameOf(placeOf(object.metadata))}`, (place) => context.wakeClaim(place));
      },
    });
  // On a cluster those are everybody's, and very many: there the sweep looks for the few that are waited for.
  const names = [namesOnly(resources.secrets, 'secret'), namesOnly(resources.configMaps, 'configmap')];
  const followed = context.provisioning.by === 'csi' ? [] : names;
  await Promise.all([...Object.values(context.caches), ...followed].map((cache) => cache.follow(signal)));
}
