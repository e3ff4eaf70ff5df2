// What each volume of the node takes: the size that was promised to it, and what its files have allocated. Measured with the pools, and gone with the volume.
import { Fault, toFault } from '../domain/fault.ts';
import { isHandedOut, type VolumeId } from '../domain/volume-record.ts';
import { metrics } from '../runtime/metrics.ts';
import { allocatedBelow } from '../volumes/pool-space.ts';
import type { HeldVolume, Pools } from '../volumes/pools.ts';

const measuredAtOnce = 16;
const kinds = ['reserved', 'allocated'] as const;

interface VolumeLabels {
  pool: string;
  namespace: string;
  claim: string;
}

export class VolumeMetrics {
  #told = new Map<VolumeId, VolumeLabels>();

  async measure(pools: Pools): Promise<void> {
    const held = pools.list();
    const told = new Map(held.map((volume) => [volume.record.volumeId, labelsOf(volume)]));
    for (const [id, labels] of this.#told) if (!told.has(id)) forget(labels);
    this.#told = told;
    for (let first = 0; first < held.length; first += measuredAtOnce) {
      await Promise.all(held.slice(first, first + measuredAtOnce).map(measureOne));
    }
  }
}

async function measureOne(volume: HeldVolume): Promise<void> {
  const { pool, record } = volume;
  const labels = labelsOf(volume);
  metrics.set('longshore_volume_bytes', { ...labels, kind: 'reserved' }, record.sizeBytes);
  const path = isHandedOut(record.state) ? pool.contentPath(record.volumeId) : undefined;
  try {
    const bytes = path === undefined ? 0 : await allocatedBelow(path);
    metrics.set('longshore_volume_bytes', { ...labels, kind: 'allocated' }, bytes);
  } catch (error) {
    throw new Fault(toFault(error).code, `${record.volumeId} could not be measured`, { cause: error });
  }
}

function forget(labels: VolumeLabels): void {
  for (const kind of kinds) metrics.remove('longshore_volume_bytes', { ...labels, kind });
}

function labelsOf({ pool, record }: HeldVolume): VolumeLabels {
  return { pool: pool.name, namespace: record.owner.namespace, claim: record.owner.name };
}
