// Chooses how the bytes go, from what the probe found and what the target is. Pure: the same facts always give the same plan.
import { Fault } from '../domain/fault.ts';
import type { TransferReport, TransferStep } from '../domain/volume-record.ts';
import type { ImageProbe } from './image/probe-image.ts';
import { imageTooLarge } from './image/too-large.ts';

/** How the bytes can come. */
export interface SourceAbilities {
  totalBytes: number | undefined;
  /** Any part can be asked for, and it can be proved that all parts are of the same content. */
  provenRanges: boolean;
}

export interface PlanTarget {
  sizeBytes: number;
  /** A checksum of the whole source was asked, so all of it has to pass in order. */
  checksumAsked: boolean;
}

export interface ImportPlan {
  /** stream: straight into the disk; nbd: qemu-img reads ranges of the source; staged: one pass into a scratch file, which qemu-img reads while it grows. */
  strategy: Extract<TransferReport['strategy'], 'stream' | 'nbd' | 'staged'>;
  steps: readonly TransferStep[];
  /** Most that the disk may take beside the volume itself. */
  scratchBytes: number;
  /** Most that lies on the pool at once, the volume included. */
  peakBytes: number;
  /** Such as raw, qcow2 or raw.gz. */
  formatName: string;
}

/** A file of known length may be this much larger than the volume: with tables, and data of snapshots. */
const mostScratchFactor = 2;
const scratchAllowanceBytes = 64 * 1024 * 1024;

/** @throws Fault ImageTooLarge with the numbers, before anything more is fetched */
export function planImport(probe: ImageProbe, source: SourceAbilities, target: PlanTarget): ImportPlan {
  const { virtualSizeBytes, compressions, format } = probe;
  if (virtualSizeBytes !== undefined && virtualSizeBytes > target.sizeBytes) {
    throw imageTooLarge(virtualSizeBytes, target.sizeBytes);
  }
  const formatName = formatNameOf(probe);
  if (format === 'raw') {
    const steps = ['probe', 'plan', 'transfer', 'verify', 'resize'] as const;
    return { strategy: 'stream', steps, scratchBytes: 0, peakBytes: target.sizeBytes, formatName };
  }
  const steps = ['probe', 'plan', 'convert', 'verify', 'resize'] as const;
  if (compressions.length === 0 && source.provenRanges && !target.checksumAsked) {
    return { strategy: 'nbd', steps, scratchBytes: 0, peakBytes: target.sizeBytes, formatName };
  }
  const scratchBytes = scratchOf(probe, source, target);
  return { strategy: 'staged', steps, scratchBytes, peakBytes: target.sizeBytes + scratchBytes, formatName };
}

/** Such as raw, qcow2 or raw.gz. */
export function formatNameOf({ format, compressions }: ImageProbe): string {
  return [format, ...compressions.toReversed()].join('.');
}

/** @throws Fault ImageTooLarge where the file itself is far larger than anything that fits into the volume could need */
function scratchOf(probe: ImageProbe, source: SourceAbilities, target: PlanTarget): number {
  const known = probe.compressions.length === 0 ? source.totalBytes : undefined;
  const most = target.sizeBytes * mostScratchFactor + scratchAllowanceBytes;
  if (known !== undefined && known > most) {
    throw new Fault(
      'ImageTooLarge',
      `the image file has ${known} bytes; a volume of ${target.sizeBytes} takes ${most}`,
    );
  }
  // Of unknown length: all of the guest's bytes, and tables of one in sixty-four, which is plenty.
  const virtualSizeBytes = probe.virtualSizeBytes ?? target.sizeBytes;
  return known ?? virtualSizeBytes + Math.ceil(virtualSizeBytes / 64) + scratchAllowanceBytes;
}
