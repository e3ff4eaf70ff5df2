// One layer of an image as a tar archive that is read forward: plain, or unpacked by a native child. Where it is plain and its store serves ranges, files
// that nobody wants are not fetched. What passed in order is proved to be the layer that the manifest names, once it is read to its end.
import { Fault } from '../../domain/fault.ts';
import type { DecoderSurroundings } from '../decode/decompressor.ts';
import { unpacked } from '../decode/unpacked.ts';
import type { Compression } from '../image/content-kind.ts';
import { firstRequestBytes } from '../image-source.ts';
import { TarEntries, type TarEntry } from '../tar/tar-entries.ts';
import { TarRanges, TarStream } from '../tar/tar-input.ts';
import type { DiskSearch } from './disk-search.ts';
import { provenPieces } from './image-digest.ts';
import type { Blob, ImageStore } from './image-store.ts';
import type { Descriptor } from './manifest.ts';

export class Layer {
  readonly blob: Blob;
  readonly #descriptor: Descriptor;
  readonly #input: TarStream | TarRanges;
  readonly #entries: TarEntries;
  readonly #stop: AbortController;

  private constructor(blob: Blob, descriptor: Descriptor, input: TarStream | TarRanges, stop: AbortController) {
    this.blob = blob;
    this.#descriptor = descriptor;
    this.#input = input;
    this.#entries = new TarEntries(input);
    this.#stop = stop;
  }

  /** @throws Fault of the group source, NotAContainerDisk for what is packed in a way that is not known, ChecksumMismatch for another length */
  static async open(store: ImageStore, descriptor: Descriptor, surroundings: DecoderSurroundings): Promise<Layer> {
    const blob = await store.blob(descriptor);
    const stop = new AbortController();
    try {
      assertLength(blob, descriptor);
      const signal = AbortSignal.any([surroundings.signal, stop.signal]);
      const input = await inputOf(blob, descriptor, { ...surroundings, signal });
      return new Layer(blob, descriptor, input, stop);
    } catch (error) {
      await blob.close();
      throw error;
    }
  }

  /** Only what is wanted of it is fetched; its digest is proved where it is read in order all the same, see `inOrder`. */
  get servesRanges(): boolean {
    return this.#input instanceof TarRanges;
  }

  /** Reads on to the next file that the search takes for the disk. @returns undefined at the end of the layer */
  async find(search: DiskSearch): Promise<TarEntry | undefined> {
    for (;;) {
      const entry = await this.#entries.next();
      if (entry === undefined) return undefined;
      if (search.take(entry)) return entry;
    }
  }

  /** The body of the entry that was found last, as it comes. A piece may be overwritten once the next one is asked for. */
  body(entry: TarEntry): AsyncGenerator<Buffer, void, undefined> {
    if (this.#input instanceof TarStream) return this.#input.pieces(entry.bodyBytes);
    return this.#inOrder(entry);
  }

  /** Reads what is left, so that the digest is proved. @throws Fault ChecksumMismatch, NotAContainerDisk for a second disk */
  async finish(search: DiskSearch): Promise<void> {
    while ((await this.find(search)) !== undefined);
    if (this.#input instanceof TarStream) await this.#input.drain();
    search.endLayer();
  }

  async close(): Promise<void> {
    this.#stop.abort(new Fault('Cancelled', 'the layer is not read any further'));
    await this.blob.close();
  }

  /** The whole layer once, of which only the body is passed on. */
  async *#inOrder(entry: TarEntry): AsyncGenerator<Buffer, void, undefined> {
    const whole = new TarStream(provenPieces(this.blob.pieces(), this.#descriptor, 'layer'));
    await whole.skip(entry.bodyOffset);
    yield* whole.pieces(entry.bodyBytes);
    await whole.drain();
  }
}

function assertLength({ totalBytes }: Blob, { digest, size }: Descriptor): void {
  if (totalBytes === undefined || totalBytes === size) return;
  throw new Fault('ChecksumMismatch', `layer ${digest} is to have ${size} bytes and has ${totalBytes}`);
}

async function inputOf(
  blob: Blob,
  descriptor: Descriptor,
  surroundings: DecoderSurroundings,
): Promise<TarStream | TarRanges> {
  const head = await blob.head(firstRequestBytes);
  const compression = compressionOf(head);
  const { ranges, totalBytes } = blob;
  if (compression === undefined && ranges !== undefined && totalBytes !== undefined) {
    const known = Buffer.from(head);
    return new TarRanges(totalBytes, async (offset, length) => {
      if (offset + length <= known.byteLength) return known.subarray(offset, offset + length);
      const part = Buffer.allocUnsafe(length);
      await ranges.fill(offset, part);
      return part;
    });
  }
  const pieces = provenPieces(blob.pieces(), descriptor, 'layer');
  return new TarStream(compression === undefined ? pieces : unpacked(pieces, compression, surroundings));
}

/** By content: a media type may say anything. */
function compressionOf(head: Buffer): Compression | undefined {
  if (head.length >= 2 && head.readUInt16BE(0) === 0x1f8b) return 'gz';
  if (head.length >= 4 && head.readUInt32LE(0) === 0xfd2fb528) return 'zst';
  if (head.length >= 4 && (head.readUInt32LE(0) & 0xfffffff0) >>> 0 === 0x184d2a50) return 'zst';
  return undefined;
}
