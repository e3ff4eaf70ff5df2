// Builds one worker and ends it in order. While it lives it owns its node's pools; Redis and the controller may come and go. Stopping takes no more work,
// lets what runs go on for drainSeconds, then ends it with `Interrupted` and leaves nothing but committed volumes and received uploads.
import { setTimeout as delay } from 'node:timers/promises';
import { Fault, faultRecord, toFault } from '../domain/fault.ts';
import type { VolumeId, VolumeOwner } from '../domain/volume-record.ts';
import type { ControllerCalls, ParamsOf } from '../jobs/channel-protocol.ts';
import { openRedis, refuseEviction } from '../jobs/connection.ts';
import { JobConsumer } from '../jobs/job-consumer.ts';
import { WorkerRegistry } from '../jobs/worker-registry.ts';
import type { TlsPair } from '../runtime/certificates.ts';
import type { Config } from '../runtime/config.ts';
import type { Logger } from '../runtime/logger.ts';
import type { PoolSetting } from '../runtime/pool-settings.ts';
import { PrivateDirectory } from '../runtime/private-directory.ts';
import type { Programs } from '../runtime/programs.ts';
import { LoopDevices } from '../volumes/loop-devices.ts';
import { Pools } from '../volumes/pools.ts';
import { QemuImg } from '../volumes/qemu-img.ts';
import { answerCalls, deleteVolume, noLooks } from './answer-calls.ts';
import { Attempts } from './attempts.ts';
import { ChannelClient } from './channel-client.ts';
import { JobRunner } from './job-runner.ts';
import { Outbox } from './outbox.ts';
import { PoolWatch } from './pool-watch.ts';
import { SharedByPool } from './shared-by-pool.ts';
import { UploadReceiver } from './upload-receiver.ts';
import { startUploadServer } from './upload-server.ts';
import { UploadSlots } from './upload-slots.ts';
import { VolumeNews } from './volume-news.ts';

export interface WorkerOptions {
  config: Config;
  tls: TlsPair;
  logger: Logger;
  programs: Programs;
  /** Directories that do not exist are made. */
  pools: readonly PoolSetting[];
  /** Private, in which an upload proxy of this machine hands bodies over. Default: bodies come with their requests. */
  runDirectory?: string;
  /** Others than the controller make and delete volumes too, and it is told of them. */
  tellsVolumes?: boolean;
}

export interface RunningWorker {
  /** host:port of the upload server. */
  readonly uploadAddress: string;
  readonly pools: Pools;
  /** Why no work can be taken at the moment; undefined where it can. */
  notReady(): string | undefined;
  /** Ends whatever fills the volume and removes it; one that is not there is no error. */
  deleteVolume(volumeId: VolumeId): Promise<void>;
  /** Tells the controller that there is no room for a volume here; where it cannot be reached it is told with the next refusal. */
  tellRefusal(volumeId: VolumeId, fault: Fault): void;
  /** Whether somebody fills the claim of that volume, asked of the controller. @throws Fault NotFound, ServiceUnreachable */
  isFilled(owner: VolumeOwner, signal: AbortSignal): Promise<boolean>;
  /** Has the worker that holds the volume make it larger. @returns its size then. @throws Fault NotFound, ServiceUnreachable, and those of that worker */
  expandElsewhere(
    volumeId: VolumeId,
    wish: Omit<ParamsOf<ControllerCalls['volume.expandWhereItIs']>, 'volumeId'>,
    signal: AbortSignal,
  ): Promise<number>;
  /** Which pool of this node the claim wishes for, asked of the controller. @throws Fault NotFound, ServiceUnreachable */
  poolWish(owner: VolumeOwner, signal: AbortSignal): Promise<string | undefined>;
  /** Drains and ends; at most about drainSeconds + 10 s. */
  stop(): Promise<void>;
}

const deliverWithinMs = 2_000;

/** @throws Fault PoolMissing, PoolInUse, NewerVersion, RedisUnavailable, RedisUnsafe, AddressInUse; nothing is left open then */
export async function startWorker(options: WorkerOptions): Promise<RunningWorker> {
  const undo = new AsyncDisposableStack();
  try {
    return await buildWorker(options, undo);
  } catch (error) {
    await undo.disposeAsync();
    throw error;
  }
}

