// What only the last sector of content tells that came as a raw disk: that it is a fixed VHD, whose footer is no part of the disk, or a DMG. Pure.
import { Fault } from '../../domain/fault.ts';
import { isVhdFooter, parseVhdFooter, vhdFooterBytes } from './vhd-image.ts';

export interface DiskEnd {
  format: 'raw' | 'vpc';
  /** Length of the disk. */
  diskBytes: number;
}

/**
 * @param last the last 512 bytes
 * @param contentBytes length of all of it
 * @throws Fault CorruptImage, HostileImage, UnsupportedFormat
 */
export function diskEndOf(last: Buffer, contentBytes: number): DiskEnd {
  if (last.toString('latin1', 0, 4) === 'koly' && last.readUInt32BE(8) === last.byteLength) {
    throw new Fault('UnsupportedFormat', 'it is dmg', { facts: { format: 'dmg' } });
  }
  if (!isVhdFooter(last)) return { format: 'raw', diskBytes: contentBytes };
  const { kind, virtualSizeBytes } = parseVhdFooter(last);
  if (kind === 'dynamic') throw new Fault('CorruptImage', 'vhd: it ends as a dynamic one, and does not begin so');
  const diskBytes = contentBytes - vhdFooterBytes;
  if (virtualSizeBytes !== diskBytes) {
    throw new Fault('CorruptImage', `vhd: its footer tells ${virtualSizeBytes} bytes, and there are ${diskBytes}`);
  }
  return { format: 'vpc', diskBytes };
}
