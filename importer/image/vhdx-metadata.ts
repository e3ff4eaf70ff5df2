// The metadata of a VHDX (MS-VHDX 2.6): a table that names items by GUID, and the items themselves. Pure but for `readItem`.
import { judgeOf } from './inspection.ts';

export interface VhdxMetadata {
  virtualSizeBytes: number;
  blockBytes: number;
  logicalSectorBytes: number;
  hasParent: boolean;
}

const { hostile, corrupt, unsupported, safe } = judgeOf('vhdx');

const mostItems = 1023;
const smallestItemOffset = 65_536;
const required = 4;

/** Of a GUID its first three fields stand with their lowest byte first. */
const guids: Readonly<Record<string, { name: ItemName; bytes: number | undefined }>> = {
  '3767a1ca36fa434db3b633f0aa44e76b': { name: 'fileParameters', bytes: 8 },
  '2442a52f1bcd7648b2115dbed83bf4b8': { name: 'virtualSize', bytes: 8 },
  '1dbf41816fa90947ba47f233a8faab5f': { name: 'logicalSector', bytes: 4 },
  c748a3cd5d4471449cc9e9885251c556: { name: 'physicalSector', bytes: 4 },
  ab12cabee6b2234593efc309e000c746: { name: 'diskId', bytes: 16 },
  '2d5fd3a80bb34d45abf7d3d84834ab0c': { name: 'parentLocator', bytes: undefined },
};

type ItemName = 'fileParameters' | 'virtualSize' | 'logicalSector' | 'physicalSector' | 'diskId' | 'parentLocator';

/**
 * @param table the first 64 KiB of the region, or more
 * @param readItem reads a part of the region
 * @throws Fault CorruptImage, HostileImage (a parent, absurd numbers), UnsupportedFormat (an unknown item that is needed)
 */
export async function metadataOf(
  table: Buffer,
  readItem: (offset: number, length: number) => Buffer | Promise<Buffer>,
): Promise<VhdxMetadata> {
  const places = placesOf(table);
  const item = (name: ItemName): Buffer | Promise<Buffer> => {
    const place = places.get(name);
    if (place === undefined) throw corrupt(`the metadata have no ${name}`);
    return readItem(place.offset, place.length);
  };
  const parameters = await item('fileParameters');
  return {
    virtualSizeBytes: safe((await item('virtualSize')).readBigUInt64LE(0), Number.MAX_SAFE_INTEGER, 'virtual size'),
    blockBytes: parameters.readUInt32LE(0),
    logicalSectorBytes: (await item('logicalSector')).readUInt32LE(0),
    hasParent: (parameters.readUInt32LE(4) & 2) !== 0 || places.has('parentLocator'),
  };
}

function placesOf(table: Buffer): Map<ItemName, { offset: number; length: number }> {
  if (table.toString('latin1', 0, 8) !== 'metadata') throw corrupt('there are no metadata where the region table says');
  const count = table.readUInt16LE(10);
  if (count > mostItems) throw hostile(`${count} metadata items`);
  const places = new Map<ItemName, { offset: number; length: number }>();
  for (let index = 0; index < count; index += 1) {
    const entry = table.subarray(32 + index * 32, 64 + index * 32);
    const known = guids[entry.toString('hex', 0, 16)];
    if (known === undefined && (entry.readUInt32LE(24) & required) !== 0) {
      throw unsupported('a metadata item that is not known');
    }
    if (known === undefined) continue;
    const [offset, length] = [entry.readUInt32LE(16), entry.readUInt32LE(20)];
    if (places.has(known.name)) throw hostile(`two metadata items ${known.name}`);
    if (offset < smallestItemOffset || (known.bytes !== undefined && length !== known.bytes)) {
      throw corrupt(`the metadata item ${known.name} has ${length} bytes at byte ${offset}`);
    }
    places.set(known.name, { offset, length });
  }
  return places;
}
