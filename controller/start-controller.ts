// Starts the controller: watches, rounds and the channel to the workers. It compares what objects ask for with what is and acts; it keeps nothing that
// cannot be found again in the store and on the pools. Events drive it; one slow sweep finds what an event did not tell.
import { toFault } from '../domain/fault.ts';
import type { TlsPair } from '../runtime/certificates.ts';
import type { Config } from '../runtime/config.ts';
import type { Licence } from '../runtime/licence.ts';
import { type ListenAddress, parseAddress } from '../runtime/listen.ts';
import type { Logger } from '../runtime/logger.ts';
import { metrics } from '../runtime/metrics.ts';
import { ClaimRounds } from './claims/claim-rounds.ts';
import { ConfigurationKeeper, type ConfigurationSources, sourcesOfOneMachine } from './configuration-keeper.ts';
import { type ControllerContext, placeOf } from './controller-context.ts';
import { DataVolumeRounds } from './data-volumes/data-volume-rounds.ts';
import { ChannelServer } from './nodes/channel-server.ts';
import { LostStore, type ObjectRestorer } from './nodes/lost-store.ts';
import { isQuiet, NodeConnections } from './nodes/node-connections.ts';
import { type ControllerOperations, controllerOperations } from './nodes/operations.ts';
import { answerWorker } from './nodes/worker-calls.ts';
import { DataImportCronRounds } from './schedules/data-import-cron-rounds.ts';
import { DataSourceRounds } from './schedules/data-source-rounds.ts';
import { SourceLooks } from './schedules/source-looks.ts';
import { WatchedSchedules } from './schedules/watched-schedules.ts';
import { WaitList } from './wait-list.ts';
import { type ContextOptions, contextOf, followAll, isAtRest, nameOf, placeIn } from './watched-objects.ts';
import { WorkQueue } from './work-queue.ts';

export interface ControllerOptions extends ContextOptions {
  /** Server pair of the channel; its CA is the one of the workers. */
  channelTls: TlsPair;
  /** What CDIConfig and StorageProfiles tell besides. Default: what one machine knows. */
  configurationSources?: ConfigurationSources;
  /** Where workers dial. Default: LONGSHORE_CHANNEL, else a free port of the listening host. */
  channelListen?: ListenAddress;
  sweepMs?: number;
  /** For volumes that outlived their store; left out where that is not ours. */
  restorer?: ObjectRestorer;
  /** Without it no worker is asked or answered. Default: always held. */
  licence?: Pick<Licence, 'assertHeld'>;
}

export interface Controller {
  /** host:port for workers. */
  channelAddress: string;
  operations: ControllerOperations;
  stop(): Promise<void>;
}

const conflictRetryMs = 10;
const retryCapMs = 5_000;
const roundsAtOnce = 64;

/** @throws Fault AddressInUse */
export async function startController(options: ControllerOptions): Promise<Controller> {
  const { config, logger } = options;
  const ending = new AbortController();
  const waits = new WaitList();
  const schedules = new WatchedSchedules({
    dataSource: (place) => dataSourceQueue.add(nameOf(place)),
    dataImportCron: (place) => dataImportCronQueue.add(nameOf(place)),
  });
  const context = contextOf(options, waits, {
    schedules,
    claim: (place) => claimQueue.add(nameOf(place)),
    dataVolume: (place) => dataVolumeQueue.add(nameOf(place)),
    configuration: (key) => configurationQueue.add(key),
  });
  const sources = options.configurationSources ?? sourcesOfOneMachine(config);
  const keeper = new ConfigurationKeeper(context, sources);
  const claimRounds = new ClaimRounds(context);
  const dataVolumeRounds = new DataVolumeRounds(context);
  const claimQueue = queueFor('claim', (key) => claimRounds.work(placeIn(key)), logger);
  const dataVolumeQueue = queueFor('datavolume', (key) => dataVolumeRounds.work(placeIn(key)), logger);
  const configurationQueue = queueFor('configuration', (key) => keeper.work(key), logger);
  const looks = new SourceLooks(context, (place) => dataImportCronQueue.add(nameOf(place)));
  const dataImportCronRounds = new DataImportCronRounds(context, looks);
  const dataSourceRounds = new DataSourceRounds(context, (what, place) => schedules.waitFor(what, place));
  const dataImportCronQueue = queueFor('dataimportcron', (key) => dataImportCronRounds.work(placeIn(key)), logger);
  const dataSourceQueue = queueFor('datasource', (key) => dataSourceRounds.work(placeIn(key)), logger);
  const queues = [configurationQueue, claimQueue, dataVolumeQueue, dataImportCronQueue, dataSourceQueue];
  const connections = new NodeConnections(context);
  const lost = new LostStore({ context, connections, restorer: options.restorer });

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
    ...{ logger, licence: options.licence },
    answer: (node, channel) =>
      answerWorker(node, channel, {
        context,
        inventoryOf: (of) => connections.inventoryOf(of),
        takePools: (of, pools) => connections.takePools(node, of, pools),
        runClaim: (place) => claimQueue.run(nameOf(place)),
      }),
    onConnect: (node, channel) => {
      connections.connected(node, channel);
      // Why no inventory came is told there.
      connections.inventoryOf(channel).then(
        () => void lookOnce(context, lost),
        () => undefined,
      );
    },
    onDisconnect: (node, channel) => connections.disconnected(node, channel),
  });
  const sweep = setInterval(() => void sweepOnce(context, connections, lost), options.sweepMs ?? 10_000);
  return {
    channelAddress: server.address,
    operations: controllerOperations(context, connections, lost),
    async stop() {
      clearInterval(sweep);
      connections.stop();
      await server.close();
      await looks.stop();
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

async function lookOnce(context: ControllerContext, lost: LostStore): Promise<void> {
  try {
    await lost.look();
  } catch (error) {
    context.logger.warn({ err: toFault(error) }, 'what the pools hold could not be looked at');
  }
}

/** Whatever is not at rest is looked at again, and every job that should be there is asked for again. */
async function sweepOnce(context: ControllerContext, connections: NodeConnections, lost: LostStore): Promise<void> {
  await lookOnce(context, lost);
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
