// Looks after the pools while the worker runs: whether each is there, how much room it has. What changed goes to the metrics and to the controller, so that
// a new volume is planned by the room of now and a disk that went away is an alarm at once.
import { toFault } from '../domain/fault.ts';
import type { PoolState } from '../jobs/channel-protocol.ts';
import type { Logger } from '../runtime/logger.ts';
import { metrics } from '../runtime/metrics.ts';
import type { Pools } from '../volumes/pools.ts';
import type { ChannelClient } from './channel-client.ts';
import { tellPools } from './pool-reports.ts';
import { VolumeMetrics } from './volume-metrics.ts';

export interface PoolWatchOptions {
  pools: Pools;
  channel: Pick<ChannelClient, 'ask' | 'isConnected'>;
  logger: Logger;
  /** How often it is looked whether the pools are there, and how many looks go by between two measurements. */
  everyMs?: number;
  measureEach?: number;
}

export class PoolWatch {
  readonly #options: PoolWatchOptions;
  readonly #ending = new AbortController();
  readonly #timer: NodeJS.Timeout;
  readonly #volumes = new VolumeMetrics();
  #looks = 0;
  #looking: Promise<void> | undefined;
  #told = '';

  constructor(options: PoolWatchOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#begin(), options.everyMs ?? 5_000);
    this.#begin();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#ending.abort();
    await this.#looking;
  }

  #begin(): void {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
  }

  /** Never rejects: what is amiss is told, and looked at again. */
  async #look(): Promise<void> {
    const { pools, logger, measureEach = 6 } = this.#options;
    try {
      const before = faultsOf(pools);
      await pools.look();
      const isDue = this.#looks % measureEach === 0;
      this.#looks += 1;
      if (isDue || before !== faultsOf(pools)) await this.#tell(await tellPools(pools));
      if (isDue) await this.#volumes.measure(pools);
    } catch (error) {
      logger.warn({ err: toFault(error) }, 'the pools could not be looked at');
    }
  }

  async #tell(states: PoolState[]): Promise<void> {
    const { channel } = this.#options;
    for (const state of states) measure(state);
    const text = JSON.stringify(states);
    if (this.#ending.signal.aborted) return;
    // A connection that begins is told by the inventory, which may tell another state than the last one here.
    if (!channel.isConnected) this.#told = '';
    if (text === this.#told || !channel.isConnected) return;
    await channel.ask('pools.changed', { pools: states }, this.#ending.signal);
    this.#told = text;
  }
}

function faultsOf(pools: Pools): string {
  return pools.places.map(({ name, fault }) => `${name} ${fault?.code ?? ''}`).join();
}

function measure({ name: pool, usage, fault }: PoolState): void {
  metrics.set('longshore_pool_usable', { pool }, fault === undefined ? 1 : 0);
  if (usage === undefined) return;
  const { capacityBytes, reservedBytes, usedBytes, freeBytes, enforcement } = usage;
  const kinds = { capacity: capacityBytes, reserved: reservedBytes, used: usedBytes, free: freeBytes };
  for (const [kind, bytes] of Object.entries(kinds)) metrics.set('longshore_pool_bytes', { pool, kind }, bytes);
  metrics.set('longshore_pool_oversold_ratio', { pool }, capacityBytes === 0 ? 0 : reservedBytes / capacityBytes);
  metrics.set('longshore_pool_enforcement', { pool, enforcement }, 1);
}
