// What each node's worker has told: its volumes and what runs there now. Built anew from `inventory` after each connect; kept up to date by answers,
// results and progress. Memory only: the pools themselves are the truth.

import { type Fault, faultFromRecord } from '../../domain/fault.ts';
import { isVolumeId, type VolumeId, type VolumeRecord } from '../../domain/volume-record.ts';
import type { Inventory, Outcome, PoolState, Progress } from '../../jobs/channel-protocol.ts';

/** What an attempt does in its worker now. */
export interface LiveAttempt {
  attempt: number;
  /** running: moves bytes; waiting: an upload's slot is open; received: an upload's bytes are durable, to be converted. */
  doing: 'running' | 'waiting' | 'received';
  progress?: Progress;
}

/** A volume and the name of the pool that holds it. */
export type HeldVolume = VolumeRecord & { pool: string };

/** One pool of a node, as its worker told it. */
export interface NodePool {
  readonly name: string;
  readonly directory: string;
  /** What can still be promised. */
  readonly leftBytes: number;
  readonly largestVolumeBytes: number;
  /** Why no volume can be made in it now. */
  readonly fault: Fault | undefined;
}

/** One worker's node, as a round of reconciling sees it. */
export interface NodeState {
  readonly name: string;
  readonly connected: boolean;
  /** False until the inventory of this connection has come. */
  readonly known: boolean;
  /** The worker has had the time to tell results that it could not deliver before; what it does not run now is not going on. */
  readonly settled: boolean;
  readonly pools: readonly NodePool[];
  /** Of a worker that is away: milliseconds until its node counts as lost; 0: it does. Undefined while it is connected. */
  readonly lostInMs?: number | undefined;
}

export class NodeView {
  readonly name: string;
  readonly volumes = new Map<VolumeId, HeldVolume>();
  /** Volumes that are there, but whose records cannot be read. */
  readonly unreadable = new Map<string, Fault>();
  readonly live = new Map<VolumeId, LiveAttempt>();
  known = false;
  settled = false;
  /** As told last, what was reserved and given back since then counted. */
  pools: readonly PoolState[] = [];
  readonly #lostAfterMs: number;
  /** Undefined while it is connected. */
  #awaySince: number | undefined = performance.now();

  constructor(name: string, lostAfterMs: number) {
    this.name = name;
    this.#lostAfterMs = lostAfterMs;
  }

  get connected(): boolean {
    return this.#awaySince === undefined;
  }

  /** Nothing is known of it until its inventory has come. */
  enter(): void {
    this.#awaySince = undefined;
    this.known = this.settled = false;
  }

  leave(): void {
    this.#awaySince ??= performance.now();
    this.known = this.settled = false;
  }

  get state(): NodeState {
    const { name, connected, known, settled } = this;
    return {
      name,
      connected,
      known,
      settled,
      pools: this.pools.map(nodePoolOf),
      lostInMs: this.#awaySince === undefined ? undefined : timeLeft(this.#awaySince, this.#lostAfterMs),
    };
  }

  takeInventory(inventory: Inventory): void {
    this.volumes.clear();
    this.unreadable.clear();
    this.live.clear();
    for (const volume of inventory.volumes) {
      const id = volume.volumeId;
      if (isVolumeId(id)) this.volumes.set(id, { ...volume, volumeId: id });
    }
    for (const { volumeId, fault } of inventory.unreadable ?? []) {
      this.unreadable.set(volumeId, faultFromRecord(fault));
    }
    this.#takeAttempts(inventory.waiting, 'waiting');
    this.#takeAttempts(inventory.received, 'received');
    this.#takeAttempts(inventory.running, 'running');
    // They have ended, but how is told by a message that comes next: until then nothing is to be begun or given up.
    this.#takeAttempts(inventory.undelivered ?? [], 'running');
    this.pools = inventory.pools;
    this.known = true;
  }

  /** The volume was made or changed there by others. */
  take(volume: HeldVolume): void {
    this.noteReserved(volume.pool, volume.sizeBytes - (this.volumes.get(volume.volumeId)?.sizeBytes ?? 0));
    this.volumes.set(volume.volumeId, volume);
  }

  /** The volume was deleted there. */
  forget(id: VolumeId): void {
    const volume = this.volumes.get(id);
    if (volume !== undefined) this.noteReserved(volume.pool, -volume.sizeBytes);
    this.volumes.delete(id);
    this.live.delete(id);
  }

  /** Until the worker tells of its pools anew. @param bytes negative: given back */
  noteReserved(pool: string, bytes: number): void {
    if (bytes === 0) return;
    this.pools = this.pools.map((state) => {
      if (state.name !== pool || state.usage === undefined) return state;
      const { leftBytes, reservedBytes } = state.usage;
      const usage = { ...state.usage, leftBytes: leftBytes - bytes, reservedBytes: reservedBytes + bytes };
      return { ...state, usage };
    });
  }

  #takeAttempts(attempts: readonly { volumeId: string; attempt: number }[], doing: LiveAttempt['doing']): void {
    for (const { volumeId, attempt } of attempts) {
      if (isVolumeId(volumeId)) this.live.set(volumeId, { attempt, doing });
    }
  }
}

function nodePoolOf({ name, directory, usage, fault }: PoolState): NodePool {
  return {
    ...{ name, directory },
    leftBytes: Math.max(0, usage?.leftBytes ?? 0),
    largestVolumeBytes: usage?.largestVolumeBytes ?? 0,
    fault: fault === undefined ? undefined : faultFromRecord(fault),
  };
}

function timeLeft(sinceMs: number, limitMs: number): number {
  return Math.ceil(Math.max(0, sinceMs + limitMs - performance.now()));
}

/** The nodes whose workers have connected. What a claim says makes none. */
export class NodeViews {
  readonly #views = new Map<string, NodeView>();
  readonly #lostAfterMs: number;
  readonly #begunAt = performance.now();

  /** @param lostAfterMs after which a worker that is away takes its node with it */
  constructor(lostAfterMs: number) {
    this.#lostAfterMs = lostAfterMs;
  }

  /** The node of a worker that connects. */
  enter(name: string): NodeView {
    const known = this.#views.get(name);
    if (known !== undefined) return known;
    const made = new NodeView(name, this.#lostAfterMs);
    this.#views.set(name, made);
    return made;
  }

  find(name: string): NodeView | undefined {
    return this.#views.get(name);
  }

  /** How a node is that a claim names: also one of which no worker has ever connected here. */
  stateOf(name: string): NodeState {
    const known = this.#views.get(name)?.state;
    if (known !== undefined) return known;
    const lostInMs = timeLeft(this.#begunAt, this.#lostAfterMs);
    return { name, connected: false, known: false, settled: false, pools: [], lostInMs };
  }

  all(): IterableIterator<NodeView> {
    return this.#views.values();
  }

  /** The node that holds the volume, as far as it is known. */
  holderOf(id: VolumeId): NodeView | undefined {
    for (const view of this.#views.values()) if (view.volumes.has(id)) return view;
    return undefined;
  }

  /** The nodes that a new volume may go to. */
  usable(): NodeState[] {
    return [...this.#views.values()].filter((view) => view.connected && view.known).map(({ state }) => state);
  }
}

/** A result that the worker has told and that is not yet in the store. */
export interface PendingOutcome {
  attempt: number;
  outcome: Outcome;
  /** An upload that failed in a slot that waits for the next one: the attempt goes on. */
  slotStays?: boolean;
  /** Size of the source, where progress told it. */
  sourceBytes?: number;
}
