// An image in an archive on the machine of the worker: a tar archive of an OCI image layout, as `skopeo copy … oci-archive:FILE` writes it. Only files below
// the directory that the operator named are read: a user's URL names a place on a machine that is not theirs.
import { constants } from 'node:fs';
import { type FileHandle, open, realpath } from 'node:fs/promises';
import { isAbsolute, join, relative } from 'node:path';
import { Fault, toFault } from '../../domain/fault.ts';
import type { DecoderSurroundings } from '../decode/decompressor.ts';
import type { SourceRanges } from '../image-source.ts';
import { TarEntries } from '../tar/tar-entries.ts';
import { TarRanges } from '../tar/tar-input.ts';
import { type Blob, type ImageStore, mostDocumentBytes, type StoredManifest } from './image-store.ts';
import { type Descriptor, type IndexEntry, parseManifest } from './manifest.ts';
import { WindowRanges } from './window-ranges.ts';

export const archiveScheme = 'oci-archive:';

const pieceBytes = 1024 * 1024;
const nameOfImage = 'org.opencontainers.image.ref.name';

interface StoredFile {
  start: number;
  bytes: number;
}

export class ArchiveStore implements ImageStore {
  readonly name: string;
  readonly askedDigest: string | undefined;
  readonly #file: FileHandle;
  readonly #files: ReadonlyMap<string, StoredFile>;
  readonly #image: IndexEntry | undefined;
  readonly #index: Buffer;

  private constructor(
    name: string,
    file: FileHandle,
    files: ReadonlyMap<string, StoredFile>,
    index: Buffer,
    image: IndexEntry | undefined,
  ) {
    this.name = name;
    this.#file = file;
    this.#files = files;
    this.#index = index;
    this.#image = image;
    this.askedDigest = image?.digest;
  }

