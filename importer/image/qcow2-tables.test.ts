// How much the look through the tables of an image may read, whatever its header and its L1 table say.
import { describe, expect, test } from 'vitest';
import type { ReadAt } from './inspection.ts';
import type { Qcow2Header } from './qcow2-header.ts';
import { checkQcow2Tables } from './qcow2-tables.ts';

const mib = 1_048_576;
const gib = 1024 * mib;
const l1Offset = 2 * mib;

function headerOf(virtualSizeBytes: number, clusterBits: number): Qcow2Header {
  return {
    version: 3,
    virtualSizeBytes,
    clusterBits,
    l1Entries: 0,
    l1Offset,
    refcountTableOffset: 0,
    refcountTableClusters: 1,
    snapshots: 0,
    snapshotsOffset: 0,
    extendedL2: false,
    compression: 'zlib',
    headerBytes: 104,
  };
}

/** An image whose L1 entries name these tables; all tables are empty. Counts what is read beside the L1 table. */
function imageOf(l1Bytes: number, tableOffset: (index: number) => number) {
  const l1 = Buffer.alloc(l1Bytes);
  for (let at = 0; at < l1Bytes; at += 8) l1.writeBigUInt64BE(BigInt(tableOffset(at / 8)), at);
  const read: number[] = [];
  const readAt: ReadAt = async (offset, length) => {
    if (offset === l1Offset) return l1.subarray(0, length);
    read.push(offset);
    return Buffer.alloc(length);
  };
  return { read, readAt };
}

describe('the look through the tables of a qcow2', () => {
  test('reads no L2 table where the L1 table alone is as much as may be read', async () => {
    const { read, readAt } = imageOf(4 * mib, (index) => 8 * mib + index * 512);
    await checkQcow2Tables(headerOf(16 * gib, 9), 64 * gib, readAt);
    expect(read).toEqual([]);
  });

  test('reads the last tables where not all may be read', async () => {
    const { read, readAt } = imageOf(4 * mib - 1024, (index) => 8 * mib + index * 512);
    await checkQcow2Tables(headerOf(16 * gib - 4 * mib, 9), 64 * gib, readAt);
    expect(read).toEqual([8 * mib + 524_158 * 512, 8 * mib + 524_159 * 512]);
  });

  test('reads a table once that all entries name', async () => {
    const { read, readAt } = imageOf(8192, () => 8 * mib);
    await checkQcow2Tables(headerOf(2 * gib, 12), 64 * gib, readAt);
    expect(read).toEqual([8 * mib]);
  });
});
