// A volume grows while it is used: its room is promised first, then its file grows, then its record says so, then its device takes the length. A crash
// before the record leaves the volume as it was: the next open cuts the file of a Block volume back, of which nobody has seen more than its device had.
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { defaultSectorBytes, wholeSectors } from '../domain/block-device.ts';
import { Fault, toFault } from '../domain/fault.ts';
import { holdsFiles, isHandedOut, promisedBytes, type VolumeRecord } from '../domain/volume-record.ts';
import type { BlockVolumes } from './block-volumes.ts';
import { fileSystemBytesFor } from './bounded-size.ts';
import type { BoundedVolumes } from './bounded-volumes.ts';
import type { KeptImages } from './kept-images.ts';
import type { KeptRecords } from './kept-records.ts';
import { checkSize } from './new-volume.ts';
import type { PoolLayout } from './pool-layout.ts';
import type { PoolLedger } from './pool-ledger.ts';
import { allocate } from './preallocation.ts';

export type GrowthStep = 'promised' | 'grown' | 'growthRecorded';

export interface GrowthPlace {
  layout: PoolLayout;
  ledger: PoolLedger;
  images: Pick<KeptImages, 'makeRoom'>;
  records: KeptRecords;
  blocks: BlockVolumes;
  bounded: BoundedVolumes;
  largestVolumeBytes: number;
  at(step: GrowthStep): Promise<void>;
}

/**
 * The volume with the new size, or as it is where it is as large already: it never shrinks.
 * @throws Fault VolumeNotFilled (an attempt fills it for the size that it has), VolumeTooLarge, PoolFull, NoSpace, NeedsRoot; it keeps its size then.
 * NoLoopDevice: it is larger, and the device takes the length with the next try, or when the pool opens
 */
export async function growVolume(record: VolumeRecord, askedBytes: number, place: GrowthPlace): Promise<VolumeRecord> {
  const { volumeId, mode, sectorBytes = defaultSectorBytes, state } = record;
  if (mode === 'Block') place.blocks.assertPossible();
  const sizeBytes = mode === 'Block' ? wholeSectors(askedBytes, sectorBytes) : askedBytes;
  const isDevice = mode === 'Block' && isHandedOut(state);
  if (sizeBytes <= record.sizeBytes) {
    if (isDevice) await place.blocks.takeLength(record);
    return record;
  }
  if (state === 'populating') throw new Fault('VolumeNotFilled', `${volumeId} is filled first, and grows then`);
  checkSize({ volumeId, sizeBytes }, place.largestVolumeBytes);
  // A growth that failed may have left a longer file: then that stays promised.
  const { boundedBytes } = record;
  const bounds =
    boundedBytes === undefined ? {} : { boundedBytes: Math.max(boundedBytes, fileSystemBytesFor(sizeBytes)) };
  const promised = promisedBytes({ sizeBytes, ...bounds });
  await place.images.makeRoom(promised - promisedBytes(record));
  place.ledger.promise(volumeId, promised);
  try {
    const wider = bounds.boundedBytes === undefined ? record : await growBounds(record, bounds.boundedBytes, place);
    const grown = await growFile(wider, sizeBytes, place);
    if (isDevice) await place.blocks.takeLength(grown);
    return grown;
  } catch (error) {
    place.ledger.hold(volumeId, promisedBytes(place.records.need(volumeId)));
    throw error;
  }
}

/** What is promised is told first: a file system that is larger than that could take what is another's. What has not grown is not promised any more. */
async function growBounds(
  record: VolumeRecord,
  boundedBytes: number,
  { records, bounded }: GrowthPlace,
): Promise<VolumeRecord> {
  const wider = await records.write({ ...record, boundedBytes });
  try {
    await bounded.grow(wider.volumeId, boundedBytes);
  } catch (error) {
    await records.write({ ...record, boundedBytes: await bounded.fileBytes(record.volumeId) });
    throw error;
  }
  return wider;
}

async function growFile(record: VolumeRecord, sizeBytes: number, place: GrowthPlace): Promise<VolumeRecord> {
  await place.at('promised');
  await using file = await openOwnDisk(record, sizeBytes, place.layout);
  const before = await file?.stat();
  try {
    if (file !== undefined) await lengthen(file, sizeBytes);
    await place.at('grown');
    const grown = await place.records.write({ ...record, sizeBytes });
    await place.at('growthRecorded');
    return grown;
  } catch (error) {
    if (place.records.need(record.volumeId).sizeBytes < sizeBytes) await file?.truncate(before?.size);
    throw toFault(error);
  }
}

/** A disk that was allocated as a whole stays so: it is never longer than its blocks, for after a crash nobody could tell it from one that never was. */
async function lengthen(file: FileHandle, sizeBytes: number): Promise<void> {
  const { blocks, size } = await file.stat();
  if (size > 0 && blocks * 512 >= size) await allocate(`/proc/${process.pid}/fd/${file.fd}`, sizeBytes);
  else await file.truncate(sizeBytes);
  await file.sync();
}

/**
 * The disk that grows with the volume. Undefined where there is none: nobody fills the volume, it holds files, or a pod has put something of its own in the place of the
 * disk, or has cut it, or made it as long itself.
 */
async function openOwnDisk(
  record: VolumeRecord,
  sizeBytes: number,
  layout: PoolLayout,
): Promise<FileHandle | undefined> {
  const { state, mode, volumeId } = record;
  if (!isHandedOut(state) || (state === 'plain' && mode === 'Filesystem') || holdsFiles(record)) return undefined;
  const flags = constants.O_RDWR | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const file = await open(layout.disk(volumeId, mode), flags).catch((error: unknown) => {
    if (mode === 'Filesystem' && error instanceof Error && 'code' in error && isOther(error.code)) return undefined;
    throw toFault(error);
  });
  if (file === undefined || mode === 'Block') return file;
  const found = await file.stat();
  if (found.isFile() && found.size >= record.sizeBytes && found.size < sizeBytes) return file;
  await file.close();
  return undefined;
}

function isOther(code: unknown): boolean {
  return ['ENOENT', 'ELOOP', 'EISDIR', 'ENXIO', 'ENODEV', 'ENOTDIR'].includes(String(code));
}
