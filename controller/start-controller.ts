// Starts the controller: watches, rounds and the channel to the workers. It compares what objects ask for with what is and acts; it keeps nothing that
// cannot be found again in the store and on the pools. Events drive it; one slow sweep finds what an event did not tell.
import type { DataVolume } from '../domain/data-volume.ts';
import { toFault } from '../domain/fault.ts';
import type { Claim } from '../domain/kube-shapes.ts';
import type { KubeObject, ObjectStore, ResourceRef } from '../domain/object-store.ts';
import { isFinalPhase, isPhase } from '../domain/phases.ts';
import { byChannel, type Provisioning } from '../domain/provisioning.ts';
import { resources } from '../domain/resources.ts';
import type { JobQueues } from '../jobs/job-queues.ts';
import type { TlsPair } from '../runtime/certificates.ts';
import type { Config } from '../runtime/config.ts';
import { type ListenAddress, parseAddress } from '../runtime/listen.ts';
import type { Logger } from '../runtime/logger.ts';
import { metrics } from '../runtime/metrics.ts';
import { ChannelServer } from './channel-server.ts';
import { ClaimRounds } from './claim-rounds.ts';
import {
  ConfigurationKeeper,
  type ConfigurationKey,
  type ConfigurationSources,
  sourcesOfOneMachine,
} from './configuration-keeper.ts';
import { type ControllerContext, placeOf, volumeOfClaim } from './controller-context.ts';
import { DataVolumeRounds } from './data-volume-rounds.ts';
import { EventRecorder } from './event-recorder.ts';
import { isQuiet, NodeConnections } from './node-connections.ts';
import { NodeViews } from './node-views.ts';
import { ObjectCache } from './object-cache.ts';
import { type ControllerOperations, controllerOperations } from './operations.ts';
import { WaitList } from './wait-list.ts';
import { WorkQueue } from './work-queue.ts';
import { answerWorker } from './worker-calls.ts';

export interface ControllerOptions {
  store: ObjectStore;
  queues: Pick<JobQueues, 'add' | 'remove'>;
  /** Server pair of the channel; its CA is the one of the workers. */
  channelTls: TlsPair;
  config: Config;
  logger: Logger;
  /** Who makes volumes. Default: the workers, asked over the channel. */
  provisioning?: Provisioning;
  /** What CDIConfig and StorageProfiles tell besides. Default: what one machine knows. */
  configurationSources?: ConfigurationSources;
  /** Where workers dial. Default: LONGSHORE_CHANNEL, else a free port of the listening host. */
  channelListen?: ListenAddress;
  sweepMs?: number;
}

export interface Controller {
  /** host:port for workers. */
  channelAddress: string;
  operations: ControllerOperations;
  stop(): Promise<void>;
}

const watchRetryMs = 200;
const conflictRetryMs = 10;
const retryCapMs = 5_000;
const roundsAtOnce = 64;

type Place = ReturnType<typeof placeOf>;

function placeIn(key: string): Place {
  const [namespace = '', name = ''] = key.split('/');
  return { namespace, name };
}

function nameOf({ namespace, name }: Place): string {
  return `${namespace}/${name}`;
}

