// How a volume is cloned within one pool, decided from facts alone. Sharing blocks comes first; each reason against it is told.
import { Fault } from '../domain/fault.ts';

export interface CloneFacts {
  /** Length of the source's disk. */
  sourceBytes: number;
  /** What the guest is to see of the clone. */
  targetBytes: number;
  /** All blocks of the clone are to be its own, allocated beforehand. */
  preallocation: boolean;
}

export interface ClonePlan {
  /** `auto`: shared blocks where the file system can, else a copy that keeps the holes. */
  reflink: 'auto' | 'never';
  reason: string;
  /** The clone is larger than its source: zeros follow. */
  grows: boolean;
}

/** @throws Fault ImageTooLarge where the clone would be cut */
export function planClone({ sourceBytes, targetBytes, preallocation }: CloneFacts): ClonePlan {
  if (sourceBytes > targetBytes) {
    throw new Fault('ImageTooLarge', `the source has ${sourceBytes} bytes and the clone ${targetBytes}`, {
      facts: { imageBytes: sourceBytes, volumeBytes: targetBytes },
    });
  }
  const grows = targetBytes > sourceBytes;
  return preallocation
    ? { reflink: 'never', reason: 'preallocation asks for blocks of its own', grows }
    : { reflink: 'auto', reason: 'blocks are shared where the file system can', grows };
}
