// A program of its own, run confined by ClusterUnpacker: unpacks the compressed clusters of a qcow2 image. It gets pieces and gives the clusters, whole and in
// order, on the socket that is its stdin. It imports nothing of ours, since it is handed to Node as text and can read no file.
//
//   node -e TEXT <zlib or zstd> <bytes of a cluster>
//   a piece: how many clusters, how many bytes, where these lie in the image; of each cluster where its bytes begin and how many they are; then the bytes.
//   Numbers are little-endian, of 32 bits; the place is a double.
//
// Ends with 0 when nothing more comes, with 3 and a sentence for a cluster that cannot be unpacked.
import { readSync, writeSync } from 'node:fs';
import { constants, inflateRawSync, zstdDecompressSync } from 'node:zlib';

const damagedExit = 3;
const outOfMemoryExit = 4;
const socket = 0;
const [type, clusterText] = process.argv.slice(1);
const clusterBytes = Number(clusterText);
/** One call gives a whole cluster; a byte more shows that there would be more. */
const limits = { chunkSize: clusterBytes + 64, maxOutputLength: clusterBytes };

const unpacked = Buffer.allocUnsafeSlow(Math.max(clusterBytes, 1024 * 1024));
let waiting = 0;
/** In the image, of the cluster that is being unpacked. */
let place = 0;
let memory = Buffer.allocUnsafeSlow(2 * 1024 * 1024);

/** @returns undefined at the end */
function read(bytes: number): Buffer | undefined {
  if (bytes > memory.byteLength) memory = Buffer.allocUnsafeSlow(bytes);
  for (let filled = 0; filled < bytes; ) {
    const came = readSync(socket, memory, filled, bytes - filled, null);
    if (came === 0) return undefined;
    filled += came;
  }
  return memory.subarray(0, bytes);
}

function flush(): void {
  for (let written = 0; written < waiting; ) written += writeSync(socket, unpacked, written, waiting - written);
  waiting = 0;
}

/** A raw deflate stream. What follows it, up to the end of a sector, is not looked at; nor is it missed if the cluster is whole before its end. */
function inflate(packed: Buffer): Buffer {
  return inflateRawSync(packed, { ...limits, windowBits: 12, finishFlush: constants.Z_SYNC_FLUSH });
}

/** One frame, or several. Each is cut out first, since what follows the last one may look like another. */
function decompress(packed: Buffer): Buffer {
  const parts: Buffer[] = [];
  let bytes = 0;
  for (let at = 0; bytes < clusterBytes; ) {
    const end = endOfFrame(packed, at);
    const part = zstdDecompressSync(packed.subarray(at, end), { ...limits, maxOutputLength: clusterBytes - bytes });
    parts.push(part);
    bytes += part.byteLength;
    at = end;
  }
  return parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts);
}

/** RFC 8878, 3.1. @throws RangeError where the frame is cut */
function endOfFrame(packed: Buffer, start: number): number {
  const magic = packed.readUInt32LE(start);
  if (magic >>> 4 === 0x184d2a5) return start + 8 + packed.readUInt32LE(start + 4);
  if (magic !== 0xfd2fb528) throw new RangeError('no zstd frame');
  const descriptor = packed.readUInt8(start + 4);
  const isSingleSegment = (descriptor >> 5) & 1;
  const sizeBytes = [isSingleSegment, 2, 4, 8][descriptor >> 6] ?? 0;
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] ?? 0;
  const checksumBytes = (descriptor >> 2) & 1 ? 4 : 0;
  for (let at = start + 6 - isSingleSegment + dictionaryBytes + sizeBytes; ; ) {
    const header = packed.readUIntLE(at, 3);
    const isRepeatedByte = ((header >> 1) & 3) === 1;
    at += 3 + (isRepeatedByte ? 1 : header >> 3);
    if ((header & 1) === 1) return at + checksumBytes;
  }
}

function unpackPiece(table: Buffer, bytes: Buffer, offset: number): void {
  for (let entry = 0; entry < table.byteLength; entry += 8) {
    const at = table.readUInt32LE(entry);
    place = offset + at;
    const packed = bytes.subarray(at, at + table.readUInt32LE(entry + 4));
    const cluster = type === 'zstd' ? decompress(packed) : inflate(packed);
    if (cluster.byteLength !== clusterBytes) throw new RangeError(`${cluster.byteLength} bytes in place of a cluster`);
    if (waiting + clusterBytes > unpacked.byteLength) flush();
    waiting += cluster.copy(unpacked, waiting);
  }
  flush();
}

function run(): void {
  for (;;) {
    const head = read(16);
    if (head === undefined) return;
    const [clusters, bytes, offset] = [head.readUInt32LE(0), head.readUInt32LE(4), head.readDoubleLE(8)];
    const piece = read(clusters * 8 + bytes);
    if (piece === undefined) return;
    unpackPiece(piece.subarray(0, clusters * 8), piece.subarray(clusters * 8), offset);
  }
}

try {
  run();
} catch (error) {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  writeSync(2, `the cluster at byte ${place}: ${error instanceof Error ? error.message : String(error)}`);
  process.exit(/Z_MEM_ERROR|memory_allocation/.test(code) ? outOfMemoryExit : damagedExit);
}
