// Own strict reader of a VMDK that is one file (VMware "Virtual Disk Format 5.0"): monolithicSparse, and streamOptimized, whose grains are packed
// and which may keep its tables at the end. Refuses every image that keeps data in other files. Pure but for `readAt`.

import {
  type ImageFile,
  type InspectedImage,
  isPowerOfTwo,
  judgeOf,
  largestVirtualBytes,
  readWhole,
  type ShownFile,
  sectorBytes,
} from './inspection.ts';
import { checkVmdkDescriptor, vmdkDescriptorEnd } from './vmdk-descriptor.ts';
import { checkGrainTables, type GrainLayout } from './vmdk-tables.ts';

export interface VmdkHeader extends GrainLayout {
  /** Of the grain directory: undefined where only the footer at the end of the file tells. */
  directoryOffset: number | undefined;
  /** Of the directory's copy; 0: there is none. */
  copyOffset: number;
  /** Where grains may begin. */
  overheadBytes: number;
}

const { hostile, corrupt, unsupported, safe } = judgeOf('vmdk');

const flags = { newlines: 1, copy: 2, compressed: 0x10000, markers: 0x20000 };
const knownFlags = 0x30007;
const atEnd = 0xffffffffffffffffn;
const newlines = Buffer.from('\n \r\n', 'latin1');
const largestGrainBytes = 1_048_576;
const mostEntriesPerTable = 512;
const largestDirectoryBytes = 32 * 1024 * 1024;
/** At the end: marker, footer, end of stream; a sector each. */
const trailerBytes = 3 * sectorBytes;
const footerMarker = 3;
const mostOffset = 2 ** 52;
/** qemu-img looks for a descriptor in as much of the beginning, whatever the length of the file. */
const descriptorLookBytes = 1_048_576;

/**
 * @param head the first 64 KiB, or all where there is less; of a file whose length nobody knows yet it may be too short for the description
 * @param fileBytes length of the image, where it is known
 * @throws Fault HostileImage (other files, absurd numbers), UnsupportedFormat (version, compression), CorruptImage
 */
export function parseVmdkHeader(head: Buffer, fileBytes: number | undefined): VmdkHeader {
  const header = parseHeaderSector(head);
  // The descriptor stands where qemu-img looks for it, which is not where the header says.
  const descriptorSector = safe(head.readBigUInt64LE(28), mostOffset, 'place of the descriptor');
  if (descriptorSector === 0) throw hostile('it is one part of an image that has other files');
  if (descriptorSector !== 1) throw hostile(`a descriptor in sector ${descriptorSector}`);
  if (head.byteLength >= vmdkDescriptorEnd) checkVmdkDescriptor(head);
  else if (fileBytes !== undefined) throw corrupt('its description is cut');
  return header;
}

function parseHeaderSector(head: Buffer): VmdkHeader {
  if (head.byteLength < sectorBytes) throw corrupt('the header is cut');
  const version = head.readUInt32LE(4);
  if (version < 1 || version > 3) throw unsupported(`version ${version}`);
  const set = head.readUInt32LE(8);
  if ((set & ~knownFlags) !== 0) throw hostile(`unknown features 0x${set.toString(16)}`);
  if ((set & flags.newlines) !== 0 && !head.subarray(73, 77).equals(newlines)) {
    throw corrupt('it was transferred as text, which changed its bytes');
  }
  const sectors = safe(head.readBigUInt64LE(12), largestVirtualBytes / sectorBytes, 'virtual size in sectors');
  if (sectors === 0) throw hostile('it has no content of its own');
  const grainSectors = safe(head.readBigUInt64LE(20), mostOffset, 'sectors of a grain');
  const grainBytes = grainSectors * sectorBytes;
  if (grainBytes < sectorBytes || grainBytes > largestGrainBytes || !isPowerOfTwo(grainBytes)) {
    throw hostile(`grains of ${grainBytes} bytes`);
  }
  const entriesPerTable = head.readUInt32LE(44);
  if (entriesPerTable < 1 || entriesPerTable > mostEntriesPerTable)
    throw hostile(`${entriesPerTable} grains in a table`);
  const directory = head.readBigUInt64LE(56);
  return {
    virtualSizeBytes: sectors * sectorBytes,
    grainBytes,
    entriesPerTable,
    directoryOffset: directory === atEnd ? undefined : offsetOf(directory, 'grain directory'),
    copyOffset: (set & flags.copy) === 0 ? 0 : offsetOf(head.readBigUInt64LE(48), 'copy of the grain directory'),
    overheadBytes: offsetOf(head.readBigUInt64LE(64), 'first grain'),
    compressed: isCompressed(head.readUInt16LE(77), set),
  };
}

