// Tells the controller which volumes were made, declared plain or deleted on this node by others than itself: on a cluster, by Kubernetes through the CSI
// driver. What is told is how the volume is at that moment, so that many changes in a row are told once, and the last word is right.
import { toFault } from '../domain/fault.ts';
import type { VolumeId } from '../domain/volume-record.ts';
import type { Logger } from '../runtime/logger.ts';
import type { Pools } from '../volumes/pools.ts';
import type { ChannelClient } from './channel-client.ts';
import { told } from './pool-reports.ts';

export interface VolumeNewsOptions {
  pools: Pick<Pools, 'find' | 'onChange'>;
  channel: Pick<ChannelClient, 'ask'>;
  logger: Logger;
}

export class VolumeNews {
  readonly #options: VolumeNewsOptions;
  readonly #untold = new Set<VolumeId>();
  readonly #ending = new AbortController();
  #telling: Promise<void> | undefined;

  constructor(options: VolumeNewsOptions) {
    this.#options = options;
    options.pools.onChange((id, record) => {
      // The controller itself gives volumes to attempts, and is told by them how they ended.
      if (record?.state === 'populating' || record?.state === 'complete') return;
      if (this.#ending.signal.aborted) return;
      this.#untold.add(id);
      this.#telling ??= this.#tellAll();
    });
  }

  /** What is still untold comes with the inventory of the next connection. */
  async stop(): Promise<void> {
    this.#ending.abort();
    await this.#telling;
  }

  async #tellAll(): Promise<void> {
    const { signal } = this.#ending;
    for (const id of this.#untold) {
      this.#untold.delete(id);
      try {
        await this.#tell(id, signal);
      } catch (error) {
        if (signal.aborted) break; // The inventory of the next connection tells it.
        this.#options.logger.warn(
          { volumeId: id, err: toFault(error) },
          'the controller does not take news of a volume',
        );
      }
    }
    // In the same step as the last look at what is untold: a change after it begins the next round.
    this.#telling = undefined;
  }

  async #tell(id: VolumeId, signal: AbortSignal): Promise<void> {
    const { pools, channel } = this.#options;
    const held = pools.find(id);
    if (held === undefined) await channel.ask('volume.gone', { volumeId: id }, signal);
    else await channel.ask('volume.changed', { volume: told(held) }, signal);
  }
}
