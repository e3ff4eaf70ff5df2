// Qcow2 images with compressed clusters, made in code: laid out as no qemu-img would, or with one cluster that is wrong. Version 3, without refcounts, which
// nobody reads who only reads.
import { deflateRawSync, zstdCompressSync } from 'node:zlib';

export type Compression = 'zlib' | 'zstd';

/** What stands in one entry of an L2 table. */
export type ClusterContent =
  | { packed: Buffer /** Further sectors that the entry claims. */; moreSectors?: number }
  | { plain: Buffer }
  | { zero: true }
  | { sameAs: number };

export interface PackedLayout {
  compression: Compression;
  clusterBits: number;
  virtualBytes: number;
  /** By the number of the cluster in the disk. */
  clusters: ReadonlyMap<number, ClusterContent>;
  /** Order in the file; that of the disk by default. */
  order?: readonly number[];
}

/** As qemu-img packs a cluster. */
export function packCluster(cluster: Buffer, compression: Compression): Buffer {
  return compression === 'zlib' ? deflateRawSync(cluster, { windowBits: 12 }) : zstdCompressSync(cluster);
}

export function packedQcow2(layout: PackedLayout): Buffer {
  const { clusterBits, virtualBytes, clusters } = layout;
  const clusterBytes = 2 ** clusterBits;
  const tables = Math.ceil(virtualBytes / ((clusterBytes / 8) * clusterBytes));
  const l1Clusters = Math.ceil((tables * 8) / clusterBytes);
  const l2At = (3 + l1Clusters) * clusterBytes;
  const head = Buffer.alloc(l2At + tables * clusterBytes);
  writeHeader(head, layout, tables);
  for (let table = 0; table < tables; table += 1) {
    head.writeBigUInt64BE((1n << 63n) | BigInt(l2At + table * clusterBytes), 3 * clusterBytes + table * 8);
  }
  const parts: Buffer[] = [head];
  let end = head.byteLength;
  const add = (bytes: Buffer): number => {
    parts.push(bytes);
    end += bytes.byteLength;
    return end - bytes.byteLength;
  };
  const entries = new Map<number, bigint>();
  for (const index of layout.order ?? [...clusters.keys()]) {
    const content = clusters.get(index);
    if (content === undefined) continue;
    if ('plain' in content && end % clusterBytes !== 0) add(Buffer.alloc(clusterBytes - (end % clusterBytes)));
    const entry = entryOf(content, clusterBits, add, entries);
    entries.set(index, entry);
    head.writeBigUInt64BE(entry, l2At + index * 8);
  }
  return Buffer.concat(parts);
}

function entryOf(
  content: ClusterContent,
  clusterBits: number,
  add: (bytes: Buffer) => number,
  entries: ReadonlyMap<number, bigint>,
): bigint {
  if ('zero' in content) return 1n;
  if ('plain' in content) return (1n << 63n) | BigInt(add(content.plain));
  if ('sameAs' in content) return entries.get(content.sameAs) ?? 0n;
  const offset = add(content.packed);
  const sectors = Math.ceil(((offset % 512) + content.packed.byteLength) / 512) - 1 + (content.moreSectors ?? 0);
  return (1n << 62n) | (BigInt(sectors) << BigInt(62 - (clusterBits - 8))) | BigInt(offset);
}

function writeHeader(head: Buffer, { compression, clusterBits, virtualBytes }: PackedLayout, tables: number): void {
  const clusterBytes = 2 ** clusterBits;
  head.write('QFI\xfb', 0, 'latin1');
  head.writeUInt32BE(3, 4);
  head.writeUInt32BE(clusterBits, 20);
  head.writeBigUInt64BE(BigInt(virtualBytes), 24);
  head.writeUInt32BE(tables, 36);
  head.writeBigUInt64BE(BigInt(3 * clusterBytes), 40);
  head.writeBigUInt64BE(BigInt(clusterBytes), 48);
  head.writeUInt32BE(1, 56);
  head.writeUInt32BE(4, 96);
  head.writeUInt32BE(112, 100);
  if (compression === 'zstd') {
    head.writeBigUInt64BE(8n, 72);
    head.writeUInt8(1, 104);
  }
  head.writeBigUInt64BE(BigInt(2 * clusterBytes), clusterBytes);
}