/** @throws Fault AddressInUse */
export async function startController(options: ControllerOptions): Promise<Controller> {
  const { config, logger } = options;
  const ending = new AbortController();
  const waits = new WaitList();
  const context = contextOf(options, waits, {
    claim: (place) => claimQueue.add(nameOf(place)),
    dataVolume: (place) => dataVolumeQueue.add(nameOf(place)),
    configuration: (key) => configurationQueue.add(key),
    connections: () => connections,
  });
  const sources = options.configurationSources ?? sourcesOfOneMachine(config);
  const keeper = new ConfigurationKeeper(context, sources);
  const claimRounds = new ClaimRounds(context);
  const dataVolumeRounds = new DataVolumeRounds(context);
  const claimQueue = queueFor('claim', (key) => claimRounds.work(placeIn(key)), logger);
  const dataVolumeQueue = queueFor('datavolume', (key) => dataVolumeRounds.work(placeIn(key)), logger);
  const configurationQueue = queueFor('configuration', (key) => keeper.work(key), logger);
  const queues = [configurationQueue, claimQueue, dataVolumeQueue];
  const connections = new NodeConnections(context);

  const following = Promise.all([
    followAll(context, options.store, waits, ending.signal),
    sources.follow((key) => configurationQueue.add(key), ending.signal),
  ]);
  await Promise.all(Object.values(context.caches).map((cache) => cache.synced));
  for (const queue of queues) queue.begin();
  // The first request finds it. Why it could not be written is told by the queue, which tries again.
  await configurationQueue.run('config').catch(() => undefined);
  const server = await ChannelServer.listen({
    tls: options.channelTls,
    address: options.channelListen ?? channelAddressOf(config),
    logger,
    answer: (node, channel) =>
      answerWorker(node, channel, {
        context,
        inventoryOf: (of) => connections.inventoryOf(of),
        runClaim: (place) => claimQueue.run(nameOf(place)),
      }),
    onConnect: (node, channel) => connections.connected(node, channel),
    onDisconnect: (node, channel) => connections.disconnected(node, channel),
  });
  const sweep = setInterval(() => void sweepOnce(context, connections), options.sweepMs ?? 10_000);
  return {
    channelAddress: server.address,
    operations: controllerOperations(context, connections),
    async stop() {
      clearInterval(sweep);
      connections.stop();
      await server.close();
      await Promise.all(queues.map((queue) => queue.stop()));
      ending.abort();
      await Promise.all([following, context.events.drained()]);
    },
  };
}

function channelAddressOf(config: Config): ListenAddress {
  return config.channelAddress === '' ? { host: config.listenHost, port: 0 } : parseAddress(config.channelAddress);
}

function queueFor(kind: string, work: (key: string) => Promise<number | undefined>, logger: Logger): WorkQueue {
  return new WorkQueue({
    concurrency: roundsAtOnce,
    retryBaseMs: conflictRetryMs,
    retryCapMs,
    work: async (key) => {
      const started = performance.now();
      const again = await work(key);
      metrics.observe('longshore_reconcile_seconds', { kind }, (performance.now() - started) / 1_000);
      metrics.count('longshore_reconciles_total', { kind, outcome: 'ok' });
      return again;
    },
    onError: (key, error) => {
      const fault = toFault(error);
      const expected = fault.code === 'Conflict' || fault.code === 'NotFound';
      metrics.count('longshore_reconciles_total', { kind, outcome: expected ? 'retry' : 'error' });
      if (expected) logger.debug({ kind, key, err: fault }, 'round repeated');
      else logger.error({ kind, key, err: fault.code === 'Internal' ? error : fault }, 'round failed');
    },
  });
}

interface Wakers {
  claim(place: Place): void;
  dataVolume(place: Place): void;
  configuration(key: ConfigurationKey): void;
  connections(): NodeConnections;
}

