// What each volume of the node takes: the size that was promised to it, and what its files have allocated. Measured with the pools, and gone with the volume.
// A user may have made millions of files: what took long to look at rests fifty times as long.
import { Fault, toFault } from '../domain/fault.ts';
import { isHandedOut, type VolumeId } from '../domain/volume-record.ts';
import { metrics } from '../runtime/metrics.ts';
import { allocatedBelow } from '../volumes/pool-space.ts';
import type { HeldVolume, Pools } from '../volumes/pools.ts';

const measuredAtOnce = 16;
const restFactor = 50;
const kinds = ['reserved', 'allocated'] as const;

interface VolumeLabels {
  pool: string;
  namespace: string;
  claim: string;
}

export class VolumeMetrics {
  #told = new Map<VolumeId, VolumeLabels>();
  /** performance.now() from which on one may be looked at again. */
  readonly #restingUntil = new Map<VolumeId, number>();

  async measure(pools: Pools): Promise<void> {
    const held = pools.list();
    const told = new Map(held.map((volume) => [volume.record.volumeId, labelsOf(volume)]));
    for (const [id, labels] of this.#told) if (!told.has(id)) this.#forget(id, labels);
    this.#told = told;
    for (let first = 0; first < held.length; first += measuredAtOnce) {
      await Promise.all(held.slice(first, first + measuredAtOnce).map((volume) => this.#measureOne(volume)));
    }
  }

  async #measureOne(volume: HeldVolume): Promise<void> {
    const { pool, record } = volume;
    const { volumeId, sizeBytes, state } = record;
    const labels = labelsOf(volume);
    metrics.set('longshore_volume_bytes', { ...labels, kind: 'reserved' }, sizeBytes);
    const began = performance.now();
    if (began < (this.#restingUntil.get(volumeId) ?? 0)) return;
    try {
      const bytes = isHandedOut(state) ? await allocatedBelow(pool.contentPath(volumeId)) : 0;
      metrics.set('longshore_volume_bytes', { ...labels, kind: 'allocated' }, bytes);
    } catch (error) {
      // It was deleted meanwhile.
      if (pool.get(volumeId) === undefined) return this.#forget(volumeId, labels);
      throw new Fault(toFault(error).code, `${volumeId} could not be measured`, { cause: error });
    }
    const ended = performance.now();
    this.#restingUntil.set(volumeId, ended + (ended - began) * restFactor);
  }

  #forget(volumeId: VolumeId, labels: VolumeLabels): void {
    this.#told.delete(volumeId);
    this.#restingUntil.delete(volumeId);
    forget(labels);
  }
}

function forget(labels: VolumeLabels): void {
  for (const kind of kinds) metrics.remove('longshore_volume_bytes', { ...labels, kind });
}

function labelsOf({ pool, record }: HeldVolume): VolumeLabels {
  return { pool: pool.name, namespace: record.owner.namespace, claim: record.owner.name };
}
