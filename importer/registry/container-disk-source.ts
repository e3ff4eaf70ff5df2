// The disk of a container image as a source: the one file under `disk/`, streamed out of its layer. Layers are read from the topmost down, each at most
// once, and none below one that hides them. A second disk, or a layer that is not the one that the manifest names, is told when the disk has passed: the
// transfer fails then, and nothing is committed.
import { Fault } from '../../domain/fault.ts';
import type { SourceVersion } from '../../domain/source-version.ts';
import type { DecoderSurroundings } from '../decode/decompressor.ts';
import type { ImageSource, SourceRanges } from '../image-source.ts';
import { PeekedStream } from '../peeked-stream.ts';
import type { TarEntry } from '../tar/tar-entries.ts';
import { DiskSearch } from './disk-search.ts';
import { labelsOfEnvironment } from './environment-labels.ts';
import type { ImageStore } from './image-store.ts';
import { Layer } from './layer.ts';
import type { ResolvedImage } from './resolve-image.ts';
import { WindowRanges } from './window-ranges.ts';

export class ContainerDiskSource implements ImageSource {
  readonly labels: Readonly<Record<string, string>>;
  readonly validator: string;
  readonly version: SourceVersion;
  readonly #store: ImageStore;
  readonly #image: ResolvedImage;
  readonly #surroundings: DecoderSurroundings;
  readonly #search = new DiskSearch();
  /** The one whose place in the image is read now. */
  #layer: Layer | undefined;
  #disk: TarEntry | undefined;
  #bytes: PeekedStream | undefined;
  #isProven = false;
  /** Of what was read before the layer that is read now. */
  #fetchedBefore: number;
  ranges: SourceRanges | undefined;
  onFetched: (bytes: number) => void = () => undefined;

  private constructor(store: ImageStore, image: ResolvedImage, surroundings: DecoderSurroundings) {
    this.#store = store;
    this.#image = image;
    this.#surroundings = surroundings;
    this.#fetchedBefore = image.fetchedBytes;
    this.labels = labelsOfEnvironment(image.configuration.environment);
    this.validator = image.digest;
    this.version = { digest: image.digest };
  }

  /**
   * Reads up to the disk.
   * @param store is this source's own from here on, and closed with it
   * @throws Fault of the groups source and image
   */
  static async open(
    store: ImageStore,
    image: ResolvedImage,
    surroundings: DecoderSurroundings,
  ): Promise<ContainerDiskSource> {
    const source = new ContainerDiskSource(store, image, surroundings);
    try {
      await source.#findDisk();
      return source;
    } catch (error) {
      await source.close();
      throw error;
    }
  }

  get totalBytes(): number {
    return this.#found.bodyBytes;
  }

  get fetchedBytes(): number {
    return this.#fetchedBefore + (this.#layer?.blob.fetchedBytes ?? 0);
  }

  /** True once all of the layer that holds the disk has passed and is what the manifest names. */
  get isProven(): boolean {
    return this.#isProven;
  }

  /** The layers tell the disk, whatever names them. */
  get identity(): string {
    return JSON.stringify(this.#image.layers.map(({ digest }) => digest));
  }

  head(bytes: number): Promise<Buffer> {
    return this.ranges === undefined ? this.#stream.head(bytes) : this.ranges.readAt(0, bytes);
  }

  pieces(): AsyncGenerator<Buffer, void, undefined> {
    return this.#stream.pieces();
  }

  assertLength(bytes: number): void {
    if (bytes === this.totalBytes) return;
    throw new Fault('SourceInterrupted', `${this.#store.name}: the disk ended at byte ${bytes} of ${this.totalBytes}`);
  }

  async close(): Promise<void> {
    await this.#leaveLayer();
    await this.#store.close();
  }

  get #found(): TarEntry {
    if (this.#disk === undefined) throw new Fault('Internal', 'the disk of the image was not looked for');
    return this.#disk;
  }

  get #stream(): PeekedStream {
    if (this.#bytes === undefined) throw new Fault('Internal', 'the layer with the disk is not open');
    return this.#bytes;
  }

  async #findDisk(): Promise<void> {
    const layers = this.#image.layers.toReversed();
    for (const [depth, descriptor] of layers.entries()) {
      const layer = await this.#enter(descriptor);
      const disk = await layer.find(this.#search);
      if (disk !== undefined) return this.#take(layer, disk, layers.slice(depth + 1));
      await layer.finish(this.#search);
      await this.#leaveLayer();
      if (this.#search.isSettled) break;
    }
    throw new Fault('NotAContainerDisk', 'Failed to find VM disk image file in the container image');
  }

  /** Where the layer serves ranges, it is cheap to see now what else there is; elsewhere the disk is passed on first. */
  async #take(layer: Layer, disk: TarEntry, below: readonly ResolvedImage['layers'][number][]): Promise<void> {
    this.#disk = disk;
    const { ranges } = layer.blob;
    if (!layer.servesRanges || ranges === undefined) {
      this.#bytes = new PeekedStream(this.#bodyAndRest(layer, disk, below));
      return;
    }
    await layer.finish(this.#search);
    await this.#readBelow(below);
    this.ranges = new WindowRanges(ranges, disk.bodyOffset, disk.bodyBytes);
    this.#bytes = new PeekedStream(this.#body(layer, disk));
  }

  async *#bodyAndRest(
    layer: Layer,
    disk: TarEntry,
    below: readonly ResolvedImage['layers'][number][],
  ): AsyncGenerator<Buffer, void, undefined> {
    yield* layer.body(disk);
    await layer.finish(this.#search);
    this.#isProven = true;
    await this.#leaveLayer();
    await this.#readBelow(below);
  }

  async *#body(layer: Layer, disk: TarEntry): AsyncGenerator<Buffer, void, undefined> {
    yield* layer.body(disk);
    this.#isProven = true;
  }

  /** Only to see that there is no second disk. */
  async #readBelow(below: readonly ResolvedImage['layers'][number][]): Promise<void> {
    const kept = this.#layer;
    for (const descriptor of below) {
      if (this.#search.isSettled) break;
      const layer = await Layer.open(this.#store, descriptor, this.#surroundings);
      try {
        layer.blob.onFetched = (bytes) => this.onFetched(this.fetchedBytes + bytes);
        await layer.finish(this.#search);
      } finally {
        this.#fetchedBefore += layer.blob.fetchedBytes;
        await layer.close();
      }
    }
    this.#layer = kept;
  }

  async #enter(descriptor: ResolvedImage['layers'][number]): Promise<Layer> {
    const layer = await Layer.open(this.#store, descriptor, this.#surroundings);
    this.#layer = layer;
    layer.blob.onFetched = () => this.onFetched(this.fetchedBytes);
    return layer;
  }

  async #leaveLayer(): Promise<void> {
    const layer = this.#layer;
    if (layer === undefined) return;
    this.#fetchedBefore += layer.blob.fetchedBytes;
    this.#layer = undefined;
    await layer.close();
  }
}