function contextOf(options: ControllerOptions, waits: WaitList, wake: Wakers): ControllerContext {
  const { store, queues, config, logger } = options;
  const claimsByVolume: ControllerContext['claimsByVolume'] = new Map();
  const both = (place: Place) => {
    wake.claim(place);
    wake.dataVolume(place);
  };
  const everything = () => {
    for (const dataVolume of context.caches.dataVolumes.values()) {
      if (!isAtRest(dataVolume)) both(placeOf(dataVolume.metadata));
    }
  };
  const cacheOf = <T extends KubeObject>(
    resource: ResourceRef<T>,
    onChange: (after: T | undefined, before: T | undefined) => void,
  ) => new ObjectCache<T>({ store, resource, logger, retryMs: watchRetryMs, onChange });
  const context: ControllerContext = {
    ...{ store, queues, config, logger, claimsByVolume, provisioning: options.provisioning ?? byChannel },
    caches: {
      dataVolumes: cacheOf(resources.dataVolumes, (after, before) => {
        const object = after ?? before;
        if (object === undefined) return;
        if (after === undefined) waits.forget(nameOf(placeOf(object.metadata)));
        both(placeOf(object.metadata));
        // Who waits to clone its claim wants to know how far it is.
        if (after?.status?.phase !== before?.status?.phase)
          fire(waits, `claim ${nameOf(placeOf(object.metadata))}`, both);
      }),
      claims: cacheOf(resources.claims, (after, before) => {
        onClaim(context, after, before);
        const object = after ?? before;
        if (object === undefined) return;
        if (after === undefined) waits.forget(nameOf(placeOf(object.metadata)));
        both(placeOf(object.metadata));
        fire(waits, `claim ${nameOf(placeOf(object.metadata))}`, both);
      }),
      storageClasses: cacheOf(resources.storageClasses, (after, before) => {
        wake.configuration(`profile ${(after ?? before)?.metadata.name ?? ''}`);
        wake.configuration('config');
        everything();
      }),
      cdiConfigs: cacheOf(resources.cdiConfigs, () => {
        wake.configuration('config');
        everything();
      }),
      storageProfiles: cacheOf(resources.storageProfiles, (after, before) => {
        wake.configuration(`profile ${(after ?? before)?.metadata.name ?? ''}`);
        everything();
      }),
    },
    nodes: new NodeViews(config.nodeLostSeconds * 1_000),
    channels: new Map(),
    outcomes: new Map(),
    refusals: new Map(),
    enqueued: new Map(),
    events: new EventRecorder(store, logger),
    wakeClaim: wake.claim,
    wakeDataVolume: wake.dataVolume,
    waitFor: (what, place) => waits.add(what, nameOf(place)),
  };
  return context;
}

function fire(waits: WaitList, what: string, wake: (place: Place) => void): void {
  for (const key of waits.take(what)) wake(placeIn(key));
}

function onClaim(context: ControllerContext, after: Claim | undefined, before: Claim | undefined): void {
  const [now, then] = [after && volumeOfClaim(after), before && volumeOfClaim(before)];
  if (then !== undefined && then !== now) {
    context.claimsByVolume.delete(then);
    context.outcomes.delete(then);
    context.refusals.delete(then);
    context.enqueued.delete(then);
  }
  if (after !== undefined && now !== undefined) context.claimsByVolume.set(now, placeOf(after.metadata));
}

function isAtRest(dataVolume: DataVolume): boolean {
  const phase = dataVolume.status?.phase ?? '';
  return isPhase(phase) && isFinalPhase(phase);
}

/** Watches everything that a round reads. Of secrets and config maps only the names are kept. */
async function followAll(
  context: ControllerContext,
  store: ObjectStore,
  waits: WaitList,
  signal: AbortSignal,
): Promise<void> {
  const namesOnly = <T extends KubeObject>(resource: ResourceRef<T>, word: string) =>
    new ObjectCache<T>({
      ...{ store, resource, logger: context.logger, retryMs: watchRetryMs },
      keep: ({ apiVersion, kind, metadata: { name, namespace, uid, resourceVersion } }) =>
        // Safe: nobody reads more than the metadata of what this cache keeps.
        ({ apiVersion, kind, metadata: { name, namespace, uid, resourceVersion } }) as unknown as T,
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

/** Whatever is not at rest is looked at again, and every job that should be there is asked for again. */
async function sweepOnce(context: ControllerContext, connections: NodeConnections): Promise<void> {
  try {
    context.enqueued.clear();
    for (const claim of context.caches.claims.values()) {
      if (!isQuiet(claim)) context.wakeClaim(placeOf(claim.metadata));
    }
    for (const dataVolume of context.caches.dataVolumes.values()) {
      if (!isAtRest(dataVolume)) context.wakeDataVolume(placeOf(dataVolume.metadata));
    }
    // On a cluster a volume without a claim is the provisioner's, or kept on purpose by its reclaim policy.
    await connections.sweepOrphans({ onlyLook: context.provisioning.by === 'csi' });
  } catch (error) {
    context.logger.warn({ err: toFault(error) }, 'sweep failed');
  }
}
