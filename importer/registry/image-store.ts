// Where an image lies, whatever it lies in: documents that are read whole, and blobs, which a layer may be.
import type { ImageSource } from '../image-source.ts';
import type { Descriptor } from './manifest.ts';

/** A manifest or an index. */
export interface StoredManifest {
  bytes: Buffer;
  /** As the store tells it. */
  mediaType: string | undefined;
}

/** The bytes of a blob as they come. Whoever reads them proves their digest. */
export type Blob = Pick<
  ImageSource,
  'totalBytes' | 'ranges' | 'head' | 'pieces' | 'fetchedBytes' | 'onFetched' | 'close'
>;

export interface ImageStore {
  /** How it is named to people. */
  readonly name: string;
  /** The digest that the reference names, where it names one. */
  readonly askedDigest: string | undefined;
  /** What the reference names. @throws Fault of the group source */
  root(): Promise<StoredManifest>;
  /** A manifest that an index names; not proved yet. @throws Fault of the group source */
  manifest(descriptor: Descriptor): Promise<StoredManifest>;
  /** @throws Fault of the group source */
  blob(descriptor: Descriptor): Promise<Blob>;
  close(): Promise<void>;
}

/** Most that a manifest, an index or a configuration may have: what registries and clients agree on. */
export const mostDocumentBytes = 4 * 1024 * 1024;
