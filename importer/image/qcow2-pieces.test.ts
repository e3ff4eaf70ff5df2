// What an L2 table says, entry by entry, and how its compressed clusters are put together.
import { describe, expect, test } from 'vitest';
import type { Qcow2Header } from './qcow2-header.ts';
import { lookForPacked, planPieces } from './qcow2-pieces.ts';

const cluster = 65_536;
const mib = 1_048_576;

function headerOf(more: Partial<Qcow2Header> = {}): Qcow2Header {
  return {
    version: 3,
    virtualSizeBytes: 1024 * mib,
    clusterBits: 16,
    l1Entries: 2,
    l1Offset: 3 * cluster,
    refcountTableOffset: cluster,
    refcountTableClusters: 1,
    snapshots: 0,
    snapshotsOffset: 0,
    extendedL2: false,
    compression: 'zlib',
    headerBytes: 112,
    ...more,
  };
}

/** @param sectors beside the first */
const packed = (offset: number, sectors: number, clusterBits = 16): bigint =>
  (1n << 62n) | (BigInt(sectors) << BigInt(62 - (clusterBits - 8))) | BigInt(offset);
const plain = (offset: number): bigint => (1n << 63n) | BigInt(offset);

function piecesOf(entries: bigint[], header = headerOf(), fileBytes = 64 * mib, guestOffset = 0) {
  const table = Buffer.alloc(2 ** header.clusterBits);
  for (const [index, entry] of entries.entries()) table.writeBigUInt64BE(entry, index * 8);
  return [...planPieces(table, { guestOffset, header, fileBytes })];
}

describe('the pieces of an L2 table', () => {
  test('are stretches of plain clusters; zeros and what is not allocated are left out', () => {
    const entries = [plain(mib), plain(mib + cluster), 0n, 1n, plain(2 * mib) | 1n, plain(3 * mib), plain(5 * mib)];
    expect(piecesOf(entries)).toEqual([
      { start: 0, length: 2 * cluster, offset: mib, bytes: 2 * cluster },
      { start: 5 * cluster, length: cluster, offset: 3 * mib, bytes: cluster },
      { start: 6 * cluster, length: cluster, offset: 5 * mib, bytes: cluster },
    ]);
  });

  test('are groups of compressed clusters that lie near each other, whatever their order', () => {
    const [first, second, third] = [mib + 1000, mib + 20, mib + 2500];
    expect(piecesOf([packed(first, 2), packed(second, 1), packed(third, 0)])).toEqual([
      {
        start: 0,
        length: 3 * cluster,
        offset: mib + 20,
        bytes: 2540,
        // To the end of its last sector each, which is where the next one may begin.
        packed: [
          { at: 980, bytes: 3 * 512 - 488 },
          { at: 0, bytes: 2 * 512 - 20 },
          { at: 2480, bytes: 512 - 452 },
        ],
      },
    ]);
  });

  test('are apart where clusters lie apart, or where zeros or a plain cluster lie between', () => {
    const far = piecesOf([packed(mib, 9), packed(mib + 400_000, 9)]);
    expect(far.map(({ offset }) => offset)).toEqual([mib, mib + 400_000]);
    const between = piecesOf([packed(mib, 9), 0n, packed(mib + 5120, 9), plain(2 * mib), packed(mib + 10_240, 9)]);
    expect(between.map(({ start }) => start / cluster)).toEqual([0, 2, 3, 4]);
  });

  test('have no more than 1 MiB of the file and 4 MiB of the disk', () => {
    const large = piecesOf(Array.from({ length: 100 }, (_, index) => packed(mib + index * 51_200, 99)));
    expect(Math.max(...large.map(({ bytes }) => bytes))).toBeLessThanOrEqual(mib);
    const small = piecesOf(Array.from({ length: 200 }, (_, index) => packed(mib + index * 512, 0)));
    expect(small.map(({ length }) => length / mib)).toEqual([4, 4, 4, 0.5]);
    const plainOnes = piecesOf(Array.from({ length: 40 }, (_, index) => plain(mib + index * cluster)));
    expect(plainOnes.map(({ bytes }) => bytes / mib)).toEqual([1, 1, 0.5]);
  });

  test('end with the disk, in which the last cluster may be cut', () => {
    const header = headerOf({ virtualSizeBytes: 600 * mib + 1024 });
    const [plainOne, ...none] = piecesOf([plain(mib), plain(2 * mib)], header, 64 * mib, 600 * mib);
    expect(none).toEqual([]);
    expect(plainOne).toEqual({ start: 600 * mib, length: 1024, offset: mib, bytes: 1024 });
    expect(piecesOf([packed(mib, 3)], header, 64 * mib, 600 * mib)).toMatchObject([{ length: 1024, bytes: 2048 }]);
  });

  test.each([9, 12, 21])('know how long the offset is in clusters of 2^%d bytes', (clusterBits) => {
    const most = 2 ** (clusterBits - 8) - 1;
    const [piece] = piecesOf([packed(2 ** 44 + 513, most, clusterBits)], headerOf({ clusterBits }), 2 ** 45);
    expect(piece).toMatchObject({ offset: 2 ** 44 + 513, bytes: (most + 1) * 512 - 1 });
  });

  test.each<[string, bigint, Partial<Qcow2Header>]>([
    ['a plain cluster that ends beyond the file', plain(63 * mib + cluster * 16), {}],
    ['a compressed cluster that begins beyond the file', packed(64 * mib, 0), {}],
    ['a cluster that is not aligned', plain(mib + 512), {}],
    ['a cluster of zeros in version 2', 1n, { version: 2 }],
  ])('%s is CorruptImage', (_name, entry, header) => {
    expect(() => piecesOf([entry], headerOf(header))).toThrow(expect.objectContaining({ code: 'CorruptImage' }));
  });
});

test('a look at a table tells its compressed clusters and counts those with data', () => {
  const table = Buffer.alloc(cluster);
  for (const [index, entry] of [plain(mib), 0n, 1n, plain(2 * mib)].entries()) table.writeBigUInt64BE(entry, index * 8);
  expect(lookForPacked(table)).toEqual({ hasPacked: false, dataClusters: 2 });
  table.writeBigUInt64BE(packed(mib, 0), cluster - 8);
  expect(lookForPacked(table)).toEqual({ hasPacked: true, dataClusters: 3 });
});
