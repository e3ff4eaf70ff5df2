// What the files of a volume take of its size. The kubelet asks every minute for every volume, and a pod may have made millions of files: a tree that took
// long to look at is not looked at again until fifty times as long has passed, so that looking costs 2 % of one processor at most.
import { stat, statfs } from 'node:fs/promises';
import type { VolumeId } from '../domain/volume-record.ts';
import { measureTree, type TreeMeasure } from '../volumes/pool-space.ts';
import type { HeldVolume } from '../volumes/pools.ts';

const restFactor = 50;

export interface VolumeUsage {
  unit: 'BYTES' | 'INODES';
  total: number;
  used: number;
  available: number;
}

interface Look {
  measure: TreeMeasure;
  /** performance.now() from which on a new look may be taken. */
  staleAt: number;
}

export class VolumeUsages {
  readonly #looks = new Map<VolumeId, Look>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  /** Bytes of the volume's own size, and files, of which the pool's file system has so many for all of its volumes. */
  async of({ pool, record }: HeldVolume, signal: AbortSignal): Promise<VolumeUsage[]> {
    if (record.mode === 'Block') return [await usageOfDevice(pool.diskPath(record.volumeId), record.sizeBytes)];
    const { allocatedBytes, entries } = await this.#measure(record.volumeId, pool.dataPath(record.volumeId), signal);
    const { bavail, bsize, ffree } = await statfs(pool.directory);
    const left = Math.max(0, record.sizeBytes - allocatedBytes);
    return [
      { unit: 'BYTES', total: record.sizeBytes, used: allocatedBytes, available: Math.min(left, bavail * bsize) },
      { unit: 'INODES', total: entries + ffree, used: entries, available: ffree },
    ];
  }

  forget(volumeId: VolumeId): void {
    this.#looks.delete(volumeId);
  }

  async #measure(volumeId: VolumeId, directory: string, signal: AbortSignal): Promise<TreeMeasure> {
    const began = this.#nowMs();
    const last = this.#looks.get(volumeId);
    if (last !== undefined && began < last.staleAt) return last.measure;
    const measure = await measureTree(directory, signal);
    const ended = this.#nowMs();
    this.#looks.set(volumeId, { measure, staleAt: ended + (ended - began) * restFactor });
    return measure;
  }
}

/** A device is as large as it is; what of its file was written takes room on the pool. */
async function usageOfDevice(path: string, total: number): Promise<VolumeUsage> {
  const used = Math.min(total, (await stat(path)).blocks * 512);
  return { unit: 'BYTES', total, used, available: total - used };
}
