// Workers that come and go: takes each one's inventory, wakes the claims that it concerns, and removes volumes that belong to nobody.

import { annotations } from '../../domain/annotations.ts';
import { Fault, toFault } from '../../domain/fault.ts';
import type { Claim } from '../../domain/kube-shapes.ts';
import { resources } from '../../domain/resources.ts';
import type { VolumeId, VolumeRecord } from '../../domain/volume-record.ts';
import type { PoolState } from '../../jobs/channel-protocol.ts';
import { metrics } from '../../runtime/metrics.ts';
import { isFilled } from '../claims/claim-facts.ts';
import {
  type ControllerContext,
  channelOf,
  type NodeChannel,
  placeOf,
  viewOf,
  volumeOfClaim,
} from '../controller-context.ts';
import type { HeldVolume, NodeView } from './node-views.ts';
import { planOrphans } from './orphans.ts';
import { poolEvents } from './pool-events.ts';

/** Results that could not be delivered before come within this time after the connect. */
const settleMs = 500;

export class NodeConnections {
  readonly #context: ControllerContext;
  readonly #inventories = new WeakMap<NodeChannel, Promise<void>>();
  readonly #orphans = new Map<string, Set<string>>();
  /** Volumes whose deletion was asked for and is not answered yet. */
  readonly #leaving = new Set<VolumeId>();
  readonly #timers = new Set<NodeJS.Timeout>();

  constructor(context: ControllerContext) {
    this.#context = context;
  }

  connected(node: string, channel: NodeChannel): void {
    const { channels, nodes, logger } = this.#context;
    channels.get(node)?.close();
    channels.set(node, channel);
    const view = nodes.enter(node);
    view.enter();
    metrics.set('longshore_channel_connected', { node }, 1);
    logger.info({ node }, 'worker connected');
    const inventory = this.#takeInventory(view, channel);
    this.#inventories.set(channel, inventory);
    inventory.catch((error: unknown) => {
      logger.warn({ node, err: toFault(error) }, 'no inventory');
      channel.close();
    });
  }

  disconnected(node: string, channel: NodeChannel): void {
    const { channels, nodes } = this.#context;
    if (channels.get(node) !== channel) return;
    channels.delete(node);
    const view = nodes.enter(node);
    view.leave();
    metrics.set('longshore_channel_connected', { node }, 0);
    this.#wakeConcerned(view);
  }

  /** Resolves when the inventory of that connection has come. */
  async inventoryOf(channel: NodeChannel): Promise<void> {
    await this.#inventories.get(channel);
  }

  /** A pool that can be used again may hold volumes that were not seen: all is told anew. */
  async takePools(node: string, channel: NodeChannel, pools: readonly PoolState[]): Promise<void> {
    const view = this.#context.nodes.find(node);
    if (view === undefined || this.#context.channels.get(node) !== channel) return;
    const isBack = pools.some(({ name, fault }) => {
      const before = view.pools.find((pool) => pool.name === name);
      return fault === undefined && before?.fault !== undefined;
    });
    // Not said to be back before its volumes are known: who then looks for all that there is would miss them.
    if (isBack) return this.#takeInventory(view, channel);
    this.#tellEvents(view, pools);
    view.pools = pools;
    this.#wakeConcerned(view);
  }

  /** Of the node, as the kubelet tells of it: the name is its uid. */
  #tellEvents({ name, pools }: NodeView, now: readonly PoolState[]): void {
    const node = { apiVersion: 'v1', kind: 'Node', metadata: { name, uid: name } };
    for (const text of poolEvents(pools, now)) this.#context.events.record(node, text);
  }