function isCompressed(algorithm: number, set: number): boolean {
  if (algorithm > 1) throw unsupported(`compression ${algorithm}`);
  const flagged = (set & flags.compressed) !== 0;
  if ((algorithm === 1) !== flagged) throw corrupt('its header says both that grains are packed and that they are not');
  if (flagged && (set & flags.markers) === 0) throw unsupported('packed grains without markers');
  return flagged;
}

function offsetOf(sector: bigint, name: string): number {
  return safe(sector, mostOffset / sectorBytes, `sector of the ${name}`) * sectorBytes;
}

/** @throws Fault as above, CorruptImage naming what lies beyond the end */
export async function inspectVmdk(file: ImageFile): Promise<InspectedImage> {
  const header = parseVmdkHeader(await file.readAt(0, 65_536), file.fileBytes);
  const footer = header.directoryOffset === undefined ? await readFooter(file, header) : undefined;
  const { directoryOffset = 0, copyOffset, ...rest } = footer?.header ?? header;
  const { virtualSizeBytes, grainBytes, entriesPerTable, overheadBytes, compressed } = rest;
  if (overheadBytes > file.fileBytes) throw beyond('the first grain', overheadBytes, file.fileBytes);
  const directoryBytes = Math.ceil(virtualSizeBytes / (grainBytes * entriesPerTable)) * 4;
  if (directoryBytes > largestDirectoryBytes) throw hostile(`a grain directory of ${directoryBytes} bytes`);
  if (directoryOffset < sectorBytes) throw corrupt('there is no grain directory');
  if (copyOffset + directoryBytes > file.fileBytes) {
    throw beyond('the copy of the grain directory', copyOffset + directoryBytes, file.fileBytes);
  }
  const directory = await readWhole(file, directoryOffset, directoryBytes, 'vmdk: the grain directory');
  await checkGrainTables(directory, rest, file);
  return { virtualSizeBytes, shown: shownFile(footer?.sector, grainBytes, compressed) };
}

/** The footer is the header again, now with the place of the grain directory. */
async function readFooter(file: ImageFile, header: VmdkHeader): Promise<{ sector: Buffer; header: VmdkHeader }> {
  const trailer = await readWhole(file, Math.max(0, file.fileBytes - trailerBytes), trailerBytes, 'vmdk: the footer');
  const [marker, sector, end] = [0, 1, 2].map((index) =>
    trailer.subarray(index * sectorBytes, (index + 1) * sectorBytes),
  );
  if (marker === undefined || sector === undefined || end === undefined) throw corrupt('there is no footer');
  const isMarked = marker.readUInt32LE(8) === 0 && marker.readUInt32LE(12) === footerMarker;
  const isEnd = end.readUInt32LE(8) === 0 && end.readUInt32LE(12) === 0;
  if (!isMarked || !isEnd || sector.toString('latin1', 0, 4) !== 'KDMV') throw corrupt('there is no footer at its end');
  const footer = parseHeaderSector(sector);
  if (footer.directoryOffset === undefined) throw corrupt('the footer does not tell where the grain directory is');
  for (const name of ['virtualSizeBytes', 'grainBytes', 'entriesPerTable', 'compressed'] as const) {
    if (footer[name] !== header[name]) throw hostile('its footer differs from its header');
  }
  return { sector: Buffer.from(sector), header: footer };
}

/** qemu-img reads two grains for a packed one, since it does not know how long that is. */
function shownFile(firstSector: Buffer | undefined, grainBytes: number, compressed: boolean): ShownFile {
  return {
    ...(firstSector === undefined ? {} : { firstSector }),
    mayPassEnd: (offset, length) =>
      (offset === 0 && length <= descriptorLookBytes) || (compressed && length === 2 * grainBytes),
  };
}

function beyond(what: string, end: number, fileBytes: number): Error {
  return corrupt(`${what} ends at byte ${end}, the file at byte ${fileBytes}`);
}
