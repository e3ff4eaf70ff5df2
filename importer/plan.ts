// Chooses how the bytes go, from what the probe found and what the target is. Pure: the same facts always give the same plan.
import { Fault } from '../domain/fault.ts';
import type { TransferReport, TransferStep } from '../domain/volume-record.ts';
import { type ImageProbe, isInOrder } from './image/probe-image.ts';
import { imageTooLarge } from './image/too-large.ts';
import type { FoundDisk } from './transfer.ts';

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
  /** stream: straight into the disk; nbd: qemu-img reads ranges of the source; staged: one pass into a scratch file, which qemu-img reads. */
  strategy: Extract<TransferReport['strategy'], 'stream' | 'nbd' | 'staged'>;
  /**
   * A staged image has a step `transfer` before `convert` where it has to be there as a whole first: some of its tables stand at its end, or its
   * inspector needs them all. A qcow2 has not: it is converted while it comes.
   */
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
  const { virtualSizeBytes, compressions } = probe;
  if (virtualSizeBytes !== undefined && virtualSizeBytes > target.sizeBytes) {
    throw imageTooLarge(virtualSizeBytes, target.sizeBytes);
  }
  const formatName = formatNameOf(probe);
  if (isInOrder(probe)) {
    const steps = ['probe', 'plan', 'transfer', 'verify', 'resize'] as const;
    return { strategy: 'stream', steps, scratchBytes: 0, peakBytes: target.sizeBytes, formatName };
  }
  const steps = ['probe', 'plan', 'convert', 'verify', 'resize'] as const;
  if (compressions.length === 0 && source.provenRanges && !target.checksumAsked) {
    return { strategy: 'nbd', steps, scratchBytes: 0, peakBytes: target.sizeBytes, formatName };
  }
  const scratchBytes = scratchOf(probe, source, target);
  const peakBytes = target.sizeBytes + scratchBytes;
  const wholeFirst = ['probe', 'plan', 'transfer', 'convert', 'verify', 'resize'] as const;
  return {
    strategy: 'staged',
    steps: isConvertedWhileItComes(probe) ? steps : wholeFirst,
    scratchBytes,
    peakBytes,
    formatName,
  };
}

/** Of a qcow2 the beginning names all other files that there could be, and the NBD view checks its clusters. */
function isConvertedWhileItComes({ format }: ImageProbe): boolean {
  return format === 'qcow2';
}

/** Such as raw, qcow2 or raw.gz. */
export function formatNameOf({ format, compressions }: Pick<ImageProbe, 'format' | 'compressions'>): string {
  return [format, ...compressions.toReversed()].join('.');
}

/** What a report tells of the image, now that all of its bytes have come. */
export function reportOfFound(
  { compressions }: ImageProbe,
  { format, warnings }: FoundDisk,
): Pick<TransferReport, 'format' | 'warnings'> {
  return { format: formatNameOf({ format, compressions }), ...(warnings.length === 0 ? {} : { warnings }) };
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