  stop(): void {
    for (const timer of this.#timers) clearTimeout(timer);
  }

  async #takeInventory(view: NodeView, channel: NodeChannel): Promise<void> {
    const inventory = await channel.call('inventory', {});
    if (this.#context.channels.get(view.name) !== channel) return;
    this.#tellEvents(view, inventory.pools);
    view.takeInventory(inventory);
    this.#wakeConcerned(view);
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      if (this.#context.channels.get(view.name) !== channel) return;
      view.settled = true;
      this.#wakeConcerned(view);
    }, settleMs);
    this.#timers.add(timer);
  }

  /** Claims with nothing left to do, whose volume is where it was, sleep on. */
  #wakeConcerned(view: NodeView): void {
    for (const claim of this.#context.caches.claims.values()) {
      const volumeId = volumeOfClaim(claim);
      const there = volumeId !== undefined && view.volumes.has(volumeId) && !view.live.has(volumeId);
      if (!isQuiet(claim) || (view.known && !there)) this.#context.wakeClaim(placeOf(claim.metadata));
    }
  }

  /** Looks for volumes whose claim is not known. @returns those that hold something, which are kept */
  async sweepOrphans(options: { onlyLook: boolean }): Promise<{ node: string; volume: HeldVolume }[]> {
    const { nodes, claimsByVolume } = this.#context;
    const kept: { node: string; volume: HeldVolume }[] = [];
    for (const view of nodes.all()) {
      if (!view.known) continue;
      const plan = planOrphans({
        volumes: [...view.volumes.values()],
        hasClaim: ({ volumeId }) => claimsByVolume.has(volumeId),
        hasUpload: ({ volumeId }) => view.live.get(volumeId)?.doing === 'received',
        before: this.#orphans.get(view.name) ?? new Set(),
        now: new Date(),
      });
      kept.push(...plan.keep.map((volume) => ({ node: view.name, volume })));
      if (options.onlyLook) continue;
      this.#orphans.set(view.name, plan.found);
      for (const volume of plan.remove) await this.#remove(view, volume);
    }
    return kept;
  }

  /** Whatever it holds. @throws Fault VolumeInUse where its claim is there after all, NodeLost, PoolMissing */
  async removeOrphan(node: string, { volumeId, owner }: HeldVolume): Promise<void> {
    const { store, logger } = this.#context;
    const claim = await store.get(resources.claims, { namespace: owner.namespace, name: owner.name });
    if (claim !== undefined && volumeOfClaim(claim) === volumeId) {
      throw new Fault('VolumeInUse', `${volumeId} belongs to the claim ${owner.namespace}/${owner.name}`);
    }
    await channelOf(this.#context, node).call('volume.delete', { volumeId });
    viewOf(this.#context, node).forget(volumeId);
    logger.warn({ node, volumeId, owner }, 'deleted a volume without a claim, as was asked');
  }

  /** Asks the store itself once more: what a watch has not told may be there all the same. */
  async #remove(view: NodeView, { volumeId, owner }: VolumeRecord): Promise<void> {
    const { channels, logger, store } = this.#context;
    if (this.#leaving.has(volumeId)) return;
    this.#leaving.add(volumeId);
    try {
      const claim = await store.get(resources.claims, { namespace: owner.namespace, name: owner.name });
      if (claim !== undefined && volumeOfClaim(claim) === volumeId) return;
      await channels.get(view.name)?.call('volume.delete', { volumeId });
      view.forget(volumeId);
      logger.warn({ node: view.name, volumeId, owner }, 'deleted an empty volume whose claim is gone');
    } catch (error) {
      logger.warn({ node: view.name, volumeId, err: toFault(error) }, 'volume without a claim not deleted');
    } finally {
      this.#leaving.delete(volumeId);
    }
  }
}

/** Bound, filled or nobody's to fill, and not being deleted. One that is to be filled has an attempt before it is bound. */
export function isQuiet(claim: Claim): boolean {
  if (claim.metadata.deletionTimestamp !== undefined || claim.status?.phase !== 'Bound') return false;
  return isFilled(claim) || claim.metadata.annotations?.[annotations.attempt] === undefined;
}
