// A qcow2 image with compressed clusters, as pieces of the disk in order. Its tables are read one after the other, each when its turn comes, so that
// memory stays the same whatever its size and an image may be read while it comes.
import type { ImageFormat } from '../../volumes/qemu-img.ts';
import { mostTableBytes } from '../image/inspection.ts';
import { bytesOfL1Entry, parseQcow2Header, type Qcow2Header } from '../image/qcow2-header.ts';
import { type DiskPiece, lookForPacked, planPieces } from '../image/qcow2-pieces.ts';
import { l2Offsets } from '../image/qcow2-tables.ts';
import type { RandomReader } from '../nbd/random-reader.ts';

export interface PackedImage {
  compression: Qcow2Header['compression'];
  clusterBytes: number;
  /** What lies between is zeros. Throws Fault CorruptImage, and what the reader fails with. */
  pieces(): AsyncGenerator<DiskPiece, void, undefined>;
}

export interface PackedSource {
  reader: RandomReader;
  format: ImageFormat;
  /** Length of the image as a file; undefined while it is not known. */
  totalBytes: number | undefined;
}

/** The clusters that are looked at first. One that is compressed is nearly always among them where there is any. */
const lookedAt = 1024;
/** Enough of the beginning; all of it was looked at before. */
const headBytes = 512;

/**
 * @returns undefined for an image that is brought otherwise: of another format, with subclusters, with a very large L1 table, or none of whose first clusters is compressed
 * @throws Fault CorruptImage, and what the reader fails with
 */
export async function openPackedImage({ reader, format, totalBytes }: PackedSource): Promise<PackedImage | undefined> {
  if (format !== 'qcow2') return undefined;
  const header = parseQcow2Header(await readWhole(reader, 0, headBytes), totalBytes);
  const tables = new Tables(reader, header, totalBytes ?? Number.POSITIVE_INFINITY);
  if (!isTaken(header) || !(await hasPacked(tables))) return undefined;
  return { compression: header.compression, clusterBytes: 2 ** header.clusterBits, pieces: () => tables.pieces() };
}

function isTaken(header: Qcow2Header): boolean {
  return !header.extendedL2 && bytesOfL1(header) <= mostTableBytes;
}

function bytesOfL1(header: Qcow2Header): number {
  return Math.ceil(header.virtualSizeBytes / bytesOfL1Entry(header)) * 8;
}

async function hasPacked(tables: Tables): Promise<boolean> {
  let seen = 0;
  for await (const { table } of tables.each()) {
    const { hasPacked, dataClusters } = lookForPacked(table);
    if (hasPacked) return true;
    seen += dataClusters;
    if (seen >= lookedAt) return false;
  }
  return false;
}

class Tables {
  readonly #reader: RandomReader;
  readonly #header: Qcow2Header;
  readonly #fileBytes: number;
  #l1: Buffer | undefined;

  constructor(reader: RandomReader, header: Qcow2Header, fileBytes: number) {
    this.#reader = reader;
    this.#header = header;
    this.#fileBytes = fileBytes;
  }

  async *each(): AsyncGenerator<{ table: Buffer; guestOffset: number }, void, undefined> {
    const l1Bytes = bytesOfL1(this.#header);
    if (l1Bytes === 0) return;
    this.#l1 ??= await readWhole(this.#reader, this.#header.l1Offset, l1Bytes);
    const offsetOf = l2Offsets(this.#header, this.#fileBytes);
    for (let at = 0; at < l1Bytes; at += 8) {
      const offset = offsetOf(this.#l1, at);
      if (offset === 0) continue;
      const table = await readWhole(this.#reader, offset, 2 ** this.#header.clusterBits);
      yield { table, guestOffset: (at / 8) * bytesOfL1Entry(this.#header) };
    }
  }

  async *pieces(): AsyncGenerator<DiskPiece, void, undefined> {
    const [header, fileBytes] = [this.#header, this.#fileBytes];
    for await (const { table, guestOffset } of this.each()) {
      yield* planPieces(table, { guestOffset, header, fileBytes });
    }
  }
}

async function readWhole(reader: RandomReader, offset: number, length: number): Promise<Buffer> {
  const whole = Buffer.allocUnsafe(length);
  await readInto(reader, offset, whole);
  return whole;
}

/** Fills the memory with the bytes from there on. @throws what the reader fails with */
export async function readInto(reader: RandomReader, offset: number, memory: Buffer): Promise<void> {
  let filled = 0;
  for await (const { bytes, release } of reader.read(offset, memory.byteLength)) {
    filled += bytes.copy(memory, filled);
    release();
  }
}