  /**
   * @param url `oci-archive:path[:name]`; a path that is not absolute begins at the directory of the setting
   * @throws Fault SourceForbidden for a file elsewhere, SourceNotFound, NotAContainerDisk, CorruptImage
   */
  static async open(url: string, { config }: Pick<DecoderSurroundings, 'config'>): Promise<ArchiveStore> {
    const { path, name } = splitUrl(url);
    const file = await openBelow(config.ociArchives, path, url);
    try {
      const files = await listFiles(file);
      const index = await readFile(file, files.get('index.json'), 'index.json');
      return new ArchiveStore(url, file, files, index, chooseImage(index, name));
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** The one image, or the index where its images differ by architecture. */
  async root(): Promise<StoredManifest> {
    if (this.#image === undefined) return { bytes: this.#index, mediaType: 'application/vnd.oci.image.index.v1+json' };
    return this.manifest(this.#image);
  }

  async manifest({ digest, mediaType }: Descriptor): Promise<StoredManifest> {
    const path = pathOf(digest);
    return { bytes: await readFile(this.#file, this.#files.get(path), path), mediaType: mediaType ?? undefined };
  }

  async blob({ digest }: Descriptor): Promise<Blob> {
    const stored = this.#files.get(pathOf(digest));
    if (stored === undefined) throw missing(pathOf(digest));
    return new StoredBlob(this.#file, stored);
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

class StoredBlob implements Blob {
  readonly totalBytes: number;
  readonly ranges: SourceRanges;
  /** Nothing comes over the network. */
  readonly fetchedBytes = 0;
  onFetched: (bytes: number) => void = () => undefined;
  readonly #file: FileHandle;
  readonly #stored: StoredFile;

  constructor(file: FileHandle, stored: StoredFile) {
    this.#file = file;
    this.#stored = stored;
    this.totalBytes = stored.bytes;
    this.ranges = new WindowRanges(rangesOf(file), stored.start, stored.bytes);
  }

  head(bytes: number): Promise<Buffer> {
    return this.ranges.readAt(0, bytes);
  }

  async *pieces(): AsyncGenerator<Buffer, void, undefined> {
    const { start, bytes } = this.#stored;
    for (let at = 0; at < bytes; ) {
      const piece = await readAt(this.#file, start + at, Math.min(pieceBytes, bytes - at));
      at += piece.byteLength;
      yield piece;
    }
  }

  async close(): Promise<void> {
    // The file is the store's.
  }
}

function rangesOf(file: FileHandle): SourceRanges {
  return {
    parts: [],
    readAt: (offset, length) => readAt(file, offset, length),
    fill: async (start, memory, onFilled = () => undefined) => {
      (await readAt(file, start, memory.byteLength)).copy(memory);
      onFilled(memory.byteLength);
    },
  };
}

/** @throws Fault CorruptImage where the file ends before */
async function readAt(file: FileHandle, offset: number, length: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(length);
  for (let filled = 0; filled < length; ) {
    const { bytesRead } = await file.read(bytes, filled, length - filled, offset + filled);
    if (bytesRead === 0) throw new Fault('CorruptImage', `the archive ends early, at byte ${offset + filled}`);
    filled += bytesRead;
  }
  return bytes;
}

function splitUrl(url: string): { path: string; name: string | undefined } {
  const text = url.slice(archiveScheme.length);
  const colon = text.indexOf(':');
  return colon < 0 ? { path: text, name: undefined } : { path: text.slice(0, colon), name: text.slice(colon + 1) };
}

/** Links are followed before it is judged where the file lies. */
async function openBelow(directory: string, path: string, url: string): Promise<FileHandle> {
  if (directory === '') {
    throw new Fault(
      'UnsupportedSource',
      'no archives may be read here; the operator can name a directory in LONGSHORE_OCI_ARCHIVES',
    );
  }
  try {
    const home = await realpath(directory);
    const found = await realpath(isAbsolute(path) ? path : join(home, path));
    const below = relative(home, found);
    if (below === '' || below.startsWith('..') || isAbsolute(below)) {
      throw new Fault('SourceForbidden', `${url} does not lie below the directory of LONGSHORE_OCI_ARCHIVES`);
    }
    const file = await open(found, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    if ((await file.stat()).isFile()) return file;
    await file.close();
    throw new Fault('SourceRefused', `${url} is no file`);
  } catch (error) {
    throw toFault(error, { otherwise: 'SourceNotFound' });
  }
}

/** @throws Fault CorruptImage where it is no tar archive, also where it is compressed */
async function listFiles(file: FileHandle): Promise<Map<string, StoredFile>> {
  const { size } = await file.stat();
  const entries = new TarEntries(new TarRanges(size, (offset, length) => readAt(file, offset, length)));
  const files = new Map<string, StoredFile>();
  for (let entry = await entries.next(); entry !== undefined; entry = await entries.next()) {
    if (entry.type !== 'file') continue;
    if (entry.bodyOffset + entry.bodyBytes > size) {
      throw new Fault('CorruptImage', 'the archive ends before its last file does');
    }
    files.set(entry.name.replace(/^\.\//, ''), { start: entry.bodyOffset, bytes: entry.bodyBytes });
  }
  return files;
}

async function readFile(file: FileHandle, stored: StoredFile | undefined, path: string): Promise<Buffer> {
  if (stored === undefined) throw missing(path);
  if (stored.bytes > mostDocumentBytes) {
    throw new Fault('NotAContainerDisk', `${path} has ${stored.bytes} bytes, which is too much`);
  }
  return readAt(file, stored.start, stored.bytes);
}

/** @returns undefined where the images of the index are to be told apart by architecture */
function chooseImage(index: Buffer, name: string | undefined): IndexEntry | undefined {
  const parsed = parseManifest(index, 'application/vnd.oci.image.index.v1+json');
  if (parsed.kind !== 'index') throw new Fault('NotAContainerDisk', 'index.json of the archive is no index');
  const named = (entry: IndexEntry): string | undefined => entry.annotations?.[nameOfImage];
  const images = parsed.entries.filter((entry) => name === undefined || named(entry) === name);
  if (images.length === 1) return images[0];
  if (name === undefined && images.every(({ platform }) => platform != null)) return undefined;
  const names = parsed.entries.map((entry) => named(entry) ?? 'one without a name').join(', ');
  throw new Fault(
    'NotAContainerDisk',
    `the archive holds ${parsed.entries.length} images: ${names}; name one behind the path`,
  );
}

function pathOf(digest: string): string {
  return `blobs/${digest.replace(':', '/')}`;
}

function missing(path: string): Fault {
  return new Fault('NotAContainerDisk', `the archive has no ${path}; pack it with skopeo or podman as oci-archive`);
}