/** Each part is put on `undo` when it is there; stopping takes them off in the reverse order. */
async function buildWorker(options: WorkerOptions, undo: AsyncDisposableStack): Promise<RunningWorker> {
  const { config, logger, tls, programs } = options;
  const loops = process.geteuid?.() === 0 ? new LoopDevices(programs) : undefined;
  const pools = await Pools.open({ settings: options.pools, overcommit: config.overcommit, logger, loops, programs });
  undo.defer(() => pools.close());
  const redis = await openRedis(config.redisUrl, { logger });
  undo.defer(() => redis.disconnect());
  await refuseEviction(redis, config, logger);

  const shared = new SharedByPool({ keepMs: config.sharedImageSeconds * 1_000, logger });
  const tools = { config, logger, programs, pools, qemuImg: new QemuImg({ programs, config }), shared };
  const attempts = new Attempts();
  const slots = new UploadSlots();
  const ending = new AbortController();
  const looks = noLooks();
  const channel = new ChannelClient({
    ...{ address: config.channelAddress, tls, node: config.node, logger },
    answer: (opened) => answerCalls(opened, { ...tools, attempts, slots, outbox, looks, signal: ending.signal }),
  });
  const outbox = new Outbox(channel, logger);
  const receiver = new UploadReceiver({ ...tools, channel, outbox, attempts, slots });
  const handover = await openRunDirectory(options);
  undo.defer(() => handover?.[Symbol.asyncDispose]());
  const uploads = await startUploadServer({
    ...{ host: config.listenHost, port: config.uploadPort, tls, receiver, logger, directory: handover },
    idleTimeoutMs: config.idleTimeoutMs,
  });
  undo.defer(() => uploads.close());
  channel.start(uploads.address);
  undo.defer(() => channel.stop());
  undo.defer(() => outbox.stop());
  if (options.tellsVolumes === true) {
    const news = new VolumeNews({ pools, channel, logger });
    undo.defer(() => news.stop());
  }

  const reached = handover === undefined ? {} : { directoryIdentity: handover.identity };
  const entry = { node: config.node, uploadAddress: uploads.address, ...reached };
  const unpublish = await new WorkerRegistry(redis).publish(entry, { logger });
  undo.defer(unpublish);
  const runner = new JobRunner({ ...tools, channel, attempts, outbox });
  const consumer = await JobConsumer.start({
    ...{ redisUrl: config.redisUrl, node: config.node, logger },
    ...{ concurrency: config.importConcurrency, lockDurationMs: config.lockDurationMs },
    process: (payload, signal) => runner.run(payload, signal),
  });
  const watch = new PoolWatch({ pools, channel, logger });
  undo.defer(() => watch.stop());
  logger.info({ pools: options.pools, uploadAddress: uploads.address, node: config.node }, 'worker is ready');

  return {
    uploadAddress: uploads.address,
    pools,
    deleteVolume: (volumeId) => deleteVolume(volumeId, { pools, attempts, slots }),
    ...asksController(channel, logger, ending.signal),
    notReady: () => {
      if (redis.status !== 'ready') return 'Redis cannot be reached';
      return channel.isConnected ? undefined : 'no channel to the controller';
    },
    stop: async () => {
      await drain({ config, receiver, consumer, attempts, ending, outbox, channel });
      await undo.disposeAsync();
    },
  };
}

async function openRunDirectory({ runDirectory, logger }: WorkerOptions): Promise<PrivateDirectory | undefined> {
  if (runDirectory === undefined) return undefined;
  try {
    return await PrivateDirectory.open(runDirectory);
  } catch (error) {
    logger.warn({ runDirectory, err: toFault(error) }, 'it cannot be opened: bodies come over TLS');
    return undefined;
  }
}

/** What the CSI driver of this node has to say to the controller and to ask it. */
function asksController(
  channel: ChannelClient,
  logger: Logger,
  signal: AbortSignal,
): Pick<RunningWorker, 'tellRefusal' | 'isFilled' | 'expandElsewhere' | 'poolWish'> {
  const ask = () => {
    if (!channel.isConnected) throw new Fault('ServiceUnreachable', 'no channel to the controller');
    return channel;
  };
  return {
    tellRefusal: (volumeId, fault) => {
      if (!channel.isConnected) return;
      channel.ask('volume.refused', { volumeId, fault: faultRecord(fault) }, signal).catch((error: unknown) => {
        logger.info({ volumeId, err: toFault(error) }, 'the controller does not take the news of a refusal');
      });
    },
    isFilled: async (owner, asked) => (await ask().ask('claim.isFilled', { owner }, asked)).filled,
    expandElsewhere: async (volumeId, wish, asked) =>
      (await ask().ask('volume.expandWhereItIs', { volumeId, ...wish }, asked)).sizeBytes,
    poolWish: async (owner, asked) => (await ask().ask('claim.pool', { owner }, asked)).pool,
  };
}

interface Draining {
  config: Config;
  receiver: UploadReceiver;
  consumer: JobConsumer;
  attempts: Attempts;
  ending: AbortController;
  outbox: Outbox;
  channel: ChannelClient;
}

/** Lets what runs go on for a while, ends the rest, and tells the controller how it ended. */
async function drain({ config, receiver, consumer, attempts, ending, outbox, channel }: Draining): Promise<void> {
  receiver.refuseNew();
  const drainMs = config.drainSeconds * 1_000;
  await Promise.all([consumer.close({ withinMs: drainMs }), within(attempts.settled(), drainMs)]);
  const why = new Fault('Interrupted', 'the worker stops');
  ending.abort(why);
  await attempts.endAll(why);
  await within(outbox.delivered(), channel.isConnected ? deliverWithinMs : 0);
}

async function within(work: Promise<void>, limitMs: number): Promise<void> {
  const limit = new AbortController();
  const late = delay(limitMs, undefined, { signal: limit.signal }).catch(() => undefined); // the work was faster
  await Promise.race([work, late]);
  limit.abort();
}
